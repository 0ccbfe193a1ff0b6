use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{CoreError, Day, PlateFormat, Warning, WellId, plate_map::PlateWell, table::Table};

/// What a focal stack shows: one well of one plate on one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackKey {
    /// Name of the plate.
    pub plate: String,
    /// The well.
    pub well: WellId,
    /// The time point.
    pub day: Day,
}

impl StackKey {
    /// The plate and well, without the day.
    pub fn plate_well(&self) -> PlateWell {
        PlateWell {
            plate: self.plate.clone(),
            well: self.well,
        }
    }
}

impl fmt::Display for StackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} day {}", self.plate, self.well, self.day)
    }
}

/// One file of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneFile {
    /// Where it is; relative paths of a table are already joined with the table's folder.
    pub path: PathBuf,
    /// Index of the focal plane when the file holds one plane, `None` when its pages are the planes.
    pub plane: Option<u32>,
}

/// The files of one stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackEntry {
    /// What the stack shows.
    pub key: StackKey,
    /// One multi-page file, or one file a plane in the order of the planes.
    pub files: Vec<PlaneFile>,
    /// Further columns of the table, from the row of the first file.
    pub extra: BTreeMap<String, String>,
}

impl StackEntry {
    /// Paths of the files, in the order of the planes.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }
}

/// Which files make up which stack, sorted by plate, well and day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTable {
    stacks: Vec<StackEntry>,
}

impl ImageTable {
    /// Reads `images.csv`: columns `path`, `plate`, `well`, `day` and optionally `plane`.
    ///
    /// Without `plane` a row is one stack, the pages of its file being the planes; with it, the rows
    /// of one plate, well and day form a stack. Column names may bear the prefix `Metadata_`; paths
    /// are relative to the table. Whether the files exist shows when they are loaded.
    ///
    /// # Errors
    /// When the table cannot be read, lacks a column, has no row, or a row has an unreadable value, a
    /// well outside `format`, or repeats a plate, well, day (and plane).
    pub fn read_csv(path: &Path, format: PlateFormat) -> Result<Self, CoreError> {
        let table = Table::read(path)?;
        let [file, plate, well, day] = [
            table.required("path")?,
            table.required("plate")?,
            table.required("well")?,
            table.required("day")?,
        ];
        let plane = table.column("plane");
        let mut known = vec![file, plate, well, day];
        known.extend(plane);
        let folder = path.parent().unwrap_or(Path::new(""));

        let mut stacks = BTreeMap::new();
        for row in table.rows() {
            let key = StackKey {
                plate: row.filled(plate)?.to_owned(),
                well: row.parse(well)?,
                day: row.parse(day)?,
            };
            if !format.contains(key.well) {
                return Err(row.error(outside(key.well, format)));
            }
            let plane = match plane.map(|column| row.text(column)) {
                None | Some("") => None,
                Some(_) => plane.map(|column| row.parse(column)).transpose()?,
            };
            let file = PlaneFile {
                path: folder.join(row.filled(file)?),
                plane,
            };
            add_file(&mut stacks, key, file, || row.extra(&known))
                .map_err(|reason| row.error(reason))?;
        }
        Self::from_map(stacks, path)
    }

    /// Finds the stacks of a folder by the names of its files.
    ///
    /// `pattern` holds `{well}` and `{day}`, and may hold `{plate}` (else the folder's name is the
    /// plate) and `{plane}`: `{plate}_{well}_d{day}.tif`. It may begin with folders, as in
    /// `images/{well}_d{day}.tif`. Files that do not match are named in the warning.
    ///
    /// # Errors
    /// When the pattern lacks `{well}` or `{day}`, has an unknown field or two fields side by side,
    /// when the folder cannot be read, or when no file matches or two make the same plane.
    pub fn from_pattern(
        folder: &Path,
        pattern: &str,
        format: PlateFormat,
    ) -> Result<(Self, Option<Warning>), CoreError> {
        let wrong = |path: &Path, reason: String| CoreError::Table {
            path: path.to_owned(),
            reason,
        };
        let (below, names) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let folder = folder.join(below);
        let pattern = NamePattern::parse(names).map_err(|reason| wrong(&folder, reason))?;
        let folder_name = folder
            .file_name()
            .map_or("plate".into(), |name| name.to_string_lossy().into_owned());
        let io = |source| CoreError::Io {
            path: folder.clone(),
            action: "list",
            source,
        };

        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            if entry.file_type().map_err(io)?.is_file() {
                paths.push(entry.path());
            }
        }
        paths.sort();

        let mut stacks = BTreeMap::new();
        let mut unmatched = Vec::new();
        for path in paths {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let Some(found) = pattern.match_name(&name) else {
                unmatched.push(name);
                continue;
            };
            if !format.contains(found.well) {
                return Err(wrong(&path, outside(found.well, format)));
            }
            let plate = found.plate.unwrap_or_else(|| folder_name.clone());
            let key = StackKey {
                plate,
                well: found.well,
                day: found.day,
            };
            let file = PlaneFile {
                path: path.clone(),
                plane: found.plane,
            };
            add_file(&mut stacks, key, file, BTreeMap::new)
                .map_err(|reason| wrong(&path, reason))?;
        }
        let table = Self::from_map(stacks, &folder)?;
        Ok((
            table,
            Warning::about("file name does not match the pattern; left out", unmatched),
        ))
    }

    fn from_map(
        stacks: BTreeMap<StackKey, (Vec<PlaneFile>, BTreeMap<String, String>)>,
        path: &Path,
    ) -> Result<Self, CoreError> {
        if stacks.is_empty() {
            let reason = "lists no image".to_owned();
            return Err(CoreError::Table {
                path: path.to_owned(),
                reason,
            });
        }
        let stacks = stacks
            .into_iter()
            .map(|(key, (mut files, extra))| {
                files.sort_by_key(|file| file.plane);
                StackEntry { key, files, extra }
            })
            .collect();
        Ok(Self { stacks })
    }

    /// The stacks, sorted by plate, well and day.
    pub fn stacks(&self) -> &[StackEntry] {
        &self.stacks
    }

    /// Keeps the stacks for which `keep` holds.
    pub fn retain(&mut self, keep: impl FnMut(&StackEntry) -> bool) {
        self.stacks.retain(keep);
    }
}

type StackMap = BTreeMap<StackKey, (Vec<PlaneFile>, BTreeMap<String, String>)>;

fn add_file(
    stacks: &mut StackMap,
    key: StackKey,
    file: PlaneFile,
    extra: impl FnOnce() -> BTreeMap<String, String>,
) -> Result<(), String> {
    let name = key.to_string();
    let (files, _) = stacks.entry(key).or_insert_with(|| (Vec::new(), extra()));
    if let Some(other) = files
        .iter()
        .find(|other| other.plane.is_none() || file.plane.is_none() || other.plane == file.plane)
    {
        let plane = file
            .plane
            .map_or(String::new(), |plane| format!(" plane {plane}"));
        let (a, b) = (other.path.display(), file.path.display());
        return Err(format!(
            "{name}{plane} occurs twice: {a} and {b}; keep one of them"
        ));
    }
    files.push(file);
    Ok(())
}

pub(crate) fn outside(well: WellId, format: PlateFormat) -> String {
    let last = WellId::new(format.rows() - 1, format.columns() - 1)
        .expect("a format's last well is a well");
    format!(
        "well {well} lies outside a plate of {} wells (A01 to {last})",
        format.wells()
    )
}

/// A file name with fields, such as `{plate}_{well}_d{day}.tif`.
struct NamePattern {
    parts: Vec<Part>,
}

enum Part {
    Literal(String),
    Field(Field),
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Plate,
    Well,
    Day,
    Plane,
}

#[derive(Default)]
struct Found {
    plate: Option<String>,
    well: Option<WellId>,
    day: Option<Day>,
    plane: Option<u32>,
}

struct Matched {
    plate: Option<String>,
    well: WellId,
    day: Day,
    plane: Option<u32>,
}

impl NamePattern {
    fn parse(pattern: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("pattern `{pattern}` has a {{ without }}"))?;
            let field = match name {
                "plate" => Field::Plate,
                "well" => Field::Well,
                "day" => Field::Day,
                "plane" => Field::Plane,
                _ => {
                    return Err(format!(
                        "pattern `{pattern}` has the unknown field {{{name}}}: use {{plate}}, \
                         {{well}}, {{day}}, {{plane}}"
                    ));
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            } else if !parts.is_empty() {
                return Err(format!("pattern `{pattern}` has two fields side by side"));
            }
            if parts
                .iter()
                .any(|part| matches!(part, Part::Field(f) if *f == field))
            {
                return Err(format!("pattern `{pattern}` has {{{name}}} twice"));
            }
            parts.push(Part::Field(field));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let has = |field| {
            parts
                .iter()
                .any(|part| matches!(part, Part::Field(f) if *f == field))
        };
        if has(Field::Well) && has(Field::Day) {
            Ok(Self { parts })
        } else {
            Err(format!("pattern `{pattern}` needs {{well}} and {{day}}"))
        }
    }

    fn match_name(&self, name: &str) -> Option<Matched> {
        let found = match_parts(&self.parts, name)?;
        Some(Matched {
            plate: found.plate,
            well: found.well?,
            day: found.day?,
            plane: found.plane,
        })
    }
}

/// Matches greedily and goes back while a field's text is no well, day or plane.
fn match_parts(parts: &[Part], name: &str) -> Option<Found> {
    match parts {
        [] => name.is_empty().then(Found::default),
        [Part::Literal(literal), rest @ ..] => match_parts(rest, name.strip_prefix(literal)?),
        [Part::Field(field), rest @ ..] => name
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .rev()
            .find_map(|end| {
                let text = &name[..end];
                let mut well = None;
                let mut day = None;
                let mut plane = None;
                match field {
                    Field::Plate => {}
                    Field::Well => well = Some(text.parse().ok()?),
                    Field::Day => day = Some(text.parse().ok()?),
                    Field::Plane => plane = Some(text.parse().ok()?),
                }
                let found = match_parts(rest, &name[end..])?;
                Some(Found {
                    plate: (*field == Field::Plate)
                        .then(|| text.to_owned())
                        .or(found.plate),
                    well: well.or(found.well),
                    day: day.or(found.day),
                    plane: plane.or(found.plane),
                })
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W96: PlateFormat = PlateFormat::W96;

    fn read(text: &str) -> Result<ImageTable, CoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.csv");
        std::fs::write(&path, text).unwrap();
        ImageTable::read_csv(&path, W96)
    }

    fn reason(text: &str) -> String {
        match read(text) {
            Err(CoreError::Row { row, reason, .. }) => format!("row {row}: {reason}"),
            other => panic!("expected a row error, got {other:?}"),
        }
    }

    #[test]
    fn a_row_is_a_stack() {
        let table =
            read("path,plate,well,day,operator\nb.tif,p,b2,10,Ada\na.tif,p,B02,7,\n").unwrap();
        let stacks = table.stacks();
        assert_eq!(stacks.len(), 2);
        assert_eq!(stacks[0].key.to_string(), "p B02 day 7");
        assert!(stacks[0].paths()[0].ends_with("a.tif") && stacks[0].paths()[0].is_absolute());
        assert_eq!(stacks[1].extra["operator"], "Ada");
        assert!(stacks[0].extra.is_empty());
    }

    #[test]
    fn planes_of_one_well_and_day_form_a_stack_in_order() {
        let table = read(
            "Metadata_Plate,Metadata_Well,Metadata_day,plane,path\n\
             p,B02,7,2,c.tif\np,B2,7.0,0,a.tif\np,b02,7,1,b.tif\n",
        )
        .unwrap();
        let names: Vec<_> = table.stacks()[0]
            .paths()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            (table.stacks().len(), names),
            (1, vec!["a.tif".into(), "b.tif".into(), "c.tif".into()])
        );
    }

    #[test]
    fn a_byte_order_mark_does_no_harm() {
        assert_eq!(
            read("\u{feff}path,plate,well,day\na.tif,p,B02,7\n")
                .unwrap()
                .stacks()
                .len(),
            1
        );
    }

    #[test]
    fn wrong_rows_are_named() {
        let head = "path,plate,well,day\n";
        for (rows, expected) in [
            (
                "a.tif,p,B02,7\nb.tif,p,b2,7\n",
                "row 3: p B02 day 7 occurs twice",
            ),
            (
                "a.tif,p,H13,7\n",
                "row 2: well H13 lies outside a plate of 96 wells (A01 to H12)",
            ),
            ("a.tif,p,2B,7\n", "row 2: `2B` is not a well"),
            ("a.tif,p,B02,soon\n", "row 2: `soon` is not a day"),
            (",p,B02,7\n", "row 2: `path` is empty"),
            ("a.tif,,B02,7\n", "row 2: `plate` is empty"),
        ] {
            let found = reason(&format!("{head}{rows}"));
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn a_file_without_plane_beside_one_with_is_refused() {
        let found = reason("path,plate,well,day,plane\na.tif,p,B02,7,0\nb.tif,p,B02,7,\n");
        assert!(found.contains("occurs twice"), "{found}");
    }

    #[test]
    fn unreadable_tables_are_refused() {
        assert!(matches!(
            read("path,plate,day\n"),
            Err(CoreError::MissingColumn { column: "well", .. })
        ));
        assert!(matches!(
            read("path,plate,well,day\n"),
            Err(CoreError::Table { .. })
        ));
        assert!(matches!(
            read("path,plate,well,day\na,b\n"),
            Err(CoreError::Csv { .. })
        ));
        let missing = ImageTable::read_csv(Path::new("no/such/images.csv"), W96);
        assert!(matches!(missing, Err(CoreError::Io { .. })));
        let folder = tempfile::tempdir().unwrap();
        let error = ImageTable::read_csv(folder.path(), W96).unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
    }

    fn names(names: &[&str], pattern: &str) -> Result<(ImageTable, Option<Warning>), CoreError> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        ImageTable::from_pattern(folder.path(), pattern, W96)
    }

    #[test]
    fn a_pattern_finds_stacks_and_names_what_it_leaves_out() {
        let (table, warning) = names(
            &["plate_1_B02_d7.tif", "plate_1_B02_d7.5.tif", "notes.txt"],
            "{plate}_{well}_d{day}.tif",
        )
        .unwrap();
        let keys: Vec<_> = table
            .stacks()
            .iter()
            .map(|stack| stack.key.to_string())
            .collect();
        assert_eq!(keys, ["plate_1 B02 day 7", "plate_1 B02 day 7.5"]);
        assert_eq!(warning.unwrap().items, ["notes.txt"]);
    }

    #[test]
    fn a_pattern_may_split_planes() {
        let (table, warning) = names(
            &["B2-z1-d7.tif", "B2-z0-d7.tif"],
            "{well}-z{plane}-d{day}.tif",
        )
        .unwrap();
        assert_eq!(table.stacks().len(), 1);
        assert!(table.stacks()[0].paths()[0].ends_with("B2-z0-d7.tif"));
        assert_eq!(warning, None);
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for pattern in [
            "{well}.tif",
            "{well}{day}.tif",
            "{well}_{hour}.tif",
            "{well}_{day",
            "{well}_{well}_{day}",
        ] {
            assert!(
                matches!(names(&["B02_7.tif"], pattern), Err(CoreError::Table { .. })),
                "{pattern}"
            );
        }
        assert!(names(&["B02_7.tif"], "x{well}_{day}.tif").is_err());
        assert!(names(&["H13_7.tif"], "{well}_{day}.tif").is_err());
        assert!(names(&["B02_7.tif", "B2_7.tif"], "{well}_{day}.tif").is_err());
    }
}
