use serde_json::Value;

use super::{Axis, Description, Dialect, MetadataError, PageContext};

/// Reads the JSON object that tifffile writes: `{"shape": [3, 256, 320], "axes": "ZYX"}`.
///
/// `shape` counts samples, those of a pixel included; the last two axes, or three where pixels have
/// several samples, are the page. Of the others, `C` and `T` are channels and frames, and the rest
/// planes; without `axes` all of them are. The first axis runs slowest.
pub(super) fn parse(text: &str, page: &PageContext) -> Result<Option<Description>, MetadataError> {
    let error = |what: &str| MetadataError::new(Dialect::Tifffile, what);
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        // Other programs write JSON, too, and some what only looks like it.
        return Ok(None);
    };
    let Some(shape) = fields.get("shape").and_then(Value::as_array) else {
        return Ok(None);
    };
    let shape: Option<Vec<u64>> = shape.iter().map(Value::as_u64).collect();
    let Some(shape) = shape.filter(|shape| !shape.contains(&0)) else {
        return Err(error("its shape is not made of numbers above 0"));
    };
    let samples = shape
        .iter()
        .try_fold(1_u64, |product, &n| product.checked_mul(n))
        .ok_or_else(|| error("its shape cannot be"))?;
    let pages = [page.rows, page.columns, page.samples_per_pixel]
        .into_iter()
        .try_fold(1_u64, |product, n| product.checked_mul(n))
        .filter(|&of_page| samples.is_multiple_of(of_page))
        .map(|of_page| samples / of_page)
        .ok_or_else(|| error("its shape is no multiple of that of the page"))?;

    // The axes before those of the page, the last of which runs fastest.
    let mut lengths = [1_u64; 3];
    let axes = fields.get("axes").and_then(Value::as_str).unwrap_or("");
    let mut order = Vec::new();
    let mut rest = pages;
    if axes.chars().count() == shape.len() {
        for (name, &length) in axes.chars().zip(&shape) {
            if rest == 1 || length == 1 || "YXS".contains(name) {
                continue;
            }
            let axis = match name {
                'C' => Axis::Channel,
                'T' => Axis::Frame,
                _ => Axis::Plane,
            };
            // Axes that both stand for planes must follow one another.
            let apart = order.contains(&axis) && order[0] != axis;
            if !rest.is_multiple_of(length) || apart {
                order.clear();
                break;
            }
            rest /= length;
            lengths[axis as usize] *= length;
            if order.first() != Some(&axis) {
                order.insert(0, axis);
            }
        }
    }
    if rest != 1 || order.is_empty() {
        (lengths, order) = ([pages, 1, 1], vec![]);
    }
    for axis in [Axis::Plane, Axis::Channel, Axis::Frame] {
        if !order.contains(&axis) {
            order.push(axis);
        }
    }
    let axes = [order[0], order[1], order[2]].map(|axis| (axis, lengths[axis as usize]));
    Description::of(Dialect::Tifffile, axes).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::{Position, tests::PAGE};
    use super::*;

    #[test]
    fn shape_counts_the_pages() {
        let read = |json, page: &PageContext| parse(json, page).unwrap().unwrap();
        let found = read(r#"{"shape": [3, 20, 24], "truncated": true}"#, &PAGE);
        assert_eq!((found.pages, found.position(2).plane), (3, 2));
        let rgb = PageContext {
            samples_per_pixel: 3,
            ..PAGE
        };
        assert_eq!(read(r#"{"shape": [20, 24, 3]}"#, &rgb).pages, 1);
        let planar = read(r#"{"shape": [3, 20, 24], "axes": "SYX"}"#, &rgb);
        assert_eq!(planar.pages, 1);
    }

    #[test]
    fn axes_name_channels_and_frames() {
        let json = r#"{"shape": [2, 3, 4, 20, 24], "axes": "TZCYX"}"#;
        let found = parse(json, &PAGE).unwrap().unwrap();
        assert_eq!(found.pages, 24);
        let position = Position {
            plane: 1,
            channel: 2,
            frame: 1,
        };
        assert_eq!(found.position(12 + 4 + 2), position);
    }

    #[test]
    fn axes_that_cannot_be_told_apart_are_all_planes() {
        let json = r#"{"shape": [2, 2, 2, 20, 24], "axes": "ZCQYX"}"#;
        let found = parse(json, &PAGE).unwrap().unwrap();
        assert_eq!([0, 3, 7].map(|page| found.position(page).plane), [0, 3, 7]);
        let json = r#"{"shape": [2, 1, 2, 20, 24], "axes": "ZCQYX"}"#;
        let found = parse(json, &PAGE).unwrap().unwrap();
        assert_eq!([0, 1, 3].map(|page| found.position(page).plane), [0, 1, 3]);
    }

    #[test]
    fn other_objects_say_nothing() {
        for json in [
            r#"{"exposure": [3]}"#,
            r#"{"shape": 3}"#,
            "{\"shape\": [3",
            "{3}",
        ] {
            assert_eq!(parse(json, &PAGE).unwrap(), None, "{json}");
        }
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        for json in [
            r#"{"shape": [3, -1]}"#,
            r#"{"shape": [3, 20, 25]}"#,
            r#"{"shape": [0, 20, 24]}"#,
            r#"{"shape": [18446744073709551615, 20, 24]}"#,
        ] {
            assert!(parse(json, &PAGE).is_err(), "{json}");
        }
    }
}
