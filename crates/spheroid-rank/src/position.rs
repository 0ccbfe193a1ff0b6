use std::{collections::BTreeMap, fmt};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, PlateFormat, at_least};

use crate::{
    RankError, Scale, WellScore, draws::rng_of, spearman::centred_ranks, well_score::by_plate,
};

/// Settings of [`PositionTest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PositionTestConfig {
    /// Permutations, at least 99; no p-value is below 1 / (permutations + 1).
    pub permutations: usize,
    /// The scale on which an effect of position adds to the score.
    pub scale: Scale,
}

impl Default for PositionTestConfig {
    fn default() -> Self {
        Self {
            permutations: 1999,
            scale: Scale::default(),
        }
    }
}

impl PositionTestConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `permutations` is below 99.
    pub fn build(&self) -> Result<PositionTest, ParamError> {
        at_least("permutations", self.permutations, 99, "at least 99")?;
        Ok(PositionTest {
            config: self.clone(),
        })
    }
}

/// Where on a plate a score may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Rows differ.
    Row,
    /// Columns differ.
    Column,
    /// Wells at the edge differ from inner ones ([`PlateFormat::is_inner`]).
    Edge,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Row => "row",
            Self::Column => "column",
            Self::Edge => "edge",
        })
    }
}

/// What position does to the scores of a plate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionEffect {
    /// Name of the plate.
    pub plate: String,
    /// Which position.
    pub position: Position,
    /// Share of the variance of the aligned ranks that lies between the positions, from 0 to 1.
    pub share: f64,
    /// Chance of so large a share when position does nothing; none when the layout cannot tell, since
    /// every treatment keeps to one position.
    pub p: Option<f64>,
}

/// Tests whether scores depend on where a well lies, beyond what its treatment does.
///
/// Scores less the mean of their treatment's wells on the plate are ranked over the plate. Between
/// wells of one treatment they are exchanged at random, which under the hypothesis changes nothing, so
/// the test is exact whatever the treatments do; give it untreated wells alone or all of them. A
/// treatment that lies in one row says nothing about rows.
///
/// p = (1 + permutations with at least the share) / (1 + permutations). The random numbers come from
/// the scores.
///
/// # Source
/// Aligned ranks: Hodges and Lehmann, Annals of Mathematical Statistics 33 (1962), 482–497.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionTest {
    config: PositionTestConfig,
}

impl PositionTest {
    /// Tests every plate for row, column and edge, in this order, plates by name.
    ///
    /// # Errors
    /// When there is no well, a score is not finite or not on the scale, a well occurs twice, or a
    /// plate of this format does not have it.
    pub fn test(
        &self,
        wells: &[WellScore],
        format: PlateFormat,
    ) -> Result<Vec<PositionEffect>, RankError> {
        let mut effects = Vec::new();
        for (plate, of_plate) in by_plate(wells, self.config.scale)? {
            if let Some((off, _)) = of_plate
                .iter()
                .find(|(well, _)| !format.contains(well.well))
            {
                return Err(RankError::WellOffPlate {
                    plate: plate.to_owned(),
                    well: off.well.to_string(),
                    format: format.wells(),
                });
            }
            for position in [Position::Row, Position::Column, Position::Edge] {
                let places = of_plate.iter().map(|(well, _)| match position {
                    Position::Row => well.well.row(),
                    Position::Column => well.well.column(),
                    Position::Edge => usize::from(format.is_inner(well.well)),
                });
                let (share, p) = self.effect(&of_plate, &places.collect::<Vec<_>>());
                effects.push(PositionEffect {
                    plate: plate.to_owned(),
                    position,
                    share,
                    p,
                });
            }
        }
        Ok(effects)
    }

    fn effect(&self, wells: &[(&WellScore, f64)], places: &[usize]) -> (f64, Option<f64>) {
        let mut blocks: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, (well, _)) in wells.iter().enumerate() {
            blocks.entry(&well.treatment.name).or_default().push(index);
        }
        let mut aligned = vec![0.0; wells.len()];
        for block in blocks.values() {
            let mean = block.iter().map(|&i| wells[i].1).sum::<f64>() / block.len() as f64;
            for &i in block {
                aligned[i] = wells[i].1 - mean;
            }
        }
        // Blocks by their first well: their names must not decide which random numbers they get.
        let mut blocks: Vec<Vec<usize>> = blocks.into_values().collect();
        blocks.sort_unstable();
        let mut ranks = centred_ranks(&aligned);
        let total: f64 = ranks.iter().map(|rank| rank * rank).sum();
        let tells = |block: &Vec<usize>| block.iter().any(|&i| places[i] != places[block[0]]);
        if total == 0.0 {
            return (0.0, blocks.iter().any(tells).then_some(1.0));
        }
        let observed = between(&ranks, places);
        let p = blocks.iter().any(tells).then(|| {
            let mut rng = rng_of(wells.iter().map(|well| well.1.to_bits()));
            let as_large = (0..self.config.permutations)
                .filter(|_| {
                    for block in &blocks {
                        let mut of_block: Vec<f64> = block.iter().map(|&i| ranks[i]).collect();
                        of_block.shuffle(&mut rng);
                        for (&i, rank) in block.iter().zip(of_block) {
                            ranks[i] = rank;
                        }
                    }
                    between(&ranks, places) >= observed - 1e-9 * total
                })
                .count();
            (1.0 + as_large as f64) / (1.0 + self.config.permutations as f64)
        });
        (observed / total, p)
    }
}

/// Sum of squares between places of values whose mean is 0.
fn between(values: &[f64], places: &[usize]) -> f64 {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (value, place) in values.iter().zip(places) {
        let (sum, count) = sums.entry(*place).or_default();
        *sum += value;
        *count += 1.0;
    }
    sums.values().map(|(sum, count)| sum * sum / count).sum()
}
