//! Images with classes, for probes on other data than plates: IDX files or folders named after classes.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use ndarray::{Array2, Array3, Axis};
use sha2::{Digest, Sha256};
use spheroid_core::{Embed, ParamError, PlateMap, at_least};
use spheroid_imaging::{Limits, Scale, read_stack};
use spheroid_ssl::SslError;

use crate::{
    Monitor, PipelineError,
    crops::{Crops, hex, io},
    views::{ImageSet, ViewsConfig, acting, label, ranks},
};

/// Most values that are read into memory: 4 GiB of them.
const MOST_VALUES: u64 = 1 << 30;
/// Most images: each takes memory beside its pixels.
const MOST_IMAGES: usize = 1 << 24;

/// Images of one shape and the class of each.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledImages {
    images: Vec<Array3<f32>>,
    labels: Vec<usize>,
    classes: Vec<String>,
}

impl LabelledImages {
    /// Reads the images to learn from and, where there are some, those to test with.
    ///
    /// `folder` holds either the IDX files of MNIST and its kin (`train-images-idx3-ubyte`,
    /// `train-labels-idx1-ubyte` and the same with `t10k`, each plain or with `.gz`), or one folder a class
    /// with TIFF and PNG images, or such class folders in `train` and `test`. Tones are scaled from the range
    /// of the sample type to 0 to 1.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be, images differ in shape, or there is none.
    pub fn open(folder: &Path) -> Result<(Self, Option<Self>), PipelineError> {
        let idx = |part: &str| {
            let images = idx_path(folder, &format!("{part}-images-idx3-ubyte"));
            let labels = idx_path(folder, &format!("{part}-labels-idx1-ubyte"));
            images.zip(labels)
        };
        if let Some((images, labels)) = idx("train") {
            let mut train = Self::read_idx(&images, &labels)?;
            let test = idx("t10k").map(|(images, labels)| Self::read_idx(&images, &labels));
            let mut test = test.transpose()?;
            // A class may be missing on one side.
            if let Some(test) = &mut test {
                if test.classes.len() > train.classes.len() {
                    train.classes.clone_from(&test.classes);
                }
                test.classes.clone_from(&train.classes);
            }
            return Ok((train, test));
        }
        let [train, test] = ["train", "test"].map(|part| folder.join(part));
        if train.is_dir() {
            let train = Self::read_folders(&train)?;
            if !test.is_dir() {
                return Ok((train, None));
            }
            let images = Self::read_folders(&test)?;
            if images.classes != train.classes {
                let reason = format!(
                    "holds the classes {:?}, but the images to learn from {:?}",
                    images.classes, train.classes
                );
                return Err(PipelineError::Stage { path: test, reason });
            }
            return Ok((train, Some(images)));
        }
        Ok((Self::read_folders(folder)?, None))
    }

    /// Every focal plane of the images of a plate taken after the drug day, with its well.
    ///
    /// # Errors
    /// When a crop cannot be read, or there is no image after the drug day.
    pub fn of_plate(
        crops: &Crops,
        map: &PlateMap,
        config: ViewsConfig,
    ) -> Result<(Self, Vec<usize>), PipelineError> {
        let rows = after_drug(crops, map, config)?;
        let mut found = Self {
            images: Vec::new(),
            labels: Vec::new(),
            classes: rows.classes,
        };
        let mut wells = Vec::new();
        for ((item, label), well) in rows.items.iter().zip(&rows.labels).zip(&rows.wells) {
            let crop = crops.load(*item)?;
            if (found.images.len() + 1) as u64 * crop.len() as u64 > MOST_VALUES {
                let rule = "few enough to fit into 4 GiB";
                return Err(ParamError::new("crops", crops.len(), rule).into());
            }
            for plane in crop.axis_iter(Axis(0)) {
                found.images.push(plane.insert_axis(Axis(0)).to_owned());
                found.labels.push(*label);
                wells.push(*well);
            }
        }
        Ok((found, wells))
    }

    fn read_idx(images: &Path, labels: &Path) -> Result<Self, PipelineError> {
        let (count, classes) = read_idx(labels, 1)?;
        let (shape, pixels) = read_idx(images, 3)?;
        if shape[0] != count[0] {
            return Err(PipelineError::Stage {
                path: labels.to_owned(),
                reason: format!("{} labels for {} images", count[0], shape[0]),
            });
        }
        let size = shape[1] * shape[2];
        if size == 0 || shape[0] == 0 {
            return Err(PipelineError::Stage {
                path: images.to_owned(),
                reason: "holds no pixel".to_owned(),
            });
        }
        let image = |pixels: &[u8]| {
            let tones = pixels.iter().map(|tone| f32::from(*tone) / 255.0);
            Array3::from_shape_vec((1, shape[1], shape[2]), tones.collect())
                .expect("a chunk has as many pixels as an image")
        };
        let last = classes.iter().max().map_or(0, |last| usize::from(*last));
        Ok(Self {
            images: pixels.chunks_exact(size).map(image).collect(),
            labels: classes.into_iter().map(usize::from).collect(),
            classes: (0..=last).map(|class| class.to_string()).collect(),
        })
    }

    fn read_folders(folder: &Path) -> Result<Self, PipelineError> {
        let mut found = Self {
            images: Vec::new(),
            labels: Vec::new(),
            classes: Vec::new(),
        };
        for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let files = entries(&class)?;
            let files = files.iter().filter_map(|path| {
                let extension = path.extension()?.to_str()?.to_ascii_lowercase();
                matches!(extension.as_str(), "tif" | "tiff" | "png").then_some((path, extension))
            });
            let mut any = false;
            for (path, extension) in files {
                let image = if extension == "png" {
                    read_png(path)?
                } else {
                    read_tiff(path)?
                };
                found.push(path, image)?;
                any = true;
            }
            if any {
                let name = class.file_name().unwrap_or_default();
                found.classes.push(name.to_string_lossy().into_owned());
            }
        }
        if found.images.is_empty() {
            return Err(PipelineError::Stage {
                path: folder.to_owned(),
                reason: "holds neither IDX files nor folders of TIFF or PNG images".to_owned(),
            });
        }
        Ok(found)
    }

    /// Adds an image of the class that is being read.
    fn push(&mut self, path: &Path, image: Array3<f32>) -> Result<(), PipelineError> {
        let wrong = |reason| PipelineError::Stage {
            path: path.to_owned(),
            reason,
        };
        if let Some(first) = self
            .images
            .first()
            .filter(|first| first.dim() != image.dim())
        {
            return Err(wrong(format!(
                "has shape {:?} (planes, rows, columns), other images {:?}",
                image.dim(),
                first.dim()
            )));
        }
        if (self.images.len() + 1) as u64 * image.len() as u64 > MOST_VALUES {
            return Err(wrong("is one image more than fit into 4 GiB".to_owned()));
        }
        self.images.push(image);
        self.labels.push(self.classes.len());
        Ok(())
    }

    /// Number of images, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is always an image")]
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// The images, `[plane, row, column]` each.
    pub fn images(&self) -> &[Array3<f32>] {
        &self.images
    }

    /// Class of every image: its place in [`classes`](Self::classes).
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// At most the first `count` images of every class.
    ///
    /// # Errors
    /// When the count is 0.
    pub fn first_of_class(&self, count: usize) -> Result<Self, ParamError> {
        let mut seen = vec![0; self.classes.len()];
        let kept: Vec<usize> = (0..self.len())
            .filter(|&item| {
                let seen = &mut seen[self.labels[item]];
                *seen += 1;
                *seen <= count
            })
            .collect();
        self.select(&kept)
    }

    /// Those images.
    ///
    /// # Errors
    /// When there is none.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len).
    pub fn select(&self, items: &[usize]) -> Result<Self, ParamError> {
        at_least("items", items.len(), 1, "at least one image")?;
        Ok(Self {
            images: items
                .iter()
                .map(|item| self.images[*item].clone())
                .collect(),
            labels: items.iter().map(|item| self.labels[*item]).collect(),
            classes: self.classes.clone(),
        })
    }

    /// The pixels of every image as its features, `[image, pixel]`.
    pub fn pixels(&self) -> Array2<f32> {
        let values = self.images.iter().flat_map(|image| image.iter().copied());
        let shape = (self.len(), self.images[0].len());
        Array2::from_shape_vec(shape, values.collect()).expect("all images have one shape")
    }

    /// Features of every image, `[image, feature]`.
    ///
    /// # Errors
    /// When the encoder refuses the images.
    pub fn embed<E>(&self, encoder: &E, monitor: &dyn Monitor) -> Result<Array2<f32>, PipelineError>
    where
        E: Embed<Item = Array3<f32>, Error = SslError>,
    {
        const CHUNK: usize = 256;
        monitor.start("embedding images", self.len().div_ceil(CHUNK));
        let mut features = Array2::zeros((0, encoder.dim()));
        for chunk in self.images.chunks(CHUNK) {
            let rows = encoder.embed(chunk);
            let first = features.nrows();
            let rows = rows.map_err(|error| error.renumbered(|index| first + index))?;
            features
                .append(Axis(0), rows.view())
                .expect("every row has `dim` features");
            monitor.step(None);
        }
        monitor.finish();
        Ok(features)
    }
}

/// The stacks of a plate taken after the drug day, with the class and the number of the well of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterDrug {
    /// Places among the crops.
    pub items: Vec<usize>,
    /// Class of every stack: its place in `classes`.
    pub labels: Vec<usize>,
    /// Number of the well of every stack.
    pub wells: Vec<usize>,
    /// Names of the classes.
    pub classes: Vec<String>,
}

/// Classes of the stacks of a plate for probes.
///
/// Images up to the drug day are left out: on them all wells are untreated.
///
/// # Errors
/// When there is no stack after the drug day.
pub fn after_drug(
    crops: &Crops,
    map: &PlateMap,
    config: ViewsConfig,
) -> Result<AfterDrug, PipelineError> {
    let mut names = Vec::new();
    let mut wells = Vec::new();
    let mut items = Vec::new();
    for (item, key) in crops.keys().enumerate() {
        if key.day > config.drug_day && map.treatment_of(&key.plate_well()).is_some() {
            names.push(label(acting(map, key, config.drug_day), config.labels));
            wells.push(key.plate_well());
            items.push(item);
        }
    }
    if items.is_empty() {
        let rule = "before a day on which there are images";
        return Err(ParamError::new("drug_day", config.drug_day, rule).into());
    }
    let labels = ranks(&names);
    names.sort();
    names.dedup();
    Ok(AfterDrug {
        items,
        labels,
        wells: ranks(&wells),
        classes: names,
    })
}

impl ImageSet for LabelledImages {
    fn images(&self) -> &[Array3<f32>] {
        &self.images
    }

    fn label(&self, item: usize) -> Option<usize> {
        Some(self.labels[item])
    }

    /// A digest of all pixels and labels.
    fn identity(&self) -> String {
        let mut digest = Sha256::new();
        for (image, label) in self.images.iter().zip(&self.labels) {
            let (planes, rows, columns) = image.dim();
            for number in [*label, planes, rows, columns] {
                digest.update((number as u64).to_le_bytes());
            }
            let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
            digest.update(&bytes);
        }
        hex(&digest.finalize())
    }
}

/// Entries of a folder by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PipelineError> {
    let list = std::fs::read_dir(folder).map_err(io(folder, "list"))?;
    let paths = list.map(|entry| Ok(entry.map_err(io(folder, "list"))?.path()));
    let mut paths = paths.collect::<Result<Vec<_>, PipelineError>>()?;
    paths.sort();
    Ok(paths)
}

/// The file of that name, or the one with `.gz` behind it.
fn idx_path(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.gz"));
    [plain, packed].into_iter().find(|path| path.is_file())
}

/// Sizes and bytes of an IDX file of unsigned bytes with that many axes.
fn read_idx(path: &Path, axes: usize) -> Result<(Vec<usize>, Vec<u8>), PipelineError> {
    let wrong = |reason: String| PipelineError::Stage {
        path: path.to_owned(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(io(path, "open"))?;
    let mut file: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(flate2::read::GzDecoder::new(file))
    } else {
        Box::new(std::io::BufReader::new(file))
    };
    let mut header = vec![0; 4 + 4 * axes];
    file.read_exact(&mut header).map_err(io(path, "read"))?;
    if header[..4] != [0, 0, 8, axes as u8] {
        return Err(wrong(format!(
            "is not an IDX file of bytes with {axes} axes"
        )));
    }
    let sizes: Vec<usize> = header[4..]
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let count = sizes
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size as u64));
    let Some(count) = count.filter(|count| *count <= MOST_VALUES && sizes[0] <= MOST_IMAGES) else {
        return Err(wrong(format!(
            "says that it holds {sizes:?} values, too many to read"
        )));
    };
    let mut bytes = Vec::new();
    // One more than there should be, to see whether there is.
    file.take(count + 1)
        .read_to_end(&mut bytes)
        .map_err(io(path, "read"))?;
    if bytes.len() as u64 != count {
        let relation = if (bytes.len() as u64) < count {
            "fewer"
        } else {
            "more"
        };
        return Err(wrong(format!(
            "holds {relation} values than the {count} that it says"
        )));
    }
    Ok((sizes, bytes))
}

fn read_tiff(path: &Path) -> Result<Array3<f32>, PipelineError> {
    let stack = read_stack(&[path.to_owned()], &Limits::default())?;
    let mut image = Array3::zeros(stack.dim());
    for (plane, mut out) in image.axis_iter_mut(Axis(0)).enumerate() {
        out.assign(&stack.plane_f32(plane, Scale::Container)?);
    }
    Ok(image)
}

/// A grey PNG of 8 or 16 bits.
fn read_png(path: &Path) -> Result<Array3<f32>, PipelineError> {
    let wrong = |reason: String| PipelineError::Stage {
        path: path.to_owned(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(io(path, "open"))?;
    let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
    // Grey of 1, 2 or 4 bits and palettes are widened to bytes.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder
        .read_info()
        .map_err(|error| wrong(error.to_string()))?;
    let size = reader.output_buffer_size();
    let Some(size) = size.filter(|size| *size as u64 <= MOST_VALUES) else {
        return Err(wrong("is too large to read".to_owned()));
    };
    let mut bytes = vec![0; size];
    let info = reader
        .next_frame(&mut bytes)
        .map_err(|error| wrong(error.to_string()))?;
    if info.color_type != png::ColorType::Grayscale {
        return Err(wrong(format!("is {:?}, not grey", info.color_type)));
    }
    let bytes = &bytes[..info.buffer_size()];
    let tones: Vec<f32> = if info.bit_depth == png::BitDepth::Sixteen {
        let tones = bytes.chunks_exact(2);
        tones
            .map(|b| f32::from(u16::from_be_bytes([b[0], b[1]])) / 65_535.0)
            .collect()
    } else {
        bytes.iter().map(|tone| f32::from(*tone) / 255.0).collect()
    };
    let shape = (1, info.height as usize, info.width as usize);
    Array3::from_shape_vec(shape, tones).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn idx(sizes: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        file.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        file.extend(bytes);
        file
    }

    fn write_idx(folder: &Path, images: &[u8], labels: &[u8]) {
        fs::write(folder.join("train-images-idx3-ubyte"), images).unwrap();
        let file = fs::File::create(folder.join("train-labels-idx1-ubyte.gz")).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(labels).unwrap();
        packed.finish().unwrap();
    }

    #[test]
    fn idx_files_are_read_plain_and_packed() {
        let folder = tempfile::tempdir().unwrap();
        let pixels = [0, 51, 102, 153, 204, 255];
        write_idx(
            folder.path(),
            &idx(&[3, 1, 2], &pixels),
            &idx(&[3], &[1, 0, 1]),
        );
        let (images, test) = LabelledImages::open(folder.path()).unwrap();
        assert!(test.is_none());
        assert_eq!(images.labels(), [1, 0, 1]);
        assert_eq!(images.classes(), ["0", "1"]);
        let expected = ndarray::arr2(&[[0.0, 0.2], [0.4, 0.6], [0.8, 1.0]]);
        assert_eq!(images.pixels(), expected);
        assert_eq!(images.first_of_class(1).unwrap().labels(), [1, 0]);
        assert!(images.first_of_class(0).is_err());
    }

    #[test]
    fn idx_files_that_lie_are_refused() {
        let good = idx(&[1], &[0]);
        for (images, labels, says) in [
            (idx(&[2, 1, 1], &[0]), good.clone(), "fewer values"),
            (idx(&[1, 1, 1], &[0, 0]), good.clone(), "more values"),
            (
                idx(&[1, 1, 1], &[0]),
                idx(&[2], &[0, 0]),
                "2 labels for 1 images",
            ),
            (idx(&[u32::MAX; 3], &[0]), good.clone(), "too many to read"),
            (idx(&[1, 1], &[0]), good.clone(), "not an IDX file"),
            (idx(&[0, 1, 1], &[]), idx(&[0], &[]), "no pixel"),
            (vec![0, 0], good, "cannot read"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            // An axis too few leaves the header short; fill it up so that the magic number is seen.
            let mut images = images;
            if images.len() > 4 && images[3] == 2 {
                images.extend([0; 8]);
            }
            write_idx(folder.path(), &images, &labels);
            let error = LabelledImages::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn class_folders_of_png_are_read_at_full_depth() {
        let folder = tempfile::tempdir().unwrap();
        let image = |class: &str, name: &str, depth, bytes: &[u8]| {
            let class = folder.path().join("train").join(class);
            fs::create_dir_all(&class).unwrap();
            let file = fs::File::create(class.join(name)).unwrap();
            let mut encoder = png::Encoder::new(file, 2, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(depth);
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(bytes).unwrap();
        };
        image(
            "a",
            "1.png",
            png::BitDepth::Sixteen,
            &[0x80, 0x01, 0xff, 0xff],
        );
        image("b", "2.PNG", png::BitDepth::Eight, &[0, 255]);
        fs::write(folder.path().join("train/b/notes.txt"), "no image").unwrap();
        let (images, test) = LabelledImages::open(folder.path()).unwrap();
        assert!(test.is_none());
        assert_eq!(images.classes(), ["a", "b"]);
        assert_eq!(images.labels(), [0, 1]);
        let first = images.images()[0][[0, 0, 0]];
        assert_eq!(first, 0x8001 as f32 / 65_535.0);

        image("b", "3.png", png::BitDepth::Eight, &[0, 255]);
        fs::create_dir_all(folder.path().join("test/b")).unwrap();
        fs::copy(
            folder.path().join("train/b/3.png"),
            folder.path().join("test/b/3.png"),
        )
        .unwrap();
        let error = LabelledImages::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds the classes"), "{error}");
    }

    #[test]
    fn a_folder_without_images_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = LabelledImages::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("neither IDX files"), "{error}");
    }
}
