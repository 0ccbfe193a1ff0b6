use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use spheroid_core::{CoreError, StackKey, StackSource, atomic};
use spheroid_imaging::write_stack;

use crate::{PlateSim, SimError};

/// Where the tables of a written plate are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlateFiles {
    /// `images.csv`: path, plate, well and day of every stack.
    pub images: PathBuf,
    /// `plate_map.csv`: what every well received.
    pub plate_map: PathBuf,
    /// `truth.csv`: the true kill of every treatment.
    pub truth: PathBuf,
}

impl PlateSim {
    /// Writes the plate into the folder `dir` as a real one would lie there: stacks as multi-page
    /// TIFF, `images/<plate>_<well>_d<day>.tif`, with `images.csv`, `plate_map.csv` and
    /// `truth.csv` (treatment, kill).
    ///
    /// Stacks are rendered in parallel, one at a time on each thread. `on_progress` is told the
    /// number of stacks written and of all, from any thread. Files that exist are replaced, each
    /// as a whole; the tables come last, so that they never name a stack that is not there.
    ///
    /// # Errors
    /// When a file cannot be written; stacks that were finished stay.
    pub fn write(
        &self,
        dir: &Path,
        on_progress: impl Fn(usize, usize) + Sync,
    ) -> Result<PlateFiles, SimError> {
        let done = AtomicUsize::new(0);
        self.keys().par_iter().try_for_each(|key| {
            let stack = self.stack(key)?;
            write_stack(&dir.join(file_name(key)), &stack)?;
            on_progress(done.fetch_add(1, Ordering::Relaxed) + 1, self.len());
            Ok::<(), SimError>(())
        })?;

        let files = PlateFiles {
            images: dir.join("images.csv"),
            plate_map: dir.join("plate_map.csv"),
            truth: dir.join("truth.csv"),
        };
        self.plate_map().write_csv(&files.plate_map)?;
        let treatments = self
            .truth()
            .iter()
            .map(|truth| [truth.treatment.clone(), truth.kill.to_string()]);
        write_table(&files.truth, ["treatment", "kill"], treatments)?;
        let stacks = self.keys().iter().map(|key| {
            [
                file_name(key),
                key.plate.clone(),
                key.well.to_string(),
                key.day.to_string(),
            ]
        });
        write_table(&files.images, ["path", "plate", "well", "day"], stacks)?;
        Ok(files)
    }
}

/// Path of a stack from the plate's folder, with `/` on every system.
fn file_name(key: &StackKey) -> String {
    format!("images/{}_{}_d{}.tif", key.plate, key.well, key.day)
}

fn write_table<const N: usize>(
    path: &Path,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<(), CoreError> {
    let csv_error = |source| CoreError::Csv {
        path: path.to_owned(),
        source,
    };
    atomic::write_file(path, |out| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(header).map_err(csv_error)?;
        for row in rows {
            writer.write_record(row).map_err(csv_error)?;
        }
        writer.flush().map_err(|source| CoreError::Io {
            path: path.to_owned(),
            action: "write",
            source,
        })
    })
}
