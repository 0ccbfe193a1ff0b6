//! The crops of a plate in one file, so that training never decodes a TIFF twice and memory does not
//! grow with the number of images.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use ndarray::{Array1, Array2, Array3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spheroid_core::{
    CoreError, Day, Embeddings, Group, PlateMap, PlateWell, StackKey, StackSource, Warning, atomic,
};
use spheroid_imaging::{FocalStack, SegmentationFlag};

use crate::{
    Monitor, PipelineError, Plate,
    prepare::{MORPHOLOGY, PrepareConfig, Prepared},
};

const INDEX: &str = "crops.json";
const PIXELS: &str = "crops.bin";

/// The prepared stacks of a plate: crops on disk, everything else in memory.
#[derive(Debug)]
pub struct Crops {
    index: Index,
    pixels: Mutex<File>,
    path: PathBuf,
    identity: String,
}

/// Number of the way in which crops are made and measured: one more with every change of it.
const RECIPE: u32 = 2;

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    recipe: u32,
    config: PrepareConfig,
    /// Fingerprints of the image files, and what they show; others make the crops stale.
    sources: Vec<Source>,
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Source {
    key: StackKey,
    path: PathBuf,
    bytes: u64,
    modified_nanoseconds: u128,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    key: StackKey,
    offset: u64,
    planes: usize,
    morphology: Vec<f32>,
    flags: Vec<SegmentationFlag>,
    container_bits: u32,
}

impl Crops {
    /// Prepares every stack of `plate` into `folder`, or takes what lies there when it was made from
    /// the same files with the same settings.
    ///
    /// Stacks are decoded in parallel, one at a time on each thread.
    ///
    /// # Errors
    /// When a stack cannot be read or prepared, or a file cannot be written; nothing that could be
    /// taken for finished crops is then left.
    pub fn prepare(
        plate: &Plate,
        folder: &Path,
        config: &PrepareConfig,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let preparer = config.build()?;
        let sources = sources(plate)?;
        if let Some(found) = Self::open(folder)?
            && found.index.config == *config
            && found.index.sources == sources
        {
            return Ok(found);
        }
        let path = folder.join(PIXELS);
        remove_stale(&folder.join(INDEX))?;
        monitor.start("preparing images", plate.len());
        let mut entries: Vec<Entry> = Vec::with_capacity(plate.len());
        atomic::write_file(&path, |out| {
            let shared = Mutex::new((out, 0u64, &mut entries));
            (0..plate.len()).into_par_iter().try_for_each(|index| {
                let key = plate.key(index).clone();
                let prepare =
                    |stack: FocalStack| Ok((stack.container_bits(), preparer.prepare(&stack)?));
                let (container_bits, prepared) =
                    plate.load(index).and_then(prepare).map_err(|source| {
                        let stack = key.to_string();
                        PipelineError::Stack { stack, source }
                    })?;
                let Prepared {
                    crop,
                    morphology,
                    flags,
                } = prepared;
                let bytes: Vec<u8> = crop.iter().flat_map(|value| value.to_le_bytes()).collect();
                let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let (out, offset, entries) = &mut *shared;
                out.write_all(&bytes).map_err(io(&path, "write"))?;
                let planes = crop.len_of(Axis(0));
                let morphology = morphology.to_vec();
                entries.push(Entry {
                    key,
                    offset: *offset,
                    planes,
                    morphology,
                    flags,
                    container_bits,
                });
                *offset += bytes.len() as u64;
                monitor.step(None);
                Ok::<(), PipelineError>(())
            })
        })?;
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        monitor.finish();

        let index = Index {
            recipe: RECIPE,
            config: *config,
            sources,
            entries,
        };
        write_json(&folder.join(INDEX), &index)?;
        let pixels = File::open(&path).map_err(io(&path, "open"))?;
        Self::new(index, pixels, path)
    }

    fn new(index: Index, pixels: File, path: PathBuf) -> Result<Self, PipelineError> {
        let made_of = serde_json::to_vec(&(index.recipe, &index.config, &index.sources)).map_err(
            |source| PipelineError::Json {
                path: path.clone(),
                source,
            },
        )?;
        let identity = hex_digest(&made_of);
        Ok(Self {
            index,
            pixels: Mutex::new(pixels),
            path,
            identity,
        })
    }

    /// Opens finished crops; `None` when there are none.
    fn open(folder: &Path) -> Result<Option<Self>, PipelineError> {
        let path = folder.join(INDEX);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(&path, "open")(error)),
        };
        // Crops of another version are made anew; their index may not even be readable.
        let Ok(index) = serde_json::from_reader::<_, Index>(BufReader::new(file)) else {
            return Ok(None);
        };
        let path = folder.join(PIXELS);
        let Ok(pixels) = File::open(&path) else {
            return Ok(None);
        };
        let size = index.config.size as u64;
        let needed: u64 = index
            .entries
            .iter()
            .map(|entry| 4 * entry.planes as u64 * size * size)
            .sum();
        let found = pixels.metadata().map_err(io(&path, "read"))?.len();
        (found == needed && index.recipe == RECIPE)
            .then(|| Self::new(index, pixels, path))
            .transpose()
    }

    /// Number of stacks.
    pub fn len(&self) -> usize {
        self.index.entries.len()
    }

    /// Whether there is no stack.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the crops show, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &StackKey> {
        self.index.entries.iter().map(|entry| &entry.key)
    }

    /// A digest of what the crops were made of: settings and image files.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Side of every crop in pixels.
    pub fn size(&self) -> usize {
        self.index.config.size
    }

    /// Reads one crop, `[plane, row, column]`.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn load(&self, index: usize) -> Result<Array3<f32>, PipelineError> {
        let size = self.size();
        let Entry { offset, planes, .. } = self.index.entries[index];
        let mut bytes = vec![0; 4 * planes * size * size];
        {
            let mut file = self.pixels.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))
                .map_err(io(&self.path, "read"))?;
            file.read_exact(&mut bytes)
                .map_err(io(&self.path, "read"))?;
        }
        let values = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Ok(
            Array3::from_shape_vec((planes, size, size), values.collect())
                .expect("a crop has planes × size × size values"),
        )
    }

    /// What was measured of the spheroid of every stack: features named [`MORPHOLOGY`].
    ///
    /// # Errors
    /// When a measurement is not finite.
    pub fn morphology(&self) -> Result<Embeddings, PipelineError> {
        let mut values = Array2::zeros((self.len(), MORPHOLOGY.len()));
        for (mut row, entry) in values.rows_mut().into_iter().zip(&self.index.entries) {
            row.assign(&Array1::from(entry.morphology.clone()));
        }
        Ok(Embeddings::new(self.keys().cloned().collect(), values)?)
    }

    /// What is doubtful about the outline in the stack of that key; nothing when there is no such stack.
    pub fn flags(&self, key: &StackKey) -> &[SegmentationFlag] {
        let found = self
            .index
            .entries
            .binary_search_by(|entry| entry.key.cmp(key));
        found.map_or(&[], |index| &self.index.entries[index].flags)
    }

    /// Wells that tell nothing about a drug: without a spheroid on the last day up to `drug_day`, or untreated and
    /// without one on the last day. A treated well whose spheroid is gone after the drug is a result.
    pub fn failed_wells(&self, map: &PlateMap, drug_day: Day) -> BTreeSet<PlateWell> {
        let mut last: BTreeMap<PlateWell, [Option<&Entry>; 2]> = BTreeMap::new();
        for entry in &self.index.entries {
            let [before, end] = last.entry(entry.key.plate_well()).or_default();
            if entry.key.day <= drug_day {
                *before = Some(entry);
            }
            *end = Some(entry);
        }
        let empty = |entry: Option<&Entry>| {
            entry.is_some_and(|entry| entry.flags.contains(&SegmentationFlag::EmptyWell))
        };
        let failed = last.into_iter().filter(|(well, [before, end])| {
            let treatment = map.treatment_of(well);
            let untreated = treatment.is_some_and(|of| of.group == Group::Untreated);
            treatment.is_some() && (empty(*before) || untreated && empty(*end))
        });
        failed.map(|(well, _)| well).collect()
    }

    /// Names the stacks in which no spheroid was found or its outline is doubtful, and those with fewer
    /// than 16 bits.
    pub fn warnings(&self) -> Vec<Warning> {
        let about = |what: String, is: &dyn Fn(&Entry) -> bool| {
            let entries = self.index.entries.iter().filter(|entry| is(entry));
            Warning::about(what, entries.map(|entry| entry.key.to_string()).collect())
        };
        let doubtful = SegmentationFlag::ALL.into_iter().filter_map(|flag| {
            let what = match flag {
                SegmentationFlag::EmptyWell => {
                    "image without a spheroid that could be found; its middle is used".to_owned()
                }
                _ => format!("image whose outline should be looked at ({flag})"),
            };
            about(what, &|entry| entry.flags.contains(&flag))
        });
        let shallow = about(
            "8-bit image: at most 256 tones are left of what the camera saw".to_owned(),
            &|entry| entry.container_bits < 16,
        );
        doubtful.chain(shallow).collect()
    }
}

fn sources(plate: &Plate) -> Result<Vec<Source>, PipelineError> {
    let files = plate.stacks().iter().flat_map(|stack| {
        let of_stack = |path| (stack.key.clone(), path);
        stack.paths().into_iter().map(of_stack)
    });
    files
        .map(|(key, path)| {
            let about = std::fs::metadata(&path).map_err(io(&path, "open"))?;
            let modified = about.modified().map_err(io(&path, "read"))?;
            let modified_nanoseconds = modified
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos());
            Ok(Source {
                key,
                bytes: about.len(),
                modified_nanoseconds,
                path,
            })
        })
        .collect()
}

fn remove_stale(path: &Path) -> Result<(), PipelineError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io(path, "remove")(error))
        }
        _ => Ok(()),
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), PipelineError> {
    atomic::write_file(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value).map_err(|source| PipelineError::Json {
            path: path.to_owned(),
            source,
        })?;
        out.write_all(b"\n").map_err(io(path, "write"))
    })
}

pub(crate) fn io(
    path: &Path,
    action: &'static str,
) -> impl Fn(std::io::Error) -> PipelineError + use<> {
    let path = path.to_owned();
    move |source| {
        CoreError::Io {
            path: path.clone(),
            action,
            source,
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use spheroid_core::{Dose, PlateFormat, Treatment, WellId};

    use super::*;

    fn well(column: usize) -> PlateWell {
        PlateWell {
            plate: "p".into(),
            well: WellId::new(1, column).unwrap(),
        }
    }

    #[test]
    fn wells_fail_for_what_no_drug_did() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PIXELS);
        // Column 1 is untreated, as is column 5; each is listed with the days on which it is empty.
        let empty: [(usize, &[f64]); 5] = [
            (1, &[10.0]),
            (2, &[7.0]),
            (3, &[10.0]),
            (4, &[5.0]),
            (5, &[8.0]),
        ];
        let mut entries = Vec::new();
        for (column, empty) in empty {
            for day in [5.0, 7.0, 8.0, 10.0] {
                let is_empty = empty.contains(&day);
                entries.push(Entry {
                    key: StackKey {
                        plate: "p".into(),
                        well: well(column).well,
                        day: Day::new(day).unwrap(),
                    },
                    offset: 0,
                    planes: 1,
                    morphology: Vec::new(),
                    flags: is_empty
                        .then_some(SegmentationFlag::EmptyWell)
                        .into_iter()
                        .collect(),
                    container_bits: 16,
                });
            }
        }
        let index = Index {
            recipe: RECIPE,
            config: PrepareConfig::default(),
            sources: Vec::new(),
            entries,
        };
        let crops = Crops::new(index, File::create(&path).unwrap(), path).unwrap();
        let dose = Dose {
            drug: "X".into(),
            concentration: 1.0,
            unit: "uM".into(),
        };
        let treatment = |column: usize| {
            let (group, doses) = match column {
                1 | 5 => (Group::Untreated, Vec::new()),
                _ => (Group::DrugScreened, vec![dose.clone()]),
            };
            Treatment {
                name: group.name().into(),
                group,
                doses,
            }
        };
        let wells = (1..=5).map(|column| (well(column), treatment(column)));
        let map = PlateMap::new(wells, PlateFormat::W96).unwrap();
        let failed = crops.failed_wells(&map, Day::new(7.0).unwrap());
        assert_eq!(failed, BTreeSet::from([well(1), well(2)]));
        let left = map.without(&failed);
        assert_eq!(left.wells().len(), 3);
        assert_eq!(left.treatment_of(&well(2)), None);
        let key = |column, day| StackKey {
            plate: "p".into(),
            well: well(column).well,
            day: Day::new(day).unwrap(),
        };
        assert_eq!(crops.flags(&key(3, 10.0)), [SegmentationFlag::EmptyWell]);
        assert!(crops.flags(&key(3, 8.0)).is_empty() && crops.flags(&key(9, 8.0)).is_empty());
    }
}
