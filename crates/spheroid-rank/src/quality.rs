use serde::{Deserialize, Serialize};
use spheroid_core::Group;

use crate::{
    RankError, Scale, WellScore,
    aggregate::{NORMAL_MAD, median_and_mad},
    mann_whitney,
    well_score::by_plate,
};

/// Fewest wells of a group whose scatter is told.
const MIN_WELLS: usize = 3;
/// Largest one-sided p of the rank test with which the groups count as separated.
const MOST_P: f64 = 0.05;
/// Least robust SSMD: "good" for a reference of moderate strength (Zhang 2008).
const LEAST_SSMD: f64 = 1.0;

/// Whether the effects on a plate can be told from its noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlateVerdict {
    /// Reference wells score clearly higher than untreated ones.
    CanRank,
    /// They do not: an order of weaker treatments would be noise.
    CannotRank,
    /// There are too few wells of either group to tell.
    Unknown,
}

/// How well a plate separates untreated wells from reference (single-dose) wells.
///
/// With mean μ and standard deviation σ of the untreated (u) and the reference (r) wells on the scale:
/// ```text
/// Z′ = 1 − 3 (σᵤ + σᵣ) / |μᵣ − μᵤ|        SSMD = (μᵣ − μᵤ) / √(σᵤ² + σᵣ²)
/// ```
/// The robust variants put the median and 1.4826 MAD in their place. They are absent with fewer than
/// three wells of a group, or where they would divide by 0.
///
/// The plate can rank when both hold: the one-sided rank test of reference above untreated has
/// p ≤ 0.05, and the robust SSMD is at least 1. The first asks whether there is a difference at all, at
/// any number of wells; the second whether it stands out from the scatter of single wells, where 1 to 2
/// is "good" for a reference of moderate strength. Z′ > 0, which screens for strong inhibitors ask,
/// takes an SSMD of more than 3 and is shown, not asked.
///
/// # Source
/// Z′: Zhang, Chung and Oldenburg, Journal of Biomolecular Screening 4 (1999), 67–73. SSMD: Zhang,
/// Genomics 89 (2007), 552–561; classes by strength of the reference: Zhang, Journal of Biomolecular
/// Screening 13 (2008), 363–377.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlateQuality {
    /// Name of the plate.
    pub plate: String,
    /// Number of untreated wells.
    pub untreated: usize,
    /// Number of reference (single-dose) wells.
    pub reference: usize,
    /// Number of drug-screened wells.
    pub screened: usize,
    /// Z′-factor, at most 1.
    pub z_prime: Option<f64>,
    /// Z′-factor of medians and MAD.
    pub robust_z_prime: Option<f64>,
    /// Strictly standardised mean difference; above 0 when reference wells score higher.
    pub ssmd: Option<f64>,
    /// SSMD of medians and MAD.
    pub robust_ssmd: Option<f64>,
    /// 1.4826 MAD / |median| of the untreated scores as they are.
    pub untreated_cv: Option<f64>,
    /// One-sided p of the Wilcoxon-Mann-Whitney test that reference wells score higher: exact, ties
    /// included, up to about a hundred wells, normal beyond.
    pub p: Option<f64>,
    /// Whether the plate can carry a ranking.
    pub verdict: PlateVerdict,
    /// One sentence saying why.
    pub reason: String,
}

/// The quality of every plate, by name.
///
/// # Errors
/// When there is no well, a score is not finite or not on the scale, or a well occurs twice.
pub fn plate_quality(wells: &[WellScore], scale: Scale) -> Result<Vec<PlateQuality>, RankError> {
    let plates = by_plate(wells, scale)?;
    Ok(plates
        .into_iter()
        .map(|(plate, wells)| of_plate(plate, &wells))
        .collect())
}

fn of_plate(plate: &str, wells: &[(&WellScore, f64)]) -> PlateQuality {
    let of_group = |group: Group| {
        wells
            .iter()
            .filter(move |well| well.0.treatment.group == group)
    };
    let values = |group| of_group(group).map(|well| well.1).collect::<Vec<f64>>();
    let (untreated, reference) = (values(Group::Untreated), values(Group::SingleDose));
    let enough = untreated.len() >= MIN_WELLS && reference.len() >= MIN_WELLS;
    let by_moments = enough.then(|| (moments(&untreated), moments(&reference)));
    let robust = enough.then(|| (robust(&untreated), robust(&reference)));
    let raw: Vec<f64> = of_group(Group::Untreated)
        .map(|well| well.0.score)
        .collect();
    let untreated_cv = (raw.len() >= MIN_WELLS).then(|| {
        let (median, mad) = median_and_mad(&raw);
        NORMAL_MAD * mad / median.abs()
    });
    let p = mann_whitney(&reference, &untreated).ok();
    let robust_ssmd = robust.and_then(ssmd);
    let (verdict, reason) = verdict(untreated.len(), reference.len(), p, robust_ssmd);
    PlateQuality {
        plate: plate.to_owned(),
        untreated: untreated.len(),
        reference: reference.len(),
        screened: of_group(Group::DrugScreened).count(),
        z_prime: by_moments.and_then(z_prime),
        robust_z_prime: robust.and_then(z_prime),
        ssmd: by_moments.and_then(ssmd),
        robust_ssmd,
        untreated_cv: untreated_cv.filter(|cv| cv.is_finite()),
        p,
        verdict,
        reason,
    }
}

fn verdict(
    untreated: usize,
    reference: usize,
    p: Option<f64>,
    robust_ssmd: Option<f64>,
) -> (PlateVerdict, String) {
    let (Some(p), true) = (p, untreated >= MIN_WELLS && reference >= MIN_WELLS) else {
        let reason = format!(
            "{untreated} untreated and {reference} reference wells cannot show whether the plate \
             separates an effect from noise: {MIN_WELLS} of each are needed."
        );
        return (PlateVerdict::Unknown, reason);
    };
    // Without any scatter the rank test alone decides.
    let ssmd = robust_ssmd.unwrap_or(f64::INFINITY);
    let shown = if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    if p > MOST_P {
        let reason = format!(
            "Reference wells do not score higher than untreated ones beyond chance (one-sided \
             {shown}, at most {MOST_P} is asked)."
        );
        (PlateVerdict::CannotRank, reason)
    } else if ssmd < LEAST_SSMD {
        let reason = format!(
            "Reference wells score higher than untreated ones ({shown}), but by too little \
             against the scatter of wells (robust SSMD {ssmd:.2}, at least {LEAST_SSMD} is asked)."
        );
        (PlateVerdict::CannotRank, reason)
    } else {
        let reason = match robust_ssmd {
            Some(ssmd) => format!(
                "Reference wells stand apart from untreated ones ({shown}, robust SSMD {ssmd:.2})."
            ),
            None => format!("Reference wells stand apart from untreated ones ({shown})."),
        };
        (PlateVerdict::CanRank, reason)
    }
}

/// Centre and spread.
type Located = (f64, f64);

fn moments(values: &[f64]) -> Located {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

fn robust(values: &[f64]) -> Located {
    let (median, mad) = median_and_mad(values);
    (median, NORMAL_MAD * mad)
}

fn z_prime((untreated, reference): (Located, Located)) -> Option<f64> {
    let difference = (reference.0 - untreated.0).abs();
    (difference > 0.0).then(|| 1.0 - 3.0 * (untreated.1 + reference.1) / difference)
}

fn ssmd((untreated, reference): (Located, Located)) -> Option<f64> {
    let spread = untreated.1.hypot(reference.1);
    (spread > 0.0).then(|| (reference.0 - untreated.0) / spread)
}
