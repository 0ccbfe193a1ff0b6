//! The example `tone_audit`.

use std::fs;

use ndarray::Array3;
use serde_json::Value;
use spheroid::imaging::{FocalStack, Samples, write_stack};

use crate::support::{example, run};

#[test]
fn an_image_is_audited_in_8_and_16_bits_and_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Array3::from_shape_fn((3, 40, 50), |(p, r, c)| {
        let sensor = (900 + 40 * p + (31 * r * r + 17 * c) % 1200) as u16;
        sensor << 4 | sensor >> 8
    });
    let image = folder.path().join("well.tif");
    write_stack(&image, &FocalStack::new(Samples::U16(stack)).unwrap()).unwrap();
    let out = folder.path().join("out");
    let mut audit = example("tone_audit");
    audit.args(["--draws", "300", "--out"]).arg(&out);
    let told = run(audit.arg(&image));
    told.assert_success();
    assert_eq!(
        told.last_line(),
        format!("JSON and pictures in {}", out.display())
    );

    let report: Value =
        serde_json::from_str(&fs::read_to_string(out.join("well.json")).unwrap()).unwrap();
    assert_eq!(report["depth"]["effective_bits"], 12);
    let kept = |title: &str, which: &str| {
        let audits = report["audits"].as_array().unwrap();
        let audit = audits.iter().find(|audit| audit["title"] == title).unwrap();
        let of = |reading: &Value| reading["distinct"].as_f64().unwrap();
        of(&audit[which]["after"]) / of(&audit["before"])
    };
    assert!(kept("8 bits, one plane", "least") < 0.1);
    assert!(kept("16 bits, one plane", "least") > kept("8 bits, one plane", "least"));
    assert!(kept("16 bits, three planes as RGB", "most") > 2.0);
    assert!(kept("16 bits, focal stack", "most") <= 1.0);
    for budget in ["8 bits", "16 bits", "16 bits, float"] {
        assert!(kept(&format!("{budget}, within the budget"), "least") >= 0.7);
    }
    let picture = fs::read_to_string(out.join("well.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("16 bits, focal stack"));
}
