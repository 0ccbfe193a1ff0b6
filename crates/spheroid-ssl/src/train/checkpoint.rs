//! State of a training run on disk: one folder an epoch, complete or absent.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::{Device, TensorData};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use spheroid_core::atomic;

use super::{Checkpoints, Epoch, TrainConfig};
use crate::{
    SslError,
    methods::Method,
    optimizer::{Optimizer, OptimizerState},
    weights::{from_safetensors, read_bytes, read_json, to_safetensors, write_json},
};

const STATE: &str = "state.json";
const METHOD: &str = "method.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

#[derive(Serialize, Deserialize)]
struct State {
    identity: String,
    config: TrainConfig,
    epochs: Vec<Epoch>,
    /// Steps that the optimiser has counted, by parameter.
    counts: BTreeMap<String, u64>,
}

pub(super) struct Checkpoint {
    folder: PathBuf,
    epochs: Vec<Epoch>,
    counts: BTreeMap<String, u64>,
}

/// Writes `epoch-NNNNN` into `folder` and removes the older ones.
///
/// The folder gets its name only when everything in it is written, so a run that is killed at any
/// moment leaves either the old checkpoint or the new one; one that starts anew over the folder of another may
/// leave none.
pub(super) fn save<M: Method>(
    checkpoints: &Checkpoints<'_>,
    config: &TrainConfig,
    epochs: &[Epoch],
    method: &M,
    optimizer: &Optimizer,
) -> Result<(), SslError> {
    let io = |path: &Path, action| {
        let path = path.to_owned();
        move |source| SslError::Io {
            path,
            action,
            source,
        }
    };
    let Checkpoints {
        folder, identity, ..
    } = *checkpoints;
    let older = complete(folder)?;
    let name = name(epochs.len());
    let partial = folder.join(format!(".partial-{name}"));
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io(&partial, "remove"))?;
    }
    let path = partial.join(METHOD);
    atomic::write_bytes(&path, &to_safetensors(method, &path)?)?;
    let OptimizerState { tensors, counts } = optimizer.state();
    let path = partial.join(OPTIMIZER);
    atomic::write_bytes(&path, &serialize(&tensors, &path)?)?;
    let state = State {
        identity: identity.to_owned(),
        config: config.clone(),
        epochs: epochs.to_vec(),
        counts,
    };
    write_json(&partial.join(STATE), &state)?;

    let path = folder.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).map_err(io(&path, "remove"))?;
    }
    std::fs::rename(&partial, &path).map_err(io(&path, "rename"))?;
    for old in older.into_iter().filter(|old| *old != path) {
        std::fs::remove_dir_all(&old).map_err(io(&old, "remove"))?;
    }
    Ok(())
}

/// Folder of the checkpoint after so many epochs.
fn name(epochs: usize) -> String {
    format!("epoch-{epochs:05}")
}

/// The newest complete checkpoint, `None` when there is none.
pub(super) fn load(
    checkpoints: &Checkpoints<'_>,
    config: &TrainConfig,
) -> Result<Option<Checkpoint>, SslError> {
    let Some(folder) = complete(checkpoints.folder)?.pop() else {
        return Ok(None);
    };
    let path = folder.join(STATE);
    let state: State = read_json(&path)?;
    if state.config != *config || state.identity != checkpoints.identity {
        return Err(SslError::OtherRun { path });
    }
    if folder.file_name() != Some(name(state.epochs.len()).as_ref())
        || state.epochs.len() > config.epochs
    {
        let reason = format!(
            "lists {} epochs, which is not what it holds",
            state.epochs.len()
        );
        return Err(SslError::Model { path, reason });
    }
    Ok(Some(Checkpoint {
        folder,
        epochs: state.epochs,
        counts: state.counts,
    }))
}

impl Checkpoint {
    pub(super) fn apply<M: Method>(
        self,
        method: M,
        optimizer: Optimizer,
        device: &Device,
    ) -> Result<(M, Optimizer, Vec<Epoch>), SslError> {
        let method = from_safetensors(method, &self.folder.join(METHOD), STATE)?;
        let path = self.folder.join(OPTIMIZER);
        let state = OptimizerState {
            tensors: deserialize(&path)?,
            counts: self.counts,
        };
        let optimizer = optimizer
            .with_state(state, &device.clone().inner())
            .ok_or_else(|| SslError::Model {
                path,
                reason: format!("does not fit {STATE} beside it"),
            })?;
        Ok((method, optimizer, self.epochs))
    }
}

fn serialize(tensors: &[(String, TensorData)], path: &Path) -> Result<Vec<u8>, SslError> {
    let wrong = |error: safetensors::SafeTensorError| SslError::Model {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
        Ok((name, view.map_err(wrong)?))
    });
    let views = views.collect::<Result<Vec<_>, SslError>>()?;
    safetensors::serialize(views, None).map_err(wrong)
}

fn deserialize(path: &Path) -> Result<Vec<(String, TensorData)>, SslError> {
    let wrong = |reason: String| SslError::Model {
        path: path.to_owned(),
        reason,
    };
    let bytes = read_bytes(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
    let tensors = file.iter().map(|(name, view)| {
        if view.dtype() != Dtype::F32 {
            return Err(wrong(format!(
                "`{name}` is of type {:?}, not F32",
                view.dtype()
            )));
        }
        let values = view.data().chunks_exact(4);
        let values = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let data = TensorData::new(values.collect::<Vec<f32>>(), view.shape().to_vec());
        Ok((name.to_owned(), data))
    });
    tensors.collect()
}

/// Complete checkpoints, oldest first.
fn complete(folder: &Path) -> Result<Vec<PathBuf>, SslError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let io = |source| SslError::Io {
        path: folder.to_owned(),
        action: "list",
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("epoch-") && path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
