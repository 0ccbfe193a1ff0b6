use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a well is in the experiment (thesis section 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Control: no drug.
    Untreated,
    /// The clinically recommended concentration; the reference for an effect.
    SingleDose,
    /// Other drugs, concentrations and combinations.
    DrugScreened,
}

impl Group {
    /// The name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untreated => "untreated",
            Self::SingleDose => "single_dose",
            Self::DrugScreened => "drug_screened",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Group {
    type Err = String;

    /// Reads a table's name of a group; upper case and surrounding blanks do not matter.
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Untreated, Self::SingleDose, Self::DrugScreened]
            .into_iter()
            .find(|group| group.name().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| {
                format!("group `{text}` is unknown: write untreated, single_dose or drug_screened")
            })
    }
}

/// One drug at one concentration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dose {
    /// Name of the drug.
    pub drug: String,
    /// Concentration in `unit`; finite and not negative.
    pub concentration: f64,
    /// Unit as the table gives it, such as `uM` or `nM`.
    pub unit: String,
}

/// What was done to a well: a name, its group and the doses behind it.
///
/// Several doses make a combination; an untreated well has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Treatment {
    /// The name by which the ranking lists it.
    pub name: String,
    /// The group that its wells belong to.
    pub group: Group,
    /// Doses sorted by drug name; empty when untreated.
    pub doses: Vec<Dose>,
}
