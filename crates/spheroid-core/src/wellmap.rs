//! wellmap's TOML plate layouts, Kundert 2021, BMC Research Notes 14:164, doi 10.1186/s13104-021-05573-0.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::Path,
};

use toml::{Table, Value};

use crate::{
    CoreError, Dose, Group, PlateFormat, WellId,
    plate_map::{MapRow, PlateWell},
    table::open_limited,
};

/// Row and column, from 0.
type Index = (i64, i64);

const LAYOUT: [&str; 6] = ["well", "block", "row", "col", "expt", "plate"];

/// Reads the wells of a layout as rows of a plate map.
pub(crate) fn read(path: &Path, format: PlateFormat) -> Result<Vec<MapRow>, CoreError> {
    let wrong = |reason: String| CoreError::Table {
        path: path.to_owned(),
        reason,
    };
    let mut text = String::new();
    open_limited(path)?
        .read_to_string(&mut text)
        .map_err(|source| CoreError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
    let layout: Table = text.parse().map_err(|source| CoreError::Toml {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    refuse_unsupported(&layout).map_err(wrong)?;

    let mut rows = Vec::new();
    let mut add = |plate: &str, layout: &Table| -> Result<(), String> {
        for ((row, column), attributes) in wells(layout, format)? {
            let well = usize::try_from(row)
                .ok()
                .zip(usize::try_from(column).ok())
                .and_then(|(row, column)| WellId::new(row, column))
                .ok_or_else(|| format!("row {row}, column {column} is no well"))?;
            let well = PlateWell {
                plate: plate.to_owned(),
                well,
            };
            rows.extend(map_rows(&well, &attributes).map_err(|e| format!("{well}: {e}"))?);
        }
        Ok(())
    };
    if let Some(plates) = layout.get("plate") {
        let plates = plates
            .as_table()
            .ok_or_else(|| wrong("[plate] is no table".into()))?;
        for (name, own) in plates {
            let own = own
                .as_table()
                .ok_or_else(|| wrong(format!("`plate.{name}` is no table of a plate")))?;
            add(name, &plate_layout(own, &layout).map_err(wrong)?).map_err(wrong)?;
        }
    } else {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        add(&name, &layout).map_err(wrong)?;
    }
    Ok(rows)
}

fn refuse_unsupported(layout: &Table) -> Result<(), String> {
    for key in ["irow", "icol"] {
        if layout.contains_key(key) {
            return Err(format!(
                "[{key}] is not supported: write the wells as [block] or [well]"
            ));
        }
    }
    let meta = layout.get("meta").and_then(Value::as_table);
    for key in ["include", "concat"] {
        if meta.is_some_and(|meta| meta.contains_key(key)) {
            return Err(format!(
                "`meta.{key}` is not supported: put the layout into one file"
            ));
        }
    }
    Ok(())
}

/// A plate's own tables over those of the whole file; its plain attributes act like `[expt]`.
fn plate_layout(own: &Table, shared: &Table) -> Result<Table, String> {
    if own.contains_key("expt") {
        return Err("[expt] cannot stand within [plate]".to_owned());
    }
    refuse_unsupported(own)?;
    let (mut layout, attributes): (Table, Table) = own
        .clone()
        .into_iter()
        .partition(|(key, _)| LAYOUT.contains(&key.as_str()));
    layout.insert("expt".to_owned(), Value::Table(attributes));
    fill(&mut layout, shared);
    layout.remove("plate");
    Ok(layout)
}

/// Adds what `target` lacks, table by table.
fn fill(target: &mut Table, source: &Table) {
    for (key, value) in source {
        match (target.get_mut(key), value) {
            (None, value) => {
                target.insert(key.clone(), value.clone());
            }
            (Some(Value::Table(inner)), Value::Table(value)) => fill(inner, value),
            (Some(_), _) => {}
        }
    }
}

/// The attributes of every well that the layout defines, by wellmap's precedence: well, block (small
/// before large, later before earlier), row, column, expt.
fn wells(layout: &Table, format: PlateFormat) -> Result<BTreeMap<Index, Table>, String> {
    let mut wells: BTreeMap<Index, Table> = BTreeMap::new();
    for (pattern, attributes) in tables(layout, "well")? {
        for index in well_indices(pattern, format)? {
            merge(wells.entry(index).or_default(), attributes);
        }
    }

    let mut blocks = Vec::new();
    for (size, corners) in tables(layout, "block")? {
        let (width, height) = block_size(size, format)?;
        let corners = as_tables(corners, "block")?;
        for (pattern, attributes) in corners {
            for (row, column) in well_indices(pattern, format)? {
                blocks.push((width * height, (row, column), (width, height), attributes));
            }
        }
    }
    blocks.reverse();
    blocks.sort_by_key(|block| block.0);
    for (_, (top, left), (width, height), _) in &blocks {
        for row in *top..top + height {
            for column in *left..left + width {
                wells.entry((row, column)).or_default();
            }
        }
    }

    let rows = lines(layout, "row", row_index, format.rows())?;
    let columns = lines(layout, "col", column_index, format.columns())?;
    let used_rows = span(
        wells
            .keys()
            .map(|index| index.0)
            .chain(rows.keys().copied()),
    );
    let used_columns = span(
        wells
            .keys()
            .map(|index| index.1)
            .chain(columns.keys().copied()),
    );
    if !rows.is_empty() && used_columns.is_empty() {
        return Err("[row] without any column: no well is defined".to_owned());
    }
    if !columns.is_empty() && used_rows.is_empty() {
        return Err("[col] without any row: no well is defined".to_owned());
    }
    for &row in rows.keys() {
        for column in used_columns.clone() {
            wells.entry((row, column)).or_default();
        }
    }
    for row in used_rows {
        for &column in columns.keys() {
            wells.entry((row, column)).or_default();
        }
    }

    let everywhere = layout.get("expt").and_then(Value::as_table);
    for (&(row, column), attributes) in &mut wells {
        for (_, (top, left), (width, height), block) in &blocks {
            if (*top..top + height).contains(&row) && (*left..left + width).contains(&column) {
                fill(attributes, block);
            }
        }
        for line in [rows.get(&row), columns.get(&column), everywhere]
            .into_iter()
            .flatten()
        {
            fill(attributes, line);
        }
    }
    Ok(wells)
}

/// Overwrites what `target` has with `source`.
fn merge(target: &mut Table, source: &Table) {
    let mut over = source.clone();
    fill(&mut over, target);
    *target = over;
}

fn tables<'a>(layout: &'a Table, key: &str) -> Result<Vec<(&'a str, &'a Table)>, String> {
    match layout.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Table(table)) => as_tables(table, key),
        Some(_) => Err(format!("[{key}] is no table")),
    }
}

fn as_tables<'a>(table: &'a Table, key: &str) -> Result<Vec<(&'a str, &'a Table)>, String> {
    table
        .iter()
        .map(|(name, value)| match value {
            Value::Table(inner) => Ok((name.as_str(), inner)),
            _ => Err(format!("`{key}.{name}` is no table")),
        })
        .collect()
}

fn lines(
    layout: &Table,
    key: &str,
    index: fn(&str) -> Option<i64>,
    count: usize,
) -> Result<BTreeMap<i64, Table>, String> {
    let mut lines: BTreeMap<i64, Table> = BTreeMap::new();
    for (pattern, attributes) in tables(layout, key)? {
        for line in line_indices(pattern, index, count)? {
            merge(lines.entry(line).or_default(), attributes);
        }
    }
    Ok(lines)
}

fn row_index(text: &str) -> Option<i64> {
    format!("{text}1")
        .parse::<WellId>()
        .ok()
        .map(|well| well.row() as i64)
}

fn column_index(text: &str) -> Option<i64> {
    format!("A{text}")
        .parse::<WellId>()
        .ok()
        .map(|well| well.column() as i64)
}

fn well_index(text: &str) -> Option<Index> {
    text.parse::<WellId>()
        .ok()
        .map(|well| (well.row() as i64, well.column() as i64))
}

fn block_size(text: &str, format: PlateFormat) -> Result<(i64, i64), String> {
    let number = |text: &str, most: usize| {
        text.parse::<i64>()
            .ok()
            .filter(|&number| (1..=most as i64).contains(&number))
    };
    text.split_once('x')
        .and_then(|(w, h)| Some((number(w, format.columns())?, number(h, format.rows())?)))
        .ok_or_else(|| format!("`block.{text}` is no block within the plate: write WIDTHxHEIGHT"))
}

/// What one comma-separated pattern of wellmap lists: single items, ranges, or a progression.
enum Pattern<T> {
    Items(Vec<(T, T)>),
    Progression { first: T, second: T, last: T },
}

fn parse_pattern<T: Copy>(
    pattern: &str,
    index: impl Fn(&str) -> Option<T>,
) -> Result<Pattern<T>, String> {
    let parse = |token: &str| {
        index(token).ok_or_else(|| format!("`{token}` of `{pattern}` is no place on a plate"))
    };
    let tokens: Vec<&str> = pattern.split(',').map(str::trim).collect();
    if tokens.contains(&"...") {
        let &[first, second, "...", last] = tokens.as_slice() else {
            return Err(format!("`{pattern}`: write FIRST,SECOND,...,LAST"));
        };
        let [first, second, last] = [parse(first)?, parse(second)?, parse(last)?];
        return Ok(Pattern::Progression {
            first,
            second,
            last,
        });
    }
    tokens
        .into_iter()
        .map(|token| match token.split_once('-') {
            Some((a, b)) => Ok((parse(a.trim())?, parse(b.trim())?)),
            None => parse(token).map(|at| (at, at)),
        })
        .collect::<Result<_, String>>()
        .map(Pattern::Items)
}

fn steps(first: i64, second: i64, last: i64, pattern: &str) -> Result<Vec<i64>, String> {
    let step = second - first;
    match usize::try_from(step) {
        Ok(by @ 1..) if last >= second && (last - first) % step == 0 => {
            Ok((first..=last).step_by(by).collect())
        }
        _ => Err(format!(
            "`{pattern}` does not lead from its first to its last in equal steps"
        )),
    }
}

fn line_indices(
    pattern: &str,
    index: fn(&str) -> Option<i64>,
    count: usize,
) -> Result<Vec<i64>, String> {
    let within = |at: &i64| (0..count as i64).contains(at);
    let indices: Vec<i64> = match parse_pattern(pattern, index)? {
        Pattern::Items(items) => items.into_iter().flat_map(|(a, b)| a..=b).collect(),
        Pattern::Progression {
            first,
            second,
            last,
        } => steps(first, second, last, pattern)?,
    };
    if indices.is_empty() || !indices.iter().all(within) {
        return Err(format!(
            "`{pattern}` lies outside the plate or lists nothing"
        ));
    }
    Ok(indices)
}

fn well_indices(pattern: &str, format: PlateFormat) -> Result<Vec<Index>, String> {
    let grid = |rows: Vec<i64>, columns: Vec<i64>| -> Vec<Index> {
        rows.iter()
            .flat_map(|&r| columns.iter().map(move |&c| (r, c)))
            .collect()
    };
    let indices: Vec<Index> = match parse_pattern(pattern, well_index)? {
        Pattern::Items(items) => items
            .into_iter()
            .flat_map(|(a, b)| grid((a.0..=b.0).collect(), (a.1..=b.1).collect()))
            .collect(),
        Pattern::Progression {
            first,
            second,
            last,
        } => {
            let axis = |a: i64, b: i64, z: i64| steps(a, b, z, pattern);
            if first.0 == second.0 && first.0 == last.0 {
                grid(vec![first.0], axis(first.1, second.1, last.1)?)
            } else if first.1 == second.1 && first.1 == last.1 {
                grid(axis(first.0, second.0, last.0)?, vec![first.1])
            } else {
                grid(
                    axis(first.0, second.0, last.0)?,
                    axis(first.1, second.1, last.1)?,
                )
            }
        }
    };
    let within = |&(row, column): &Index| {
        (0..format.rows() as i64).contains(&row) && (0..format.columns() as i64).contains(&column)
    };
    if indices.is_empty() || !indices.iter().all(within) {
        return Err(format!(
            "`{pattern}` lies outside the plate or lists nothing"
        ));
    }
    Ok(indices)
}

/// From the smallest to the largest; empty when there is none.
fn span(indices: impl Iterator<Item = i64> + Clone) -> std::ops::Range<i64> {
    match (indices.clone().min(), indices.max()) {
        (Some(least), Some(most)) => least..most + 1,
        _ => 0..0,
    }
}

/// The rows of a plate map that one well's attributes stand for.
fn map_rows(well: &PlateWell, attributes: &Table) -> Result<Vec<MapRow>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        other => Err(format!(
            "a {} stands where a plain value is needed",
            other.type_str()
        )),
    };
    let list = |key: &str| match attributes.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(text).collect::<Result<Vec<_>, _>>(),
        Some(value) => text(value).map(|text| vec![text]),
    };
    let [drugs, concentrations, units] = [list("drug")?, list("concentration")?, list("unit")?];
    // One unit may stand for all drugs of a combination.
    let unit = |i: usize| {
        if units.len() == 1 {
            units.first()
        } else {
            units.get(i)
        }
    };
    if drugs.len() != concentrations.len() || (units.len() > 1 && units.len() != drugs.len()) {
        let (d, c, u) = (drugs.len(), concentrations.len(), units.len());
        return Err(format!(
            "{d} drugs, {c} concentrations and {u} units do not match"
        ));
    }
    let group: Group = match attributes.get("group") {
        Some(value) => text(value)?.parse()?,
        None => return Err("no `group` is given".to_owned()),
    };
    let treatment = attributes
        .get("treatment")
        .map(text)
        .transpose()?
        .unwrap_or_default();
    let known: BTreeSet<&str> = ["group", "treatment", "drug", "concentration", "unit"]
        .into_iter()
        .collect();
    let extra: BTreeMap<String, String> = attributes
        .iter()
        .filter(|(key, _)| !known.contains(key.as_str()))
        .map(|(key, value)| Ok((key.clone(), text(value)?)))
        .collect::<Result<_, String>>()?;
    let row = |dose| MapRow {
        well: well.clone(),
        group,
        treatment: treatment.clone(),
        dose,
        extra: extra.clone(),
    };
    if drugs.is_empty() {
        return Ok(vec![row(None)]);
    }
    drugs
        .iter()
        .zip(&concentrations)
        .enumerate()
        .map(|(i, (drug, concentration))| {
            let unit = unit(i)
                .filter(|unit| !unit.is_empty())
                .ok_or("`unit` is missing")?;
            let concentration = concentration
                .parse()
                .map_err(|_| format!("`{concentration}` is no concentration"))?;
            Ok(row(Some(Dose {
                drug: drug.clone(),
                concentration,
                unit: unit.clone(),
            })))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        layout: String,
        wells: Option<BTreeMap<String, BTreeMap<String, String>>>,
    }

    /// Layouts and what the Python package makes of them; see `tests/fixtures/wellmap_layouts.py`.
    fn cases() -> Vec<Case> {
        spheroid_testkit::json_fixture(env!("CARGO_MANIFEST_DIR"), "wellmap.json")
    }

    #[test]
    fn wells_and_attributes_agree_with_the_python_package() {
        let cases = cases();
        assert!(cases.len() >= 15);
        for case in cases {
            let layout: Table = case.layout.parse().unwrap();
            let found = wells(&layout, PlateFormat::W96);
            let Some(expected) = case.wells else {
                assert!(found.is_err(), "{}", case.layout);
                continue;
            };
            let found: BTreeMap<String, BTreeMap<String, String>> = found
                .unwrap_or_else(|error| panic!("{error} in {}", case.layout))
                .into_iter()
                .map(|((row, column), attributes)| {
                    let well = WellId::new(row as usize, column as usize).unwrap();
                    let attributes = attributes
                        .iter()
                        .map(|(key, value)| (key.clone(), value.to_string_plain()));
                    (well.to_string(), attributes.collect())
                })
                .collect();
            assert_eq!(found, expected, "{}", case.layout);
        }
    }

    trait Plain {
        fn to_string_plain(&self) -> String;
    }

    impl Plain for Value {
        fn to_string_plain(&self) -> String {
            match self {
                Value::String(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                other => panic!("the fixtures hold no {}", other.type_str()),
            }
        }
    }

    fn map(text: &str) -> Result<crate::PlateMap, CoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("night.toml");
        std::fs::write(&path, text).unwrap();
        crate::PlateMap::read(&path, PlateFormat::W96)
    }

    #[test]
    fn a_layout_becomes_a_plate_map() {
        let map = map(
            "[expt]\ngroup = 'untreated'\n[block.2x2.B2]\nsite = 'left'\n\
             [well.B3]\ngroup = 'drug_screened'\ntreatment = 'mix'\n\
             drug = ['X', 'Y']\nconcentration = [1, 0.5]\nunit = 'uM'\n",
        )
        .unwrap();
        let well = |name: &str| PlateWell {
            plate: "night".into(),
            well: name.parse().unwrap(),
        };
        assert_eq!(map.wells().len(), 4);
        assert_eq!(map.wells()[&well("C03")].extra["site"], "left");
        let mix = map.treatment_of(&well("B03")).unwrap();
        assert_eq!(
            mix.doses[1],
            Dose {
                drug: "Y".into(),
                concentration: 0.5,
                unit: "uM".into()
            }
        );
        assert_eq!(
            map.treatment_of(&well("B02")).unwrap().group,
            Group::Untreated
        );
    }

    #[test]
    fn plates_share_what_they_do_not_set() {
        let map = map(
            "[expt]\ngroup = 'untreated'\n[plate.one]\n[plate.two]\ntreatment = 'medium'\n\
             [well.'B2,B3']\n",
        )
        .unwrap();
        let plates: Vec<_> = map
            .wells()
            .iter()
            .map(|(w, r)| (w.to_string(), &r.treatment))
            .collect();
        assert_eq!(plates.len(), 4);
        assert_eq!(plates[0], ("one B02".to_owned(), &"untreated".to_owned()));
        assert_eq!(plates[3], ("two B03".to_owned(), &"medium".to_owned()));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, expected) in [
            ("[irow.A]\nx = 1\n", "[irow] is not supported"),
            (
                "[meta]\ninclude = 'a.toml'\n",
                "`meta.include` is not supported",
            ),
            ("[well.A1]\ntreatment = 'x'\n", "no `group` is given"),
            (
                "[well.A1]\ngroup = 'drug_screened'\ntreatment='x'\ndrug = 'd'\n",
                "1 drugs, 0 conc",
            ),
            (
                "[block.99x1.A1]\ngroup = 'untreated'\n",
                "no block within the plate",
            ),
            ("[block.3x1.A11]\ngroup = 'untreated'\n", "outside a plate"),
            ("[well.A13]\ngroup = 'untreated'\n", "outside the plate"),
            ("well = 3\n", "[well] is no table"),
        ] {
            let error = map(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(matches!(map("[well"), Err(CoreError::Toml { .. })));
    }
}
