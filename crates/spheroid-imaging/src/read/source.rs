use std::{
    fs::File,
    io::{self, ErrorKind},
    path::Path,
};

use crate::ImagingError;

/// Bytes of a TIFF file, read at any position by any number of threads.
#[derive(Debug)]
pub(crate) enum Source {
    /// An open file. Mapping it would be faster still, but a file that shrinks under a map ends the
    /// program.
    File { file: File, length: u64 },
    /// A file in memory.
    Memory(Vec<u8>),
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, ImagingError> {
        let error = |action| {
            move |source| ImagingError::Io {
                path: path.to_owned(),
                action,
                source,
            }
        };
        let file = File::open(path).map_err(error("open"))?;
        let metadata = file.metadata().map_err(error("open"))?;
        if metadata.is_dir() {
            return Err(error("read")(ErrorKind::IsADirectory.into()));
        }
        let length = metadata.len();
        Ok(Self::File { file, length })
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Whether the `count` bytes from `offset` on lie in the file.
    pub(crate) fn holds(&self, offset: u64, count: u64) -> bool {
        offset
            .checked_add(count)
            .is_some_and(|end| end <= self.length())
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before, and what the system says.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        if !self.holds(offset, bytes.len() as u64) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match self {
            Self::File { file, .. } => read_file_at(file, offset, bytes),
            Self::Memory(memory) => {
                let start = offset as usize;
                bytes.copy_from_slice(&memory[start..start + bytes.len()]);
                Ok(())
            }
        }
    }
}

#[cfg(unix)]
fn read_file_at(file: &File, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_file_at(file: &File, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        match file.seek_read(bytes, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                bytes = &mut bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
