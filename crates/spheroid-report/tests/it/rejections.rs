//! Every reason to refuse a report, seen.

use ndarray::Array2;
use spheroid_core::{CoreError, PlateFormat, WellId};
use spheroid_report::{MapPoint, Report, ReportError};

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
    const FIELDS: [Field; 18] = [
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
        ("figure `Z′` of plate P1", |r, v| {
            r.quality[0].figures[0].1 = Some(v)
        }),
        ("score of drug `paclitaxel`", |r, v| {
            r.dose_responses[1].points[0].1 = v
        }),
        ("score on the curve of drug `cisplatin`", |r, v| {
            r.dose_responses[0].curve[0].1 = v
        }),
        ("figure `GR50` of drug `cisplatin`", |r, v| {
            r.dose_responses[0].figures[0].1 = v
        }),
        (
            "excess of combination `cisplatin + paclitaxel` by Bliss",
            |r, v| r.combinations[0].excess = v,
        ),
        (
            "interval of combination `cisplatin + paclitaxel`",
            |r, v| r.combinations[0].interval = Some((v, 1.0)),
        ),
        (
            "interval of combination `cisplatin + paclitaxel`",
            |r, v| r.combinations[0].interval = Some((1.0, v)),
        ),
        ("x of well P1:B02 on day 7", |r, v| point(r).x = v),
        ("y of well P1:B02 on day 7", |r, v| point(r).y = v),
        ("`effective rank` of epoch 2", |r, v| {
            r.training[1].signs[0].1 = v
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

fn point(report: &mut Report) -> &mut MapPoint {
    &mut report.embedding_map.as_mut().expect("a map").points[0]
}

#[test]
fn numbers_out_of_range() {
    type Field = (&'static str, fn(&mut Report, f64), &'static [f64]);
    const FRACTION: &[f64] = &[-0.001, 1.001, f64::NAN];
    const NEGATIVE: &[f64] = &[-1.0, f64::INFINITY, f64::NAN, 1e101];
    const DOSE: &[f64] = &[0.0, -1.0, f64::INFINITY, f64::NAN, 1e-101];
    const FIELDS: [Field; 13] = [
        (
            "p-value of treatment `",
            |r, v| r.ranking[1].p_value = Some(v),
            FRACTION,
        ),
        (
            "q-value of treatment `",
            |r, v| r.ranking[1].q_value = Some(v),
            FRACTION,
        ),
        (
            "p-value of well P1:B02",
            |r, v| r.wells[0].p_value = Some(v),
            FRACTION,
        ),
        (
            "share of position `edge` on plate P1",
            |r, v| r.position[0].share = v,
            FRACTION,
        ),
        (
            "p-value of position `edge` on plate P1",
            |r, v| r.position[0].p_value = Some(v),
            FRACTION,
        ),
        (
            "area of well P1:B02",
            |r, v| r.wells[0].area = Some(v),
            NEGATIVE,
        ),
        (
            "dose of well P1:B02 on day 7",
            |r, v| point(r).dose = Some(v),
            NEGATIVE,
        ),
        (
            "concentration of drug `cisplatin`",
            |r, v| r.dose_responses[0].points[0].0 = v,
            NEGATIVE,
        ),
        (
            "concentration on the curve of drug `cisplatin`",
            |r, v| r.dose_responses[0].curve[0].0 = v,
            DOSE,
        ),
        (
            "EC50 of drug `cisplatin`",
            |r, v| r.dose_responses[0].ec50 = Some(v),
            DOSE,
        ),
        (
            "interval of the EC50 of drug `cisplatin`",
            |r, v| r.dose_responses[0].ec50_interval = Some((Some(v), None)),
            DOSE,
        ),
        (
            "interval of the EC50 of drug `cisplatin`",
            |r, v| r.dose_responses[0].ec50_interval = Some((None, Some(v))),
            DOSE,
        ),
        (
            "concentration of drug `cisplatin`",
            |r, v| r.dose_responses[0].points[0].0 = v,
            &[1e-101],
        ),
    ];
    for (name, set, values) in FIELDS {
        for &value in values {
            match refused(|report| set(report, value)) {
                ReportError::Range { field, .. } => assert!(field.starts_with(name), "{field}"),
                other => panic!("{name} = {value}: {other}"),
            }
        }
    }
    assert_eq!(
        refused(|report| report.wells[0].p_value = Some(1.5)).to_string(),
        "p-value of well P1:B02 is 1.5: it must lie between 0 and 1"
    );
}

#[test]
fn a_drug_without_a_positive_dose() {
    let error = refused(|report| {
        report.dose_responses[1].curve.clear();
        report.dose_responses[1].points = vec![(0.0, 1.0)];
    });
    assert_eq!(
        error.to_string(),
        "dose response of `paclitaxel` has no positive concentration: its axis needs at least one"
    );
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
    for swapped in [
        refused(|report| report.combinations[0].interval = Some((2.0, 1.0))),
        refused(|report| {
            report.dose_responses[0].ec50_interval = Some((Some(2.0), Some(1.0)));
        }),
    ] {
        assert!(matches!(
            swapped,
            ReportError::Interval {
                low: 2.0,
                high: 1.0,
                ..
            }
        ));
    }
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
    let well = WellId::new(8, 0).expect("on larger plates");
    for error in [
        refused(|report| report.failed[0].well = well),
        refused(|report| point(report).well = well),
    ] {
        assert_eq!(error.to_string(), "plate P1 has 96 wells and no well I01");
    }
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
fn repetitions_in_lists_by_name() {
    type Case = (fn(&mut Report), &'static str);
    const CASES: [Case; 9] = [
        (
            |r| r.failed[0].well = r.wells[0].well,
            "well P1:B02 occurs more than once in `wells and failed`",
        ),
        (
            |r| r.quality.push(r.quality[0].clone()),
            "plate P1 occurs more than once in `quality`",
        ),
        (
            |r| r.quality[0].figures[1].0 = "Z′".into(),
            "figure `Z′` of plate P1 occurs more than once in `quality`",
        ),
        (
            |r| r.position.push(r.position[0].clone()),
            "position `edge` of plate P1 occurs more than once in `position`",
        ),
        (
            |r| r.dose_responses[1].drug = "cisplatin".into(),
            "drug `cisplatin` occurs more than once in `dose_responses`",
        ),
        (
            |r| r.dose_responses[0].figures.push(("GR50".into(), 1.0)),
            "figure `GR50` of drug `cisplatin` occurs more than once in `dose_responses`",
        ),
        (
            |r| r.combinations.push(r.combinations[0].clone()),
            "combination `cisplatin + paclitaxel` by Bliss occurs more than once in `combinations`",
        ),
        (
            |r| {
                let again = point(r).clone();
                r.embedding_map.as_mut().expect("a map").points.push(again);
            },
            "well P1:B02 on day 7 occurs more than once in `embedding_map`",
        ),
        (
            |r| r.training[1].signs[1].0 = "effective rank".into(),
            "`effective rank` of epoch 2 occurs more than once in `training`",
        ),
    ];
    for (change, message) in CASES {
        assert_eq!(refused(change).to_string(), message);
    }
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
