//! What a report must satisfy before anything is drawn.

use std::collections::HashSet;

use crate::{Report, ReportError, Thumbnail};

/// Largest size of a number: differences and nice steps of such numbers never overflow.
const LARGEST: f64 = 1e100;

/// Longest side of a thumbnail in pixels.
const LONGEST_SIDE: usize = 1024;

pub(crate) fn check(report: &Report) -> Result<(), ReportError> {
    ranking(report)?;
    wells(report)?;
    report.thumbnails.iter().try_for_each(thumbnail)?;
    let images = report
        .thumbnails
        .iter()
        .map(|t| (&t.treatment, &t.plate, t.well, t.day));
    once("thumbnails", images, |(treatment, plate, well, day)| {
        format!("`{treatment}` in {plate}:{well} on day {day}")
    })?;
    for point in &report.training {
        number(point.loss, || format!("loss of epoch {}", point.epoch))?;
    }
    if let Some(pair) = report
        .training
        .windows(2)
        .find(|pair| pair[0].epoch >= pair[1].epoch)
    {
        return Err(ReportError::EpochOrder {
            before: pair[0].epoch,
            epoch: pair[1].epoch,
        });
    }
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
        if !report.format.contains(well.well) {
            return Err(ReportError::OutsidePlate {
                plate: well.plate.clone(),
                well: well.well,
                format: report.format,
            });
        }
    }
    once(
        "wells",
        report.wells.iter().map(|w| (&w.plate, w.well)),
        |(plate, well)| format!("well {plate}:{well}"),
    )
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
