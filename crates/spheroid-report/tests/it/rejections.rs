//! Every reason to refuse a report, seen.

use ndarray::Array2;
use spheroid_core::{CoreError, PlateFormat};
use spheroid_report::{Report, ReportError};

use crate::page::realistic;

fn refused(change: impl FnOnce(&mut Report)) -> ReportError {
    let mut report = realistic();
    change(&mut report);
    report.to_html().expect_err("the change is refused")
}

#[test]
fn an_empty_ranking() {
    assert!(matches!(
        refused(|r| r.ranking.clear()),
        ReportError::EmptyRanking
    ));
}

#[test]
fn numbers_that_are_not_finite() {
    type Field = (&'static str, fn(&mut Report, f64));
    const FIELDS: [Field; 8] = [
        ("score of treatment `", |r, v| r.ranking[2].score = v),
        ("interval of treatment `", |r, v| {
            r.ranking[2].interval = Some((v, 1.0))
        }),
        ("interval of treatment `", |r, v| {
            r.ranking[2].interval = Some((1.0, v))
        }),
        ("score of well P1:B02", |r, v| r.wells[0].score = v),
        ("loss of epoch 5", |r, v| r.training[4].loss = v),
        ("skill of predictor `mean`", |r, v| {
            r.predictors[1].skill = v
        }),
        ("comparison `Kendall's tau, method`", |r, v| {
            r.comparisons[0].value = v
        }),
        (
            "pixel in row 3, column 4 of thumbnail `untreated`",
            |r, v| {
                r.thumbnails[0].pixels[[3, 4]] = v as f32;
            },
        ),
    ];
    for (name, set) in FIELDS {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e101] {
            match refused(|report| set(report, value)) {
                ReportError::Number { field, .. } => assert!(field.starts_with(name), "{field}"),
                other => panic!("{name} = {value}: {other}"),
            }
        }
    }
}

#[test]
fn the_message_names_field_value_and_rule() {
    let error = refused(|report| report.wells[0].score = f64::NAN);
    assert_eq!(
        error.to_string(),
        "score of well P1:B02 is NaN: it must be finite and at most 1e100 in size"
    );
}

#[test]
fn swapped_intervals() {
    let error = refused(|report| report.ranking[0].interval = Some((2.0, 1.0)));
    assert!(matches!(
        error,
        ReportError::Interval {
            low: 2.0,
            high: 1.0,
            ..
        }
    ));
    let error = refused(|report| report.ranking[0].rank_interval = Some((3, 2)));
    assert!(matches!(
        error,
        ReportError::Interval {
            low: 3.0,
            high: 2.0,
            ..
        }
    ));
}

#[test]
fn a_well_beyond_the_plate() {
    let error = refused(|report| report.format = PlateFormat::W24);
    assert_eq!(error.to_string(), "plate P1 has 24 wells and no well B07");
}

#[test]
fn repetitions() {
    let error = refused(|report| report.ranking[1].treatment = report.ranking[0].treatment.clone());
    assert!(matches!(
        error,
        ReportError::Repeated {
            field: "ranking",
            ..
        }
    ));
    let error = refused(|report| report.wells[1].well = report.wells[0].well);
    assert_eq!(
        error.to_string(),
        "well P1:B02 occurs more than once in `wells`"
    );
    let error = refused(|report| report.thumbnails[1].day = report.thumbnails[0].day);
    assert!(matches!(
        error,
        ReportError::Repeated {
            field: "thumbnails",
            ..
        }
    ));
}

#[test]
fn epochs_out_of_order() {
    let error = refused(|report| report.training.swap(3, 4));
    assert!(matches!(
        error,
        ReportError::EpochOrder {
            before: 5,
            epoch: 4
        }
    ));
}

#[test]
fn thumbnails_without_pixels_or_too_large() {
    for shape in [(0, 5), (5, 0), (1025, 1), (1, 1025)] {
        let error = refused(|report| report.thumbnails[0].pixels = Array2::ones(shape));
        assert!(
            matches!(error, ReportError::ThumbnailSize { rows, columns, .. }
            if (rows, columns) == shape)
        );
    }
}

#[test]
fn a_place_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = realistic().write(&file.join("report.html")).unwrap_err();
    assert!(matches!(error, ReportError::Core(CoreError::Io { .. })));
}
