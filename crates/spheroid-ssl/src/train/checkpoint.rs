//! State of a training run on disk: one folder an epoch, complete or absent.

use std::path::{Path, PathBuf};

use burn::{
    optim::{ModuleOptimizer, OptimizerRecord},
    store::ModuleRecord,
    tensor::Bytes,
};
use serde::{Deserialize, Serialize};
use spheroid_core::atomic;

use super::{Checkpoints, Epoch, TrainConfig};
use crate::{
    SslError,
    methods::Method,
    weights::{read_bytes, read_json, write_json},
};

const STATE: &str = "state.json";
const METHOD: &str = "method.bpk";
const OPTIMIZER: &str = "optimizer.bpk";

#[derive(Serialize, Deserialize)]
struct State {
    identity: String,
    config: TrainConfig,
    epochs: Vec<Epoch>,
}

pub(super) struct Checkpoint {
    folder: PathBuf,
    epochs: Vec<Epoch>,
}

/// Writes `epoch-NNNNN` into `folder` and removes the older ones.
///
/// The folder gets its name only when everything in it is written, so a run that is killed at any
/// moment leaves either the old checkpoint or the new one.
pub(super) fn save<M: Method>(
    checkpoints: &Checkpoints<'_>,
    config: &TrainConfig,
    epochs: &[Epoch],
    method: &M,
    optimizer: &ModuleOptimizer,
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
    let name = format!("epoch-{:05}", epochs.len());
    let partial = folder.join(format!(".partial-{name}"));
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io(&partial, "remove"))?;
    }
    // `valid` first: batch norm's running statistics reach a record only when they are synchronised.
    let record = method.valid().into_record().into_bytes();
    let record = record.map_err(|error| SslError::record(&partial, error))?;
    atomic::write_bytes(&partial.join(METHOD), &record)?;
    let record = optimizer.to_record().into_bytes();
    let record = record.map_err(|error| SslError::record(&partial, error))?;
    atomic::write_bytes(&partial.join(OPTIMIZER), &record)?;
    let state = State {
        identity: identity.to_owned(),
        config: config.clone(),
        epochs: epochs.to_vec(),
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
    Ok(Some(Checkpoint {
        folder,
        epochs: state.epochs,
    }))
}

impl Checkpoint {
    pub(super) fn apply<M: Method>(
        self,
        method: M,
        optimizer: ModuleOptimizer,
    ) -> Result<(M, ModuleOptimizer, Vec<Epoch>), SslError> {
        let path = self.folder.join(METHOD);
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(read_bytes(&path)?))
            .map_err(|error| SslError::record(&path, error))?;
        let method = method
            .try_load_record(record)
            .map_err(|error| SslError::record(&path, error))?;
        let path = self.folder.join(OPTIMIZER);
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(read_bytes(&path)?))
            .map_err(|error| SslError::record(&path, error))?;
        Ok((method, optimizer.load_record(record), self.epochs))
    }
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
