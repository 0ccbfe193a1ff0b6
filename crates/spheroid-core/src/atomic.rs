//! Files that are either whole or not there.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use crate::CoreError;

/// Writes a file beside `path` and renames it once `write` has succeeded.
///
/// A run that is killed, or a `write` that fails, leaves whatever stood at `path` before.
/// Parent folders are created.
///
/// # Errors
/// What `write` returns, or [`CoreError::Io`] when the file cannot be created, flushed or renamed.
pub fn write_file<E: From<CoreError>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), E>,
) -> Result<(), E> {
    let io = |action| {
        move |source| CoreError::Io {
            path: path.to_owned(),
            action,
            source,
        }
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(io("create the folder of"))?;
    let beside = tempfile::Builder::new()
        .prefix(".partial-")
        .tempfile_in(folder)
        .map_err(io("create"))?;
    let mut writer = BufWriter::new(beside.as_file());
    write(&mut writer)?;
    writer.flush().map_err(io("write"))?;
    drop(writer);
    make_readable_by_others(beside.as_file()).map_err(io("set the permissions of"))?;
    beside
        .persist(path)
        .map_err(|error| io("rename")(error.error))?;
    Ok(())
}

/// Writes `bytes` to `path` as a whole, as [`write_file`] does.
///
/// # Errors
/// When the file cannot be created, written or renamed.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), CoreError> {
    write_file(path, |out| {
        out.write_all(bytes).map_err(|source| CoreError::Io {
            path: path.to_owned(),
            action: "write",
            source,
        })
    })
}

/// Temporary files are private; a result is meant to be read by the group that shares the folder.
#[cfg(unix)]
fn make_readable_by_others(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable_by_others(_: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let whole: Result<(), CoreError> = write_file(&path, |out| {
            out.write_all(b"old").unwrap();
            Ok(())
        });
        whole.unwrap();
        let failed: Result<(), CoreError> = write_file(&path, |out| {
            out.write_all(b"half of the ne").unwrap();
            Err(CoreError::PlateFormat { wells: 1 })
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_folders_are_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        write_file::<CoreError>(&path, |_| Ok(())).unwrap();
        assert!(path.is_file());
    }

    #[test]
    fn bytes_are_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_bytes(&path, b"old and long").unwrap();
        write_bytes(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
