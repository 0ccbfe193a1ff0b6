//! A plate as it lies on disk.

use std::{collections::BTreeSet, path::Path};

use spheroid_core::{
    Group, ImageTable, PlateFormat, PlateMap, StackEntry, StackKey, StackSource, Warning,
};
use spheroid_imaging::{FocalStack, ImagingError, Limits, StackCache, read_stack};

use crate::PipelineError;

/// The images of a plate that belong to a well of its plate map.
#[derive(Debug)]
pub struct Plate {
    stacks: Vec<StackEntry>,
    map: PlateMap,
    format: PlateFormat,
    limits: Limits,
    cache: Option<StackCache>,
    warnings: Vec<Warning>,
}

impl Plate {
    /// Joins `images.csv` and the plate map of `folder` (`plate_map.csv`, or wellmap's
    /// `plate_map.toml` when there is no CSV).
    ///
    /// With `pattern`, file names take the place of `images.csv`: see
    /// [`ImageTable::from_pattern`].
    ///
    /// # Errors
    /// When a table is missing or wrong, when the two have no well in common, or when no untreated
    /// well has images.
    pub fn open(
        folder: &Path,
        pattern: Option<&str>,
        format: PlateFormat,
    ) -> Result<Self, PipelineError> {
        let (images, unmatched) = match pattern {
            Some(pattern) => ImageTable::from_pattern(folder, pattern, format)?,
            None => (
                ImageTable::read_csv(&folder.join("images.csv"), format)?,
                None,
            ),
        };
        let toml = folder.join("plate_map.toml");
        let csv = folder.join("plate_map.csv");
        let map = PlateMap::read(
            if toml.exists() && !csv.exists() {
                &toml
            } else {
                &csv
            },
            format,
        )?;
        let mut plate = Self::join(images, map, format)?;
        plate.warnings.splice(..0, unmatched);
        Ok(plate)
    }

    /// Joins images and plate map.
    ///
    /// Wells that only one of the two knows are left out and named in [`warnings`](Self::warnings).
    ///
    /// # Errors
    /// When the two have no well in common, or when no untreated well has images.
    pub fn join(
        mut images: ImageTable,
        map: PlateMap,
        format: PlateFormat,
    ) -> Result<Self, PipelineError> {
        let imaged: BTreeSet<_> = images
            .stacks()
            .iter()
            .map(|stack| stack.key.plate_well())
            .collect();
        let not_imaged = map.wells().keys().filter(|well| !imaged.contains(well));
        let not_mapped = imaged
            .iter()
            .filter(|well| map.treatment_of(well).is_none());
        let warnings = [
            Warning::about(
                "well of the plate map without images; left out",
                not_imaged.map(ToString::to_string).collect(),
            ),
            Warning::about(
                "well with images that the plate map lacks; left out",
                not_mapped.map(ToString::to_string).collect(),
            ),
        ];
        images.retain(|stack| map.treatment_of(&stack.key.plate_well()).is_some());
        if images.stacks().is_empty() {
            return Err(PipelineError::NothingInCommon);
        }
        let is_untreated = |stack: &StackEntry| {
            map.treatment_of(&stack.key.plate_well())
                .is_some_and(|treatment| treatment.group == Group::Untreated)
        };
        if !images.stacks().iter().any(is_untreated) {
            return Err(PipelineError::NoUntreated);
        }
        Ok(Self {
            stacks: images.stacks().to_vec(),
            map,
            format,
            limits: Limits::default(),
            cache: None,
            warnings: warnings.into_iter().flatten().collect(),
        })
    }

    /// The same plate, whose stacks are decoded once into `cache` and loaded from there afterwards.
    ///
    /// For what reads whole stacks again and again; the main job reads each once.
    pub fn with_cache(self, cache: StackCache) -> Self {
        let cache = Some(cache);
        Self { cache, ..self }
    }

    /// The cache that stacks are loaded from.
    pub fn cache(&self) -> Option<&StackCache> {
        self.cache.as_ref()
    }

    /// The stacks, sorted by plate, well and day.
    pub fn stacks(&self) -> &[StackEntry] {
        &self.stacks
    }

    /// What was done to each well.
    pub fn map(&self) -> &PlateMap {
        &self.map
    }

    /// What was left out.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The format that wells were checked against.
    pub fn format(&self) -> PlateFormat {
        self.format
    }
}

impl StackSource for Plate {
    type Stack = FocalStack;
    type Error = ImagingError;

    fn len(&self) -> usize {
        self.stacks.len()
    }

    fn key(&self, index: usize) -> &StackKey {
        &self.stacks[index].key
    }

    fn load(&self, index: usize) -> Result<FocalStack, ImagingError> {
        let paths = self.stacks[index].paths();
        match &self.cache {
            Some(cache) => Ok(cache.read(&paths, &self.limits)?.to_stack()),
            None => read_stack(&paths, &self.limits),
        }
    }
}

#[cfg(test)]
mod tests {
    use spheroid_imaging::CacheStatistics;
    use spheroid_sim::PlateSimConfig;

    use super::*;

    #[test]
    fn a_cached_plate_is_decoded_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = PlateSimConfig {
            rows: 32,
            columns: 32,
            planes: 2,
            ..PlateSimConfig::default()
        };
        let simulated = config.build().unwrap();
        simulated.write(folder.path(), |_, _| ()).unwrap();
        let open = || Plate::open(folder.path(), None, PlateFormat::W96).unwrap();
        let cache = || StackCache::open(folder.path().join("cache")).unwrap();

        let (plain, cached) = (open(), open().with_cache(cache()));
        let stacks = plain.len() as u64;
        for _epoch in 0..3 {
            for index in 0..plain.len() {
                assert_eq!(cached.load(index).unwrap(), plain.load(index).unwrap());
            }
        }
        let counted = |hits, misses| CacheStatistics {
            hits,
            misses,
            repaired: 0,
        };
        assert_eq!(
            cached.cache().unwrap().statistics(),
            counted(2 * stacks, stacks)
        );
        // Another process finds what this one decoded.
        let again = open().with_cache(cache());
        again.load(0).unwrap();
        assert_eq!(again.cache().unwrap().statistics(), counted(1, 0));
    }
}
