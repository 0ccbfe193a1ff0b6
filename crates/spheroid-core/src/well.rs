use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::CoreError;

/// Position of a well: row letter(s) and column number.
///
/// `B2`, `b02` and `B02` name the same well, which prints as `B02`; rows beyond Z go on with AA.
/// Rows and columns count from 0 in code and from A and 1 in text.
///
/// # Example
/// ```
/// use spheroid_core::WellId;
/// let well: WellId = "b2".parse()?;
/// assert_eq!(well.to_string(), "B02");
/// assert_eq!((well.row(), well.column()), (1, 1));
/// # Ok::<(), spheroid_core::CoreError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WellId {
    row: u8,
    column: u8,
}

impl WellId {
    /// Most rows and columns that a name can hold (`ZZ99` would be beyond any plate).
    const MAX_ROWS: usize = PlateFormat::W1536.rows();
    const MAX_COLUMNS: usize = PlateFormat::W1536.columns();

    /// The well at `row` and `column`, both from 0; `None` beyond a 1536-well plate.
    pub fn new(row: usize, column: usize) -> Option<Self> {
        (row < Self::MAX_ROWS && column < Self::MAX_COLUMNS).then_some(Self {
            row: row as u8,
            column: column as u8,
        })
    }

    /// Row, from 0 for A.
    pub fn row(self) -> usize {
        self.row.into()
    }

    /// Column, from 0 for column 1.
    pub fn column(self) -> usize {
        self.column.into()
    }

    /// Row as it is printed: A to Z, then AA to AF.
    pub fn row_name(self) -> String {
        let letter = |index: u8| char::from(b'A' + index);
        match self.row {
            row @ 0..26 => letter(row).to_string(),
            row => format!("A{}", letter(row - 26)),
        }
    }
}

impl fmt::Display for WellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:02}", self.row_name(), self.column + 1)
    }
}

impl FromStr for WellId {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let text = text.trim();
        let wrong = || CoreError::WellName {
            text: text.to_owned(),
        };
        let digits = text
            .find(|c: char| !c.is_ascii_alphabetic())
            .ok_or_else(wrong)?;
        let (letters, number) = text.split_at(digits);
        let row = match letters.to_ascii_uppercase().as_bytes() {
            [a] => usize::from(a - b'A'),
            [b'A', b] => 26 + usize::from(b - b'A'),
            _ => return Err(wrong()),
        };
        if number.len() > 3 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let column: usize = number.parse().map_err(|_| wrong())?;
        column
            .checked_sub(1)
            .and_then(|column| Self::new(row, column))
            .ok_or_else(wrong)
    }
}

impl TryFrom<String> for WellId {
    type Error = CoreError;

    fn try_from(text: String) -> Result<Self, CoreError> {
        text.parse()
    }
}

impl From<WellId> for String {
    fn from(well: WellId) -> Self {
        well.to_string()
    }
}

/// The standard multi-well plates (ANSI/SLAS 4 for 96, 384 and 1536 wells).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub enum PlateFormat {
    /// 2 rows of 3.
    W6,
    /// 3 rows of 4.
    W12,
    /// 4 rows of 6.
    W24,
    /// 6 rows of 8.
    W48,
    /// 8 rows of 12.
    W96,
    /// 16 rows of 24.
    W384,
    /// 32 rows of 48.
    W1536,
}

impl PlateFormat {
    /// Every format, smallest first.
    pub const ALL: [Self; 7] = [
        Self::W6,
        Self::W12,
        Self::W24,
        Self::W48,
        Self::W96,
        Self::W384,
        Self::W1536,
    ];

    /// Number of rows.
    pub const fn rows(self) -> usize {
        match self {
            Self::W6 => 2,
            Self::W12 => 3,
            Self::W24 => 4,
            Self::W48 => 6,
            Self::W96 => 8,
            Self::W384 => 16,
            Self::W1536 => 32,
        }
    }

    /// Number of columns.
    pub const fn columns(self) -> usize {
        match self {
            Self::W6 => 3,
            Self::W12 => 4,
            Self::W24 => 6,
            Self::W48 => 8,
            Self::W96 => 12,
            Self::W384 => 24,
            Self::W1536 => 48,
        }
    }

    /// Number of wells.
    pub const fn wells(self) -> usize {
        self.rows() * self.columns()
    }

    /// Whether the plate has this well.
    pub fn contains(self, well: WellId) -> bool {
        well.row() < self.rows() && well.column() < self.columns()
    }

    /// Width in wells of the border that the edge effect (evaporation, temperature) spoils.
    ///
    /// One well from 48 wells on, two for 1536 wells, whose wells are a quarter of the size. The
    /// plates with 6 to 24 wells would lose half of their wells or all of them, so none is left out.
    pub fn edge_width(self) -> usize {
        match self {
            Self::W6 | Self::W12 | Self::W24 => 0,
            Self::W48 | Self::W96 | Self::W384 => 1,
            Self::W1536 => 2,
        }
    }

    /// Whether the edge effect leaves this well usable; of 96 wells the inner 60 (B–G, 2–11) are.
    pub fn is_inner(self, well: WellId) -> bool {
        let edge = self.edge_width();
        (edge..self.rows() - edge).contains(&well.row())
            && (edge..self.columns() - edge).contains(&well.column())
    }

    /// The usable wells, row by row.
    pub fn inner_wells(self) -> impl Iterator<Item = WellId> {
        (0..self.rows())
            .flat_map(move |row| (0..self.columns()).filter_map(move |c| WellId::new(row, c)))
            .filter(move |&well| self.is_inner(well))
    }

    /// The smallest format that has all of `wells`.
    pub fn smallest_for(wells: impl IntoIterator<Item = WellId>) -> Self {
        let (rows, columns) = wells.into_iter().fold((0, 0), |(r, c), well| {
            (r.max(well.row() + 1), c.max(well.column() + 1))
        });
        Self::ALL
            .into_iter()
            .find(|format| format.rows() >= rows && format.columns() >= columns)
            .expect("a well never lies outside 1536 wells")
    }
}

impl TryFrom<usize> for PlateFormat {
    type Error = CoreError;

    fn try_from(wells: usize) -> Result<Self, CoreError> {
        Self::ALL
            .into_iter()
            .find(|format| format.wells() == wells)
            .ok_or(CoreError::PlateFormat { wells })
    }
}

impl From<PlateFormat> for usize {
    fn from(format: PlateFormat) -> Self {
        format.wells()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_well_are_equal() {
        let wells: Vec<WellId> = ["B2", "b02", "B02", " b2 "]
            .iter()
            .map(|t| t.parse().unwrap())
            .collect();
        assert!(
            wells
                .iter()
                .all(|well| well.to_string() == "B02" && *well == wells[0])
        );
        assert_eq!("aa1".parse::<WellId>().unwrap().to_string(), "AA01");
        assert_eq!(
            "AF48".parse::<WellId>().unwrap(),
            WellId::new(31, 47).unwrap()
        );
    }

    #[test]
    fn refuses_what_names_no_well() {
        for text in [
            "", "B", "2", "B0", "B00", "BB2", "A49", "AG01", "B-2", "B2x", "É2", "B0002",
        ] {
            assert!(
                matches!(text.parse::<WellId>(), Err(CoreError::WellName { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn ninety_six_wells_have_sixty_inner_ones() {
        let inner: Vec<_> = PlateFormat::W96
            .inner_wells()
            .map(|w| w.to_string())
            .collect();
        assert_eq!(inner.len(), 60);
        assert_eq!((inner[0].as_str(), inner[59].as_str()), ("B02", "G11"));
    }

    #[test]
    fn every_format_knows_its_wells() {
        let inner = [6, 12, 24, 24, 60, 308, 1232];
        for (format, inner) in PlateFormat::ALL.into_iter().zip(inner) {
            assert_eq!(PlateFormat::try_from(format.wells()).unwrap(), format);
            assert_eq!(format.inner_wells().count(), inner, "{format:?}");
        }
        assert!(PlateFormat::try_from(95).is_err());
    }

    #[test]
    fn smallest_format_holds_the_farthest_well() {
        let well = |text: &str| text.parse::<WellId>().unwrap();
        assert_eq!(PlateFormat::smallest_for([]), PlateFormat::W6);
        assert_eq!(
            PlateFormat::smallest_for([well("B02"), well("G11")]),
            PlateFormat::W96
        );
        assert_eq!(PlateFormat::smallest_for([well("A13")]), PlateFormat::W384);
    }

    proptest! {
        #[test]
        fn every_name_reads_back(row in 0usize..32, column in 0usize..48) {
            let well = WellId::new(row, column).unwrap();
            prop_assert_eq!(well.to_string().parse::<WellId>().unwrap(), well);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<WellId>();
        }
    }
}
