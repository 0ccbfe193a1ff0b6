//! A self-contained HTML report of a ranked plate.
//!
//! [`Report`] holds plain numbers and text; [`Report::to_html`] turns them into one page and
//! [`Report::write`] puts it into a file; [`Report::write_svgs`] writes every plot as a picture of its
//! own. The page opens offline, holds no script, reads on a phone
//! and prints. Its content-security policy forbids the browser to fetch anything, and text from the
//! tables is escaped, so a treatment named `<script>` is shown, never run. Equal reports give equal
//! bytes.
//!
//! What stands in it, in this order; a part without data is left out:
//!
//! 1. summary sentences and warnings; a plate that cannot carry a ranking stands above all else;
//! 2. the quality of each plate, and what position on it explains;
//! 3. the ranking, as a forest plot with every well and as a table;
//! 4. a heat map of each plate by score, rank, area or flags, and the wells that were not ranked;
//! 5. score against concentration, a plot a drug;
//! 6. combinations beside what their drugs alone lead to expect;
//! 7. the wells in two dimensions, by group, dose or day;
//! 8. images by treatment and day, untreated first, all with one tone mapping;
//! 9. the training loss and the signs of collapse;
//! 10. predictors and comparisons;
//! 11. the audit trail from images to ranked wells;
//! 12. the settings that make it again.
//!
//! # Example
//! ```
//! use spheroid_core::{Group, PlateFormat};
//! use spheroid_report::{RankingRow, Report};
//!
//! let row = |rank, treatment: &str, group, score| RankingRow {
//!     rank,
//!     treatment: treatment.into(),
//!     group,
//!     doses: String::new(),
//!     score,
//!     interval: None,
//!     rank_interval: None,
//!     wells: 3,
//!     p_value: None,
//!     q_value: None,
//!     tier: None,
//! };
//! let report = Report {
//!     ranking: vec![
//!         row(1, "cisplatin", Group::SingleDose, 8.5),
//!         row(2, "untreated", Group::Untreated, 1.2),
//!     ],
//!     ..Report::new("Plate 7", "P7", PlateFormat::W96)
//! };
//! let html = report.to_html()?;
//! assert!(html.starts_with("<!DOCTYPE html>") && html.contains("cisplatin"));
//! # Ok::<(), spheroid_report::ReportError>(())
//! ```
//!
//! # What this crate will not do
//! It computes no score, rank or interval: it shows those that it is given.

mod audit;
mod axis;
mod check;
mod colour;
mod colour_bar;
mod combinations;
mod dose_response;
mod embedding_map;
mod error;
mod forest;
mod group;
mod loss_curve;
mod number;
mod page;
mod plate_map;
mod plot;
mod quality;
mod ranking;
mod report;
mod shape;
mod svg_files;
mod tabs;
mod thumbnails;
mod tone_audit;

pub use error::ReportError;
pub use report::{
    AuditStep, CombinationRow, Comparison, DoseResponse, DroppedWell, EmbeddingMap, LossPoint,
    MapPoint, PlateQualityRow, PositionRow, PredictorSkill, RankingRow, Report, Thumbnail,
    WellScore,
};
pub use tone_audit::{ToneAuditPanel, tone_audit_svg};
