//! Simulated plates of tumour spheroids in bright field, with known drug efficacy.
//!
//! A method that orders drugs can only be judged where the right order is known. This crate draws
//! whole plates from a seed: spheroids that grow and differ from well to well, drugs that kill by a
//! known dose response, and a microscope with a lamp, a focus and a camera that are not quite
//! steady. [`PlateSim`] is a [`StackSource`](spheroid_core::StackSource), so that a plate can be
//! used in memory, and [`PlateSim::write`] leaves the files that a real plate would.
//!
//! # What is modelled
//! * **Growth**: Gompertz growth of the volume, start and rate different in every well.
//! * **Efficacy**: a [`Hill`] curve per drug, combinations by Bliss independence ([`bliss`]); the
//!   effect develops over the days after dosing.
//! * **Appearance**: a drug shrinks the spheroid, sheds its cells, darkens its core or coarsens its
//!   grain, in a mix of its own ([`EffectMix`]). No single measurement follows the kill.
//! * **Optics**: Beer–Lambert absorption through a rough, grainy ball; phase contrast that changes
//!   sign through the focus; defocus; uneven light; dust.
//! * **Camera**: shot noise, read noise, 12 bits widened to 16 by bit replication.
//!
//! All lengths are fractions of the shorter image side, so a small image shows the same scene as a
//! large one.
//!
//! # What this crate will not do
//! It predicts no real drug: efficacies, mixes and nuisances are drawn, not fitted to cells. A
//! method that fails here is doubtful; one that succeeds here still has to prove itself on real
//! plates.
//!
//! # Example
//! ```
//! use spheroid_core::StackSource;
//! use spheroid_sim::PlateSimConfig;
//!
//! let plate = PlateSimConfig { rows: 64, columns: 64, ..PlateSimConfig::default() }.build()?;
//! assert_eq!(plate.wells().len(), 60);
//! assert_eq!(plate.len(), 240); // 60 wells on 4 days
//! let stack = plate.render(plate.wells()[0].well, plate.days()[0])?;
//! assert_eq!(stack.dim(), (3, 64, 64));
//! let untreated = &plate.truth()[0];
//! assert_eq!((untreated.treatment.as_str(), untreated.kill), ("untreated", 0.0));
//! # Ok::<(), spheroid_sim::SimError>(())
//! ```

mod blur;
mod camera;
mod config;
mod effect;
mod error;
mod files;
mod growth;
mod microscope;
mod optics;
mod plate;
mod response;
mod scene;
mod screen;
mod stream;
mod truth;

pub use config::{Drug, PlateSimConfig, Screen, TreatmentPlan};
pub use effect::EffectMix;
pub use error::SimError;
pub use files::PlateFiles;
pub use optics::Optics;
pub use plate::{PlateSim, SimWell, TreatmentTruth};
pub use response::{Hill, bliss};
pub use truth::read_truth;
