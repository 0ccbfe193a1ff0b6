//! A plate as it lies on disk.

use std::{collections::BTreeSet, path::Path};

use spheroid_core::{
    Group, ImageTable, PlateFormat, PlateMap, StackEntry, StackKey, StackSource, Warning,
};
use spheroid_imaging::{FocalStack, ImagingError, Limits, read_stack};

use crate::PipelineError;

/// The images of a plate that belong to a well of its plate map.
#[derive(Debug)]
pub struct Plate {
    stacks: Vec<StackEntry>,
    map: PlateMap,
    format: PlateFormat,
    limits: Limits,
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
            warnings: warnings.into_iter().flatten().collect(),
        })
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
        read_stack(&self.stacks[index].paths(), &self.limits)
    }
}
