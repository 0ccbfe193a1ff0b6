use std::fmt;

/// Something that was left out or is doubtful: counted, with the names of what it concerns.
///
/// Library code returns warnings; the program that calls it decides where they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What happened, as the end of "3 × …".
    pub what: String,
    /// What it happened to.
    pub items: Vec<String>,
}

impl Warning {
    /// A warning about `items`, or none when there are none.
    pub fn about(what: impl Into<String>, items: Vec<String>) -> Option<Self> {
        (!items.is_empty()).then(|| Self {
            what: what.into(),
            items,
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        write!(f, "{} × {}: {}", self.items.len(), self.what, {
            let shown = self.items.len().min(SHOWN);
            self.items[..shown].join(", ")
        })?;
        match self.items.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
