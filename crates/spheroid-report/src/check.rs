//! What a report must satisfy before anything is drawn.

use std::collections::HashSet;

use spheroid_core::WellId;

use crate::{DoseResponse, EmbeddingMap, PlateQualityRow, Report, ReportError, Thumbnail};

/// Largest size of a number: differences and nice steps of such numbers never overflow.
const LARGEST: f64 = 1e100;

/// Least concentration on a logarithmic axis; its mirror image is [`LARGEST`].
const SMALLEST_DOSE: f64 = 1e-100;

/// Longest side of a thumbnail in pixels.
const LONGEST_SIDE: usize = 1024;

pub(crate) fn check(report: &Report) -> Result<(), ReportError> {
    quality(report)?;
    ranking(report)?;
    wells(report)?;
    doses(report)?;
    combinations(report)?;
    report
        .embedding_map
        .iter()
        .try_for_each(|map| embedding_map(report, map))?;
    report.thumbnails.iter().try_for_each(thumbnail)?;
    let images = report
        .thumbnails
        .iter()
        .map(|t| (&t.treatment, &t.plate, t.well, t.day));
    once("thumbnails", images, |(treatment, plate, well, day)| {
        format!("`{treatment}` in {plate}:{well} on day {day}")
    })?;
    training(report)?;
    for predictor in &report.predictors {
        number(predictor.skill, || {
            format!("skill of predictor `{}`", predictor.name)
        })?;
    }
    for comparison in &report.comparisons {
        number(comparison.value, || {
            format!("comparison `{}`", comparison.name)
        })?;
    }
    Ok(())
}

fn quality(report: &Report) -> Result<(), ReportError> {
    report.quality.iter().try_for_each(plate_quality)?;
    let plates = report.quality.iter().map(|row| &row.plate);
    once("quality", plates, |plate| format!("plate {plate}"))?;
    for row in &report.position {
        let what = || format!("of position `{}` on plate {}", row.position, row.plate);
        fraction(row.share, || format!("share {}", what()))?;
        p_value(row.p_value, || format!("p-value {}", what()))?;
    }
    let positions = report.position.iter().map(|p| (&p.plate, &p.position));
    once("position", positions, |(plate, position)| {
        format!("position `{position}` of plate {plate}")
    })
}

fn plate_quality(row: &PlateQualityRow) -> Result<(), ReportError> {
    for (name, value) in &row.figures {
        value.map_or(Ok(()), |value| {
            number(value, || format!("figure `{name}` of plate {}", row.plate))
        })?;
    }
    once(
        "quality",
        row.figures.iter().map(|(name, _)| name),
        |name| format!("figure `{name}` of plate {}", row.plate),
    )
}

fn ranking(report: &Report) -> Result<(), ReportError> {
    if report.ranking.is_empty() {
        return Err(ReportError::EmptyRanking);
    }
    for row in &report.ranking {
        number(row.score, || {
            format!("score of treatment `{}`", row.treatment)
        })?;
        if let Some((low, high)) = row.interval {
            let field = || format!("interval of treatment `{}`", row.treatment);
            number(low, field)?;
            number(high, field)?;
            ordered(low, high, field)?;
        }
        if let Some((best, worst)) = row.rank_interval {
            ordered(best as f64, worst as f64, || {
                format!("rank interval of treatment `{}`", row.treatment)
            })?;
        }
        p_value(row.p_value, || {
            format!("p-value of treatment `{}`", row.treatment)
        })?;
        p_value(row.q_value, || {
            format!("q-value of treatment `{}`", row.treatment)
        })?;
    }
    once(
        "ranking",
        report.ranking.iter().map(|row| &row.treatment),
        |name| format!("treatment `{name}`"),
    )
}

fn wells(report: &Report) -> Result<(), ReportError> {
    for well in &report.wells {
        number(well.score, || {
            format!("score of well {}:{}", well.plate, well.well)
        })?;
        if let Some(area) = well.area {
            not_negative(area, || {
                format!("area of well {}:{}", well.plate, well.well)
            })?;
        }
        p_value(well.p_value, || {
            format!("p-value of well {}:{}", well.plate, well.well)
        })?;
        inside(report, &well.plate, well.well)?;
    }
    for well in &report.failed {
        inside(report, &well.plate, well.well)?;
    }
    let ranked = report.wells.iter().map(|w| (&w.plate, w.well));
    let failed = report.failed.iter().map(|w| (&w.plate, w.well));
    let name = |(plate, well)| format!("well {plate}:{well}");
    once("wells", ranked.clone(), name)?;
    once("wells and failed", ranked.chain(failed), name)
}

fn inside(report: &Report, plate: &str, well: WellId) -> Result<(), ReportError> {
    if report.format.contains(well) {
        Ok(())
    } else {
        Err(ReportError::OutsidePlate {
            plate: plate.to_owned(),
            well,
            format: report.format,
        })
    }
}

fn doses(report: &Report) -> Result<(), ReportError> {
    report.dose_responses.iter().try_for_each(dose_response)?;
    let drugs = report.dose_responses.iter().map(|response| &response.drug);
    once("dose_responses", drugs, |drug| format!("drug `{drug}`"))
}

fn dose_response(response: &DoseResponse) -> Result<(), ReportError> {
    let DoseResponse {
        drug,
        points,
        curve,
        ec50,
        ec50_interval,
        figures,
        ..
    } = response;
    for &(concentration, score) in points {
        not_negative(concentration, || format!("concentration of drug `{drug}`"))?;
        if concentration > 0.0 {
            dose(concentration, || format!("concentration of drug `{drug}`"))?;
        }
        number(score, || format!("score of drug `{drug}`"))?;
    }
    for &(concentration, score) in curve {
        dose(concentration, || {
            format!("concentration on the curve of drug `{drug}`")
        })?;
        number(score, || format!("score on the curve of drug `{drug}`"))?;
    }
    if let Some(ec50) = *ec50 {
        dose(ec50, || format!("EC50 of drug `{drug}`"))?;
    }
    if let Some((low, high)) = *ec50_interval {
        let field = || format!("interval of the EC50 of drug `{drug}`");
        for end in [low, high].into_iter().flatten() {
            dose(end, field)?;
        }
        low.zip(high)
            .map_or(Ok(()), |(low, high)| ordered(low, high, field))?;
    }
    for (name, value) in figures {
        number(*value, || format!("figure `{name}` of drug `{drug}`"))?;
    }
    once(
        "dose_responses",
        figures.iter().map(|(name, _)| name),
        |name| format!("figure `{name}` of drug `{drug}`"),
    )?;
    if points.iter().chain(curve).any(|&(dose, _)| dose > 0.0) {
        Ok(())
    } else {
        Err(ReportError::NoDose { drug: drug.clone() })
    }
}

fn combinations(report: &Report) -> Result<(), ReportError> {
    for row in &report.combinations {
        let what = || format!("of combination `{}` by {}", row.treatment, row.model);
        number(row.excess, || format!("excess {}", what()))?;
        if let Some((low, high)) = row.interval {
            let field = || format!("interval {}", what());
            number(low, field)?;
            number(high, field)?;
            ordered(low, high, field)?;
        }
    }
    let rows = report.combinations.iter().map(|r| (&r.treatment, &r.model));
    once("combinations", rows, |(treatment, model)| {
        format!("combination `{treatment}` by {model}")
    })
}

fn embedding_map(report: &Report, map: &EmbeddingMap) -> Result<(), ReportError> {
    for point in &map.points {
        let what = || {
            format!(
                "of well {}:{} on day {}",
                point.plate, point.well, point.day
            )
        };
        number(point.x, || format!("x {}", what()))?;
        number(point.y, || format!("y {}", what()))?;
        if let Some(concentration) = point.dose {
            let field = || format!("dose {}", what());
            not_negative(concentration, field)?;
            if concentration > 0.0 {
                dose(concentration, field)?;
            }
        }
        inside(report, &point.plate, point.well)?;
    }
    let points = map.points.iter().map(|p| (&p.plate, p.well, p.day));
    once("embedding_map", points, |(plate, well, day)| {
        format!("well {plate}:{well} on day {day}")
    })
}

fn training(report: &Report) -> Result<(), ReportError> {
    for point in &report.training {
        number(point.loss, || format!("loss of epoch {}", point.epoch))?;
        for (name, value) in &point.signs {
            number(*value, || format!("`{name}` of epoch {}", point.epoch))?;
        }
        once(
            "training",
            point.signs.iter().map(|(name, _)| name),
            |name| format!("`{name}` of epoch {}", point.epoch),
        )?;
    }
    match report
        .training
        .windows(2)
        .find(|pair| pair[0].epoch >= pair[1].epoch)
    {
        Some(pair) => Err(ReportError::EpochOrder {
            before: pair[0].epoch,
            epoch: pair[1].epoch,
        }),
        None => Ok(()),
    }
}

fn thumbnail(thumbnail: &Thumbnail) -> Result<(), ReportError> {
    let Thumbnail {
        treatment,
        plate,
        well,
        day,
        pixels,
        ..
    } = thumbnail;
    let what = || format!("`{treatment}` in {plate}:{well} on day {day}");
    let (rows, columns) = pixels.dim();
    let sides = 1..=LONGEST_SIDE;
    if !(sides.contains(&rows) && sides.contains(&columns)) {
        return Err(ReportError::ThumbnailSize {
            what: what(),
            rows,
            columns,
        });
    }
    for ((row, column), &value) in pixels.indexed_iter() {
        number(value.into(), || {
            format!(
                "pixel in row {row}, column {column} of thumbnail {}",
                what()
            )
        })?;
    }
    Ok(())
}

fn number(value: f64, field: impl FnOnce() -> String) -> Result<(), ReportError> {
    if value.abs() <= LARGEST {
        Ok(())
    } else {
        Err(ReportError::Number {
            field: field(),
            value,
        })
    }
}

fn within(
    value: f64,
    range: std::ops::RangeInclusive<f64>,
    rule: &'static str,
    field: impl FnOnce() -> String,
) -> Result<(), ReportError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(ReportError::Range {
            field: field(),
            value,
            rule,
        })
    }
}

fn fraction(value: f64, field: impl FnOnce() -> String) -> Result<(), ReportError> {
    within(value, 0.0..=1.0, "lie between 0 and 1", field)
}

fn p_value(value: Option<f64>, field: impl FnOnce() -> String) -> Result<(), ReportError> {
    value.map_or(Ok(()), |value| fraction(value, field))
}

fn not_negative(value: f64, field: impl FnOnce() -> String) -> Result<(), ReportError> {
    within(value, 0.0..=LARGEST, "be 0 or more, and finite", field)
}

/// A concentration on a logarithmic axis.
fn dose(value: f64, field: impl FnOnce() -> String) -> Result<(), ReportError> {
    let rule = "be above 0, between 1e-100 and 1e100";
    within(value, SMALLEST_DOSE..=LARGEST, rule, field)
}

fn ordered(low: f64, high: f64, field: impl FnOnce() -> String) -> Result<(), ReportError> {
    if low <= high {
        Ok(())
    } else {
        Err(ReportError::Interval {
            field: field(),
            low,
            high,
        })
    }
}

fn once<T: Copy + Eq + std::hash::Hash>(
    field: &'static str,
    items: impl Iterator<Item = T>,
    name: impl FnOnce(T) -> String,
) -> Result<(), ReportError> {
    let mut seen = HashSet::new();
    let mut items = items;
    match items.find(|&item| !seen.insert(item)) {
        Some(item) => Err(ReportError::Repeated {
            field,
            what: name(item),
        }),
        None => Ok(()),
    }
}
