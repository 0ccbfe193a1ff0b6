use std::path::Path;

use burn::{
    module::Module,
    store::{ModuleSnapshot, SafetensorsStore},
    tensor::Device,
};
use spheroid_core::atomic;

use crate::{
    SslError,
    encoder::{Encoder, EncoderConfig},
};

const CONFIG: &str = "encoder.json";
const WEIGHTS: &str = "encoder.safetensors";
/// No encoder of this crate is near it; a larger file is not one of them.
pub(crate) const MOST_WEIGHT_BYTES: u64 = 4 << 30;

/// Writes `encoder.safetensors` and `encoder.json` into `folder`, each whole or not at all.
///
/// # Errors
/// When a file cannot be written.
pub fn save_encoder(
    folder: &Path,
    config: &EncoderConfig,
    encoder: &Encoder,
) -> Result<(), SslError> {
    let path = folder.join(WEIGHTS);
    atomic::write_bytes(&path, &to_safetensors(encoder, &path)?)?;
    write_json(&folder.join(CONFIG), config)
}

/// Reads what [`save_encoder`] wrote.
///
/// # Errors
/// When a file is missing or unreadable, or the weights are not those of the configuration.
pub fn load_encoder(folder: &Path, device: &Device) -> Result<(EncoderConfig, Encoder), SslError> {
    let config: EncoderConfig = read_json(&folder.join(CONFIG))?;
    let encoder = config.build(0, device)?;
    let encoder = from_safetensors(encoder, &folder.join(WEIGHTS), CONFIG)?;
    Ok((config, encoder))
}

/// All parameters and running statistics of `module` as a safetensors file, which will be at `path`.
pub(crate) fn to_safetensors<M: Module>(module: &M, path: &Path) -> Result<Vec<u8>, SslError> {
    let wrong = |error: &dyn std::fmt::Display| SslError::Model {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    // burn's own entries come in an order that differs from run to run.
    let mut store = SafetensorsStore::from_bytes(None)
        .clear_metadata()
        .metadata("format", "safetensors");
    // `valid` first: batch norm's running statistics are complete only when they are synchronised.
    let saved = module.valid().save_into(&mut store);
    saved.map_err(|error| wrong(&error))?;
    store.get_bytes().map_err(|error| wrong(&error))
}

/// Fills `module` from a safetensors file that must hold exactly its tensors; `config` beside it says what
/// they should be.
pub(crate) fn from_safetensors<M: Module>(
    mut module: M,
    path: &Path,
    config: &str,
) -> Result<M, SslError> {
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let mut store = SafetensorsStore::from_bytes(Some(read_bytes(path)?));
    let result = module
        .load_from(&mut store)
        .map_err(|error| wrong(error.to_string()))?;
    if !(result.missing.is_empty() && result.errors.is_empty() && result.unused.is_empty()) {
        return Err(wrong(format!("does not fit {config} beside it: {result}")));
    }
    Ok(module)
}

pub(crate) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), SslError> {
    let json = |source| SslError::Json {
        path: path.to_owned(),
        source,
    };
    let bytes = serde_json::to_vec_pretty(value).map_err(json)?;
    Ok(atomic::write_bytes(path, &bytes)?)
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SslError> {
    serde_json::from_slice(&read_bytes(path)?).map_err(|source| SslError::Json {
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, SslError> {
    check_size(path)?;
    std::fs::read(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: std::io::Error) -> SslError {
    SslError::Io {
        path: path.to_owned(),
        action: "read",
        source,
    }
}

/// Refuses a file that is too large to be weights.
pub(crate) fn check_size(path: &Path) -> Result<(), SslError> {
    let metadata = std::fs::metadata(path).map_err(|source| unreadable(path, source))?;
    let bytes = metadata.len();
    if bytes > MOST_WEIGHT_BYTES {
        let reason = format!("has {bytes} bytes; at most {MOST_WEIGHT_BYTES} are read");
        return Err(SslError::Model {
            path: path.to_owned(),
            reason,
        });
    }
    Ok(())
}
