//! What a training step sees of a plate: which images are views of one thing, which stand in a batch
//! together, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::Array3;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};
use spheroid_augment::{Image, Policy, PolicyConfig};
use spheroid_core::{Day, DrawKey, Group, PlateMap, StackKey, Treatment};
use spheroid_ssl::train::Views;

use crate::{PipelineError, crops::Crops};

/// Settings of what a step sees, beside the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViewsConfig {
    /// Where further views of an image come from.
    pub positives: Positives,
    /// Which images stand in a batch together.
    pub batches: Batches,
    /// What methods that learn from labels are told.
    pub labels: Labels,
    /// Last day on which images show no effect: up to it every well is an untreated one.
    pub drug_day: Day,
}

impl Default for ViewsConfig {
    fn default() -> Self {
        Self {
            positives: Positives::Image,
            batches: Batches::Mixed,
            labels: Labels::Group,
            drug_day: Day::new(7.0).expect("7 is finite"),
        }
    }
}

/// Where the views of an image after the first come from. None uses what was done to a well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positives {
    /// From the image itself, by the policy from the same or another focal plane.
    Image,
    /// From the same well on another day.
    OtherDay,
    /// From another well on the same day, as long as no drug was given; then from the image itself.
    OtherWell,
}

/// Which images stand in a batch together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batches {
    /// Any.
    Mixed,
    /// Those of one day, so that a well is told from other wells and not from other days.
    OneDay,
}

/// Classes of images for methods that learn from labels; up to the drug day all are untreated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// Untreated, single dose, drug screened.
    Group,
    /// Every treatment a class; untreated wells are one.
    Treatment,
}

/// Views of every crop.
pub(crate) struct PlateViews<'a> {
    crops: &'a Crops,
    policy: Policy,
    config: ViewsConfig,
    /// For every crop those that its further views may come from, never itself.
    partners: Vec<Vec<usize>>,
    classes: Vec<usize>,
    descriptions: Vec<Vec<f32>>,
    days: Vec<usize>,
}

impl<'a> PlateViews<'a> {
    pub(crate) fn new(
        crops: &'a Crops,
        map: &PlateMap,
        policy: &PolicyConfig,
        config: ViewsConfig,
    ) -> Result<Self, PipelineError> {
        let keys: Vec<&StackKey> = crops.keys().collect();
        let treatments: Vec<_> = keys
            .iter()
            .map(|key| acting(map, key, config.drug_day))
            .collect();
        let names: Vec<String> = treatments
            .iter()
            .map(|treatment| label(*treatment, config.labels))
            .collect();
        Ok(Self {
            crops,
            policy: policy.clone().build()?,
            config,
            partners: partners(&keys, config),
            classes: ranks(&names),
            descriptions: descriptions(map, treatments.into_iter()),
            days: ranks(&keys.iter().map(|key| key.day).collect::<Vec<_>>()),
        })
    }

    fn of_crop(&self, crop: usize, draw: [u64; 3]) -> Result<Vec<Array3<f32>>, PipelineError> {
        views_of(&self.crops.load(crop)?, &self.policy, draw)
    }
}

impl Views for PlateViews<'_> {
    type Error = PipelineError;

    fn len(&self) -> usize {
        self.crops.len()
    }

    /// An anchor, when the policy has one, is the first view.
    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, PipelineError> {
        let draw = [seed, epoch, item as u64];
        let mut views = self.of_crop(item, draw)?;
        let mut rng = DrawKey {
            seed,
            epoch,
            item: item as u64,
            view: u64::MAX,
        }
        .rng();
        if let Some(partner) = self.partners[item].choose(&mut rng) {
            views.truncate(1);
            views.extend(self.of_crop(*partner, draw)?.into_iter().skip(1));
        }
        Ok(views)
    }

    fn label(&self, item: usize) -> Option<usize> {
        Some(self.classes[item])
    }

    fn description(&self, item: usize) -> Option<Vec<f32>> {
        Some(self.descriptions[item].clone())
    }

    fn stratum(&self, item: usize) -> usize {
        match self.config.batches {
            Batches::Mixed => 0,
            Batches::OneDay => self.days[item],
        }
    }
}

/// Images that are kept in memory, with what is known of each.
pub trait ImageSet {
    /// The images, `[plane, row, column]` and of one shape.
    fn images(&self) -> &[Array3<f32>];

    /// The class of an image, for methods that learn from labels.
    fn label(&self, _item: usize) -> Option<usize> {
        None
    }

    /// What is true of an image, for methods that learn from descriptions.
    fn description(&self, _item: usize) -> Option<Vec<f32>> {
        None
    }

    /// A digest of the images: training goes on from a checkpoint only with the same ones.
    fn identity(&self) -> String;
}

/// Views of every image of a set.
pub(crate) struct ImageViews<'a, I> {
    set: &'a I,
    policy: Policy,
}

impl<'a, I: ImageSet> ImageViews<'a, I> {
    pub(crate) fn new(set: &'a I, policy: &PolicyConfig) -> Result<Self, PipelineError> {
        Ok(Self {
            set,
            policy: policy.clone().build()?,
        })
    }
}

impl<I: ImageSet + Sync> Views for ImageViews<'_, I> {
    type Error = PipelineError;

    fn len(&self) -> usize {
        self.set.images().len()
    }

    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, PipelineError> {
        let image = &self.set.images()[item];
        views_of(image, &self.policy, [seed, epoch, item as u64])
    }

    fn label(&self, item: usize) -> Option<usize> {
        self.set.label(item)
    }

    fn description(&self, item: usize) -> Option<Vec<f32>> {
        self.set.description(item)
    }
}

/// Views that `policy` makes of an image for a seed, an epoch and a number; an anchor comes first.
fn views_of(
    image: &Array3<f32>,
    policy: &Policy,
    [seed, epoch, item]: [u64; 3],
) -> Result<Vec<Array3<f32>>, PipelineError> {
    let views = policy.views(&Image::new(image)?, seed, epoch, item)?;
    let views = views.anchor.into_iter().chain(views.views);
    Ok(views.map(Image::into_samples).collect())
}

/// The treatment that acts on what an image shows; none up to the drug day and in untreated wells.
pub(crate) fn acting<'a>(
    map: &'a PlateMap,
    key: &StackKey,
    drug_day: Day,
) -> Option<&'a Treatment> {
    let treatment = map.treatment_of(&key.plate_well())?;
    (key.day > drug_day && treatment.group != Group::Untreated).then_some(treatment)
}

/// Name of the class of an image on which `treatment` acts.
pub(crate) fn label(treatment: Option<&Treatment>, labels: Labels) -> String {
    match (treatment, labels) {
        (None, _) => Group::Untreated.name().to_owned(),
        (Some(treatment), Labels::Group) => treatment.group.name().to_owned(),
        (Some(treatment), Labels::Treatment) => treatment.name.clone(),
    }
}

/// The place of every value among the different ones.
pub(crate) fn ranks<T: Ord>(values: &[T]) -> Vec<usize> {
    let different: BTreeSet<&T> = values.iter().collect();
    let places: BTreeMap<&T, usize> = different.into_iter().zip(0..).collect();
    values.iter().map(|value| places[value]).collect()
}

fn partners(keys: &[&StackKey], config: ViewsConfig) -> Vec<Vec<usize>> {
    let is_partner = |key: &StackKey, other: &StackKey| match config.positives {
        Positives::Image => false,
        Positives::OtherDay => key.plate_well() == other.plate_well() && key.day != other.day,
        Positives::OtherWell => {
            key.day <= config.drug_day
                && key.day == other.day
                && key.plate == other.plate
                && key.well != other.well
        }
    };
    let of_key = |key: &&StackKey| {
        let others = keys.iter().enumerate();
        let others = others.filter(|(_, other)| is_partner(key, other));
        others.map(|(index, _)| index).collect()
    };
    keys.iter().map(of_key).collect()
}

/// Two numbers a drug and unit of the plate map: whether it was given, and the decimal logarithm of its
/// concentration relative to the highest on the plate.
fn descriptions<'a>(
    map: &PlateMap,
    treatments: impl Iterator<Item = Option<&'a Treatment>>,
) -> Vec<Vec<f32>> {
    let mut highest: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for dose in map.treatments().values().flat_map(|t| &t.doses) {
        let most = highest.entry((&dose.drug, &dose.unit)).or_insert(0.0);
        *most = most.max(dose.concentration);
    }
    let describe = |treatment: Option<&Treatment>| {
        let doses = treatment.map_or(&[][..], |treatment| &treatment.doses);
        let of_drug = |((drug, unit), most): (&(&str, &str), &f64)| {
            let same = doses
                .iter()
                .filter(|dose| dose.drug == *drug && dose.unit == *unit);
            let given: f64 = same.map(|dose| dose.concentration).sum();
            if given > 0.0 {
                [1.0, (given / most).log10() as f32]
            } else {
                [0.0, 0.0]
            }
        };
        highest.iter().flat_map(of_drug).collect()
    };
    treatments.map(describe).collect()
}

#[cfg(test)]
mod tests {
    use spheroid_core::{PlateFormat, PlateWell};

    use super::*;

    fn key(well: &str, day: f64) -> StackKey {
        StackKey {
            plate: "P1".to_owned(),
            well: well.parse().unwrap(),
            day: Day::new(day).unwrap(),
        }
    }

    /// B02 untreated, B03 one drug, B04 two drugs.
    fn map() -> PlateMap {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plate_map.csv");
        let table = "plate,well,group,treatment,drug,concentration,unit\n\
                     P1,B02,untreated,untreated,,,\n\
                     P1,B03,single_dose,cisplatin,cisplatin,10,uM\n\
                     P1,B04,drug_screened,both,cisplatin,1,uM\n\
                     P1,B04,drug_screened,both,taxol,2,nM\n";
        std::fs::write(&path, table).unwrap();
        PlateMap::read_csv(&path, PlateFormat::W96).unwrap()
    }

    #[test]
    fn partners_are_what_the_setting_says_and_tell_no_treatment() {
        let keys = [
            key("B02", 7.0),
            key("B02", 10.0),
            key("B03", 7.0),
            key("B03", 10.0),
        ];
        let keys: Vec<&StackKey> = keys.iter().collect();
        let found = |positives| {
            let config = ViewsConfig {
                positives,
                ..ViewsConfig::default()
            };
            partners(&keys, config)
        };
        assert!(found(Positives::Image).iter().all(Vec::is_empty));
        assert_eq!(
            found(Positives::OtherDay),
            [vec![1], vec![0], vec![3], vec![2]]
        );
        // After the drug day no well stands for another.
        assert_eq!(
            found(Positives::OtherWell),
            [vec![2], vec![], vec![0], vec![]]
        );
    }

    #[test]
    fn an_untreated_well_and_one_before_the_drug_are_described_alike() {
        let map = map();
        let treatment = |well: &str| {
            let well = PlateWell {
                plate: "P1".to_owned(),
                well: well.parse().unwrap(),
            };
            map.treatment_of(&well)
        };
        let rows = descriptions(&map, [None, treatment("B03"), treatment("B04")].into_iter());
        assert_eq!(rows[0], [0.0; 4]);
        assert_eq!(rows[1], [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(rows[2], [1.0, -1.0, 1.0, 0.0]);
        assert_eq!(label(None, Labels::Treatment), "untreated");
        assert_eq!(label(treatment("B04"), Labels::Group), "drug_screened");
        assert_eq!(label(treatment("B04"), Labels::Treatment), "both");
    }

    #[test]
    fn ranks_count_different_values() {
        assert_eq!(
            ranks(&[7.0, 10.0, 7.0].map(|day| Day::new(day).unwrap())),
            [0, 1, 0]
        );
    }
}
