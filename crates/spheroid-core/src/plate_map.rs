use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    CoreError, Dose, Group, PlateFormat, Treatment, WellId, atomic, images::outside, table::Table,
    wellmap,
};

/// A well of a named plate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PlateWell {
    /// Name of the plate.
    pub plate: String,
    /// The well.
    pub well: WellId,
}

impl fmt::Display for PlateWell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.plate, self.well)
    }
}

/// What a plate map says about one well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WellRecord {
    /// Name of the treatment; [`PlateMap::treatments`] has its doses.
    pub treatment: String,
    /// Further columns of the table, from the first row of the well.
    pub extra: BTreeMap<String, String>,
}

/// Which well got which treatment.
///
/// A treatment's name means the same group and doses in every well.
#[derive(Debug, Clone, PartialEq)]
pub struct PlateMap {
    wells: BTreeMap<PlateWell, WellRecord>,
    treatments: BTreeMap<String, Treatment>,
}

/// One row of a plate map: one well and at most one drug.
pub(crate) struct MapRow {
    pub(crate) well: PlateWell,
    pub(crate) group: Group,
    pub(crate) treatment: String,
    pub(crate) dose: Option<Dose>,
    pub(crate) extra: BTreeMap<String, String>,
}

impl PlateMap {
    /// Reads a plate map: wellmap's TOML when the file is called `.toml`, else CSV.
    ///
    /// # Errors
    /// As [`read_csv`](Self::read_csv) and [`read_wellmap`](Self::read_wellmap).
    pub fn read(path: &Path, format: PlateFormat) -> Result<Self, CoreError> {
        if path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
        {
            Self::read_wellmap(path, format)
        } else {
            Self::read_csv(path, format)
        }
    }

    /// Reads `plate_map.csv`: `plate,well,group,treatment,drug,concentration,unit`, one row per well
    /// and drug.
    ///
    /// A combination has several rows of one well and treatment; an untreated well leaves the last
    /// three columns empty, and is called `untreated` where its treatment is empty too. Column names
    /// may bear the prefix `Metadata_`.
    ///
    /// # Errors
    /// When the table cannot be read, lacks a column or has no row; when a row has an unreadable
    /// value, a well outside `format`, a drug in an untreated well or none in a treated one; when a
    /// well has two treatments or one drug twice; when a treatment's name stands for different doses.
    pub fn read_csv(path: &Path, format: PlateFormat) -> Result<Self, CoreError> {
        let table = Table::read(path)?;
        let [plate, well, group, treatment, drug, concentration, unit] = [
            table.required("plate")?,
            table.required("well")?,
            table.required("group")?,
            table.required("treatment")?,
            table.required("drug")?,
            table.required("concentration")?,
            table.required("unit")?,
        ];
        let known = [plate, well, group, treatment, drug, concentration, unit];
        let mut builder = MapBuilder::new(format);
        for row in table.rows() {
            let dose = match row.text(drug) {
                "" if row.text(concentration).is_empty() => None,
                "" => return Err(row.error("a concentration without a drug".to_owned())),
                name => Some(Dose {
                    drug: name.to_owned(),
                    concentration: row.parse(concentration)?,
                    unit: row.filled(unit)?.to_owned(),
                }),
            };
            let map_row = MapRow {
                well: PlateWell {
                    plate: row.filled(plate)?.to_owned(),
                    well: row.parse(well)?,
                },
                group: row.parse(group)?,
                treatment: row.text(treatment).to_owned(),
                dose,
                extra: row.extra(&known),
            };
            builder.add(map_row).map_err(|reason| row.error(reason))?;
        }
        builder.finish(path)
    }

    /// Reads a [wellmap](https://wellmap.readthedocs.io) TOML file.
    ///
    /// Understood are `[well]`, `[block]`, `[row]`, `[col]`, `[expt]` and `[plate.NAME]` with
    /// wellmap's patterns (`A,B`, `A-C`, `A,C,...,G`) and precedence. The attributes are the columns
    /// of `plate_map.csv`; `drug`, `concentration` and `unit` may be lists for a combination. Without
    /// `[plate]` the file's name is the plate.
    ///
    /// # Errors
    /// As [`read_csv`](Self::read_csv), and when the file is not TOML or uses `[irow]`, `[icol]`,
    /// `meta.include` or `meta.concat`, which are not supported.
    pub fn read_wellmap(path: &Path, format: PlateFormat) -> Result<Self, CoreError> {
        let mut builder = MapBuilder::new(format);
        for row in wellmap::read(path, format)? {
            builder.add(row).map_err(|reason| CoreError::Table {
                path: path.to_owned(),
                reason,
            })?;
        }
        builder.finish(path)
    }

    /// Makes a map of wells and their treatments, for plates that do not come from a file.
    ///
    /// # Errors
    /// As [`read_csv`](Self::read_csv), as far as it applies.
    pub fn new(
        wells: impl IntoIterator<Item = (PlateWell, Treatment)>,
        format: PlateFormat,
    ) -> Result<Self, CoreError> {
        let path = Path::new("plate map");
        let mut builder = MapBuilder::new(format);
        for (well, treatment) in wells {
            let mut doses: Vec<_> = treatment.doses.into_iter().map(Some).collect();
            if doses.is_empty() {
                doses.push(None);
            }
            for dose in doses {
                builder
                    .add(MapRow {
                        well: well.clone(),
                        group: treatment.group,
                        treatment: treatment.name.clone(),
                        dose,
                        extra: BTreeMap::new(),
                    })
                    .map_err(|reason| CoreError::Table {
                        path: path.to_owned(),
                        reason,
                    })?;
            }
        }
        builder.finish(path)
    }

    /// Writes `plate_map.csv`; [`read_csv`](Self::read_csv) gives an equal map back, except for
    /// further columns, which are not written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), CoreError> {
        let csv_error = |source| CoreError::Csv {
            path: path.to_owned(),
            source,
        };
        atomic::write_file(path, |out| {
            let mut writer = csv::Writer::from_writer(out);
            writer
                .write_record([
                    "plate",
                    "well",
                    "group",
                    "treatment",
                    "drug",
                    "concentration",
                    "unit",
                ])
                .map_err(csv_error)?;
            for (well, record) in &self.wells {
                let treatment = &self.treatments[&record.treatment];
                let start = [
                    well.plate.clone(),
                    well.well.to_string(),
                    treatment.group.to_string(),
                    treatment.name.clone(),
                ];
                let mut doses: Vec<[String; 3]> = treatment
                    .doses
                    .iter()
                    .map(|dose| {
                        [
                            dose.drug.clone(),
                            dose.concentration.to_string(),
                            dose.unit.clone(),
                        ]
                    })
                    .collect();
                if doses.is_empty() {
                    doses.push(Default::default());
                }
                for dose in doses {
                    writer
                        .write_record(start.iter().chain(&dose))
                        .map_err(csv_error)?;
                }
            }
            writer.flush().map_err(|source| CoreError::Io {
                path: path.to_owned(),
                action: "write",
                source,
            })
        })
    }

    /// Every well, sorted by plate and position.
    pub fn wells(&self) -> &BTreeMap<PlateWell, WellRecord> {
        &self.wells
    }

    /// Every treatment by its name.
    pub fn treatments(&self) -> &BTreeMap<String, Treatment> {
        &self.treatments
    }

    /// The same map without these wells; treatments that only they had stay listed.
    pub fn without(&self, wells: &BTreeSet<PlateWell>) -> Self {
        let mut left = self.clone();
        left.wells.retain(|well, _| !wells.contains(well));
        left
    }

    /// The treatment of a well, `None` for a well that the map does not have.
    pub fn treatment_of(&self, well: &PlateWell) -> Option<&Treatment> {
        self.wells
            .get(well)
            .map(|record| &self.treatments[&record.treatment])
    }
}

/// Collects rows and checks that they make sense together.
struct MapBuilder {
    format: PlateFormat,
    wells: BTreeMap<PlateWell, (Treatment, BTreeMap<String, String>)>,
}

impl MapBuilder {
    fn new(format: PlateFormat) -> Self {
        Self {
            format,
            wells: BTreeMap::new(),
        }
    }

    fn add(&mut self, row: MapRow) -> Result<(), String> {
        let MapRow {
            well,
            group,
            treatment,
            dose,
            extra,
        } = row;
        if !self.format.contains(well.well) {
            return Err(outside(well.well, self.format));
        }
        let name = match (treatment.trim(), group) {
            ("", Group::Untreated) => group.name().to_owned(),
            ("", _) => return Err(format!("{well} is {group} but its treatment has no name")),
            (name, _) => name.to_owned(),
        };
        match (&dose, group) {
            (Some(dose), Group::Untreated) => {
                return Err(format!("{well} is untreated but got {}", dose.drug));
            }
            (None, Group::SingleDose | Group::DrugScreened) => {
                return Err(format!("{well} is {group} but no drug is given"));
            }
            (Some(dose), _) if !(dose.concentration.is_finite() && dose.concentration >= 0.0) => {
                let concentration = dose.concentration;
                return Err(format!(
                    "concentration {concentration} must be finite and >= 0"
                ));
            }
            _ => {}
        }
        let Some((known, _)) = self.wells.get_mut(&well) else {
            let treatment = Treatment {
                name,
                group,
                doses: dose.into_iter().collect(),
            };
            self.wells.insert(well, (treatment, extra));
            return Ok(());
        };
        if known.name != name || known.group != group {
            let (a, b) = (&known.name, known.group);
            return Err(format!(
                "{well} is `{name}` ({group}) here and `{a}` ({b}) above"
            ));
        }
        match dose {
            Some(dose) if known.doses.iter().all(|other| other.drug != dose.drug) => {
                known.doses.push(dose);
                Ok(())
            }
            Some(dose) => Err(format!("{well} gets {} twice", dose.drug)),
            None => Err(format!("{well} occurs twice")),
        }
    }

    fn finish(self, path: &Path) -> Result<PlateMap, CoreError> {
        let refuse = |reason| {
            Err(CoreError::Table {
                path: path.to_owned(),
                reason,
            })
        };
        if self.wells.is_empty() {
            return refuse("describes no well".to_owned());
        }
        let mut treatments: BTreeMap<String, Treatment> = BTreeMap::new();
        let mut wells = BTreeMap::new();
        for (well, (mut treatment, extra)) in self.wells {
            treatment.doses.sort_by(|a, b| a.drug.cmp(&b.drug));
            let name = treatment.name.clone();
            match treatments.get(&name) {
                Some(known) if *known != treatment => {
                    return refuse(format!(
                        "treatment `{name}` has other doses in {well} than in another well; \
                         give each combination of doses a name of its own"
                    ));
                }
                Some(_) => {}
                None => {
                    treatments.insert(name.clone(), treatment);
                }
            }
            wells.insert(
                well,
                WellRecord {
                    treatment: name,
                    extra,
                },
            );
        }
        Ok(PlateMap { wells, treatments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "plate,well,group,treatment,drug,concentration,unit";

    fn read(rows: &str) -> Result<PlateMap, CoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plate_map.csv");
        std::fs::write(&path, format!("{HEAD}{rows}")).unwrap();
        PlateMap::read(&path, PlateFormat::W96)
    }

    fn well(name: &str) -> PlateWell {
        PlateWell {
            plate: "p".into(),
            well: name.parse().unwrap(),
        }
    }

    #[test]
    fn a_combination_joins_its_rows() {
        let map = read(
            ",site\np,B02,untreated,,,,,left\np,B03,drug_screened,mix,Y,2,nM,\np,b3,drug_screened,mix,X,0.5,uM,\n",
        )
        .unwrap();
        let mix = map.treatment_of(&well("B03")).unwrap();
        let drugs: Vec<_> = mix
            .doses
            .iter()
            .map(|d| (d.drug.as_str(), d.concentration))
            .collect();
        assert_eq!(drugs, [("X", 0.5), ("Y", 2.0)]);
        assert_eq!(map.treatment_of(&well("B02")).unwrap().name, "untreated");
        assert_eq!(map.wells()[&well("B02")].extra["site"], "left");
        assert_eq!(map.treatment_of(&well("C02")), None);
    }

    #[test]
    fn what_is_written_reads_back() {
        let map = read(
            "\np,B02,untreated,untreated,,,\np,B03,single_dose,\"a, b\",Y,2,nM\np,B04,drug_screened,mix,X,0.1,uM\np,B04,drug_screened,mix,Y,3,uM\n",
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        map.write_csv(&path).unwrap();
        assert_eq!(PlateMap::read_csv(&path, PlateFormat::W96).unwrap(), map);
    }

    #[test]
    fn contradictions_are_named() {
        for (rows, expected) in [
            ("p,B02,control,,,,", "group `control` is unknown"),
            ("p,B02,untreated,,X,1,uM", "p B02 is untreated but got X"),
            (
                "p,B02,single_dose,d,,,",
                "p B02 is single_dose but no drug is given",
            ),
            ("p,B02,single_dose,,X,1,uM", "its treatment has no name"),
            ("p,B02,single_dose,d,X,much,uM", "invalid float"),
            ("p,B02,single_dose,d,X,-1,uM", "must be finite and >= 0"),
            ("p,B02,single_dose,d,X,NaN,uM", "must be finite and >= 0"),
            ("p,B02,single_dose,d,X,1,", "`unit` is empty"),
            (
                "p,B02,single_dose,d,,1,uM",
                "a concentration without a drug",
            ),
            (
                "p,H13,untreated,,,,",
                "well H13 lies outside a plate of 96 wells",
            ),
            (
                "p,B02,untreated,,,,\np,b2,untreated,,,,",
                "row 3: p B02 occurs twice",
            ),
            (
                "p,B02,single_dose,d,X,1,uM\np,B02,single_dose,d,X,2,uM",
                "p B02 gets X twice",
            ),
            (
                "p,B02,single_dose,d,X,1,uM\np,B02,single_dose,e,Y,2,uM",
                "`e` (single_dose) here",
            ),
            (
                "p,B02,single_dose,d,X,1,uM\np,B03,single_dose,d,X,2,uM",
                "other doses in p B03",
            ),
            ("", "describes no well"),
        ] {
            let error = read(&format!("\n{rows}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{rows}: {error}");
        }
    }
}
