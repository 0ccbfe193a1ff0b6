//! A tiny plate, the programs that work on it, and how to look at what they leave.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use spheroid::{
    core::{Group, PlateMap, StackSource, WellId},
    sim::{PlateSimConfig, Screen},
};
use tempfile::TempDir;

/// Stacks of the tiny plate: 14 wells on 4 days, a little more than one batch.
pub(crate) const STACKS: usize = 56;
pub(crate) const WELLS: usize = 14;

/// What only a finished run may leave in its folder.
pub(crate) const RESULTS: [&str; 7] = [
    "embeddings.csv",
    "morphology.csv",
    "model/settings.json",
    "ranking.csv",
    "ranking.json",
    "report.html",
    "wells.csv",
];

/// A folder for what several tests use, empty at first.
///
/// It is the same folder every time, so that nothing piles up; the lock makes a second run of these
/// tests wait until the first has ended.
fn shared() -> &'static Path {
    static SHARED: OnceLock<(PathBuf, File)> = OnceLock::new();
    let (folder, _) = SHARED.get_or_init(|| {
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(tmp.join("it.lock")).unwrap();
        lock.lock().unwrap();
        let folder = tmp.join("it");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir(&folder).unwrap();
        (folder, lock)
    });
    folder
}

/// The tiny plate: 6 untreated wells, 2 with the reference drug and 2 for each of 3 treatments.
/// Tests only read it; see [`copy_of_plate`].
pub(crate) fn plate() -> &'static Path {
    &written_plate().0
}

/// The plate map of [`plate`].
pub(crate) fn plate_map() -> &'static PlateMap {
    &written_plate().1
}

fn written_plate() -> &'static (PathBuf, PlateMap) {
    static PLATE: OnceLock<(PathBuf, PlateMap)> = OnceLock::new();
    PLATE.get_or_init(|| {
        let config = PlateSimConfig {
            rows: 64,
            columns: 64,
            planes: 2,
            untreated_wells: 6,
            screen: Screen::Drawn {
                single_dose_wells: 2,
                drug_screened_wells: 6,
                replicates: 2,
            },
            ..PlateSimConfig::default()
        };
        let folder = shared().join("plate");
        let plate = config.build().unwrap();
        assert_eq!(plate.len(), STACKS);
        plate.write(&folder, |_, _| ()).unwrap();
        (folder, plate.plate_map().clone())
    })
}

/// The wells of a group of [`plate`], in order.
pub(crate) fn wells(group: Group) -> Vec<WellId> {
    let map = plate_map();
    let wells = map.wells().keys();
    wells
        .filter(|well| map.treatment_of(well).unwrap().group == group)
        .map(|well| well.well)
        .collect()
}

/// [`rank_plate`] has run on [`plate`]. Tests only read what it left.
pub(crate) fn finished() -> &'static Finished {
    static FINISHED: OnceLock<Finished> = OnceLock::new();
    FINISHED.get_or_init(|| {
        let out = shared().join("finished");
        let run = run(&mut rank_plate(plate(), &out));
        run.assert_success();
        Finished { out, run }
    })
}

/// A finished run and its folder.
pub(crate) struct Finished {
    pub(crate) out: PathBuf,
    pub(crate) run: Run,
}

/// A plate of one's own, to be broken.
pub(crate) fn copy_of_plate() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(plate(), copy.path());
    copy
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Path of an image of a plate below its folder.
pub(crate) fn image(well: WellId, day: u32) -> String {
    format!("images/sim_{well}_d{day}.tif")
}

/// Rewrites a text file line by line; `None` drops a line.
pub(crate) fn edit_lines(path: &Path, edit: impl FnMut(&str) -> Option<String>) {
    let text = fs::read_to_string(path).unwrap();
    let edited: Vec<String> = text.lines().filter_map(edit).collect();
    assert_ne!(text.lines().collect::<Vec<_>>(), edited, "nothing edited");
    fs::write(path, edited.join("\n") + "\n").unwrap();
}

/// Drops the rows of a table in which `cell` is one of the cells.
pub(crate) fn drop_rows(path: &Path, cell: &str) {
    edit_lines(path, |line| {
        let has = line.split(',').any(|found| found == cell);
        (!has).then(|| line.to_owned())
    });
}

/// An example program.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing: build it with `cargo build --release --examples`",
        program.display()
    );
    Command::new(program)
}

/// The main job with a small encoder and one epoch; later arguments add to these.
pub(crate) fn rank_plate(data: &Path, out: &Path) -> Command {
    rank_plate_for(1, data, out)
}

/// The main job with a small encoder.
pub(crate) fn rank_plate_for(epochs: usize, data: &Path, out: &Path) -> Command {
    let mut command = example("rank_plate");
    command.args(["--encoder", "resnet10-w8", "--epochs", &epochs.to_string()]);
    command.args([OsStr::new("--data"), data.as_os_str()]);
    command.args([OsStr::new("--out"), out.as_os_str()]);
    command
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    pub(crate) fn assert_success(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
    }

    /// Exit code 2 and an error, not a panic, that holds each of `parts`.
    pub(crate) fn assert_refusal(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(self.stderr.contains("error: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no `{part}` in {self:?}");
        }
    }

    /// The one warning that begins with `start`.
    pub(crate) fn warning(&self, start: &str) -> &str {
        let warnings = self
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("warning: "))
            .filter(|warning| warning.starts_with(start));
        let found: Vec<&str> = warnings.collect();
        assert_eq!(found.len(), 1, "`{start}` in {self:?}");
        found[0]
    }

    pub(crate) fn last_line(&self) -> &str {
        self.stdout.lines().last().unwrap()
    }
}

/// Runs the main job on a plate that it must refuse, and sees that it leaves no result.
pub(crate) fn assert_refused(data: &Path, more: &[&str], parts: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let run = run(rank_plate(data, out.path()).args(more));
    run.assert_refusal(parts);
    assert_no_result(out.path());
    for path in files_of(out.path()).into_keys() {
        let half_written = path.to_string_lossy().contains(".partial");
        assert!(!half_written, "{} was left", path.display());
    }
}

pub(crate) fn assert_no_result(out: &Path) {
    for name in RESULTS {
        assert!(!out.join(name).exists(), "{name} was left");
    }
}

/// The files of a folder by their path below it.
pub(crate) fn files_of(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                walk(root, &path, files);
            } else {
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, Path::new(""), &mut files);
    files
}

/// Both files hold the same bytes.
#[track_caller]
pub(crate) fn assert_same_file(a: &Path, b: &Path) {
    let same = fs::read(a).unwrap() == fs::read(b).unwrap();
    assert!(same, "{} and {} differ", a.display(), b.display());
}

/// A table's header and its rows.
pub(crate) fn table(path: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let cells = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header = cells(reader.headers().unwrap());
    let rows = reader.records().map(|record| cells(&record.unwrap()));
    (header, rows.collect())
}

pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Header and values of the weights in a model folder; the order of the header's entries is free.
pub(crate) fn weights(model: &Path) -> (serde_json::Value, Vec<u8>) {
    let bytes = fs::read(model.join("encoder.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, values) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (serde_json::from_slice(header).unwrap(), values.to_vec())
}
