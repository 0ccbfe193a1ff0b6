//! Plots as files of their own.

use std::collections::HashSet;

use crate::page::{attacked, realistic, tags};

#[test]
fn every_plot_of_the_page_has_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let paths = realistic().write_svgs(folder.path()).unwrap();
    let names: Vec<&str> = paths
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "ranking.svg",
            "plate-P1-score.svg",
            "plate-P1-rank.svg",
            "plate-P1-area.svg",
            "plate-P1-flags.svg",
            "dose-cisplatin.svg",
            "dose-paclitaxel.svg",
            "combinations.svg",
            "embedding-group.svg",
            "embedding-dose.svg",
            "embedding-day.svg",
            "training.svg",
            "training-effective-rank.svg",
            "training-uniformity.svg",
        ]
    );
    let html = realistic().to_html().unwrap();
    assert_eq!(html.matches("<svg").count(), names.len());
    for path in &paths {
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "),
            "{path:?}"
        );
        // Programs for drawings know no variables, and nothing stands outside the file.
        assert!(!svg.contains("var(") && !svg.contains("url(") && !svg.contains("href"));
        assert!(svg.contains("<text") && svg.contains("fill=\"#fff\""));
    }
}

#[test]
fn names_from_the_report_never_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("plots");
    let mut report = attacked();
    report.dose_responses[0].drug = "../x".into();
    report.dose_responses[1].drug = "/..//X".into();
    report.wells[0].plate = "..".into();
    let paths = report.write_svgs(&inner).unwrap();
    assert!(paths.iter().all(|path| path.parent() == Some(&inner)));
    let names: HashSet<_> = paths.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names.len(), paths.len());
    let written = std::fs::read_dir(&inner).unwrap().count();
    assert_eq!(written, paths.len());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    for name in ["dose-x.svg", "dose-X-2.svg", "plate-unnamed-score.svg"] {
        assert!(names.contains(std::ffi::OsStr::new(name)), "{names:?}");
    }
}

#[test]
fn text_in_files_is_never_run() {
    let folder = tempfile::tempdir().unwrap();
    for path in attacked().write_svgs(folder.path()).unwrap() {
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(
            !svg.contains("<script") && !svg.contains("<img"),
            "{path:?}"
        );
        let mut open = Vec::new();
        for tag in tags(&svg) {
            let name = tag.split(' ').next().unwrap();
            match name.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "{path:?}"),
                None => open.push(name),
            }
        }
        assert!(open.is_empty());
    }
}
