use super::{Axis, Description, Dialect, MetadataError, PageContext, axes_by_letter, length};
use crate::PixelSize;

/// Reads the lines `key=value` that ImageJ and Fiji write.
///
/// Pages run through the channels first, then the slices, then the frames, unless `order` says
/// otherwise. The tags XResolution and YResolution count pixels in a `unit`, of which `spacing` is the distance of slices.
pub(super) fn parse(text: &str, page: &PageContext) -> Result<Option<Description>, MetadataError> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (found, value) = line.trim().split_once('=')?;
            (found == key).then_some(value.trim())
        })
    };
    let number = |key: &str| match value(key).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) if number > 0 => Ok(Some(number)),
        Some(_) => {
            let what = format!("{key} is {}", value(key).unwrap_or_default());
            Err(MetadataError::new(Dialect::ImageJ, what))
        }
    };
    let order = match value("order").unwrap_or("czt") {
        "default" => "czt",
        order => order,
    };
    let axes = [
        ('c', Axis::Channel, number("channels")?),
        ('z', Axis::Plane, number("slices")?),
        ('t', Axis::Frame, number("frames")?),
    ];
    let axes = axes_by_letter(order, axes)
        .ok_or_else(|| MetadataError::new(Dialect::ImageJ, format!("order is {order}")))?;
    let images = number("images")?;
    if images.is_none() && axes.iter().all(|(_, length)| length.is_none()) {
        // One image, and nothing said about it.
        return calibrated(
            Description::of(Dialect::ImageJ, axes.map(|(axis, _)| (axis, 1)))?,
            page,
            value,
        );
    }
    let mut axes = axes.map(|(axis, length)| (axis, length.unwrap_or(1)));
    if let Some(images) = images {
        let product = axes
            .iter()
            .fold(1_u64, |n, &(_, length)| n.saturating_mul(length));
        if product == 1 {
            // A plain stack.
            for (axis, length) in &mut axes {
                if *axis == Axis::Plane {
                    *length = images;
                }
            }
        } else if product != images {
            let what = format!("images is {images}, but the product of its axes {product}");
            return Err(MetadataError::new(Dialect::ImageJ, what));
        }
    }
    calibrated(Description::of(Dialect::ImageJ, axes)?, page, value)
}

fn calibrated<'a>(
    mut description: Description,
    page: &PageContext,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Result<Option<Description>, MetadataError> {
    if let Some(unit) = value("unit") {
        description.pixel_size = page.resolution.and_then(|resolution| {
            let x = length(1.0 / resolution.x, unit)?;
            let y = length(1.0 / resolution.y, unit)?;
            PixelSize::new(x, y).ok()
        });
        description.plane_spacing = value("spacing")
            .and_then(|spacing| spacing.parse().ok())
            .and_then(|spacing: f64| length(spacing.abs(), unit));
    }
    Ok(Some(description))
}

#[cfg(test)]
mod tests {
    use super::super::{Position, Resolution, tests::PAGE};
    use super::*;

    fn read(text: &str) -> Description {
        parse(text, &PAGE).unwrap().unwrap()
    }

    #[test]
    fn images_or_axes_count_the_pages() {
        assert_eq!(
            read("ImageJ=1.53t\nimages=12\nslices=12\nunit=um\n").pages,
            12
        );
        assert_eq!(
            read("ImageJ=1.53t\nchannels=2\nslices=3\nframes=4\n").pages,
            24
        );
        assert_eq!(read("ImageJ=1.53t\nimages=7\n").position(6).plane, 6);
        assert_eq!(read("ImageJ=1.53t\nmin=0.0\n").pages, 1);
    }

    #[test]
    fn channels_run_fastest() {
        let found =
            read("ImageJ=1.54f\nimages=12\nchannels=2\nslices=3\nframes=2\nhyperstack=true\n");
        let expected = Position {
            plane: 1,
            channel: 1,
            frame: 0,
        };
        assert_eq!(found.position(3), expected);
    }

    #[test]
    fn another_order_is_followed() {
        let sizes = "ImageJ=1.54f\nimages=12\nchannels=2\nslices=3\nframes=2\norder=";
        for (order, second) in [
            ("czt", (0, 1, 0)),
            ("default", (0, 1, 0)),
            ("ctz", (0, 1, 0)),
            ("zct", (1, 0, 0)),
            ("ztc", (1, 0, 0)),
            ("tcz", (0, 0, 1)),
            ("tzc", (0, 0, 1)),
        ] {
            let found = read(&format!("{sizes}{order}\n"));
            let Position {
                plane,
                channel,
                frame,
            } = found.position(1);
            assert_eq!((plane, channel, frame), second, "{order}");
            let mut all: Vec<Position> = (0..12).map(|page| found.position(page)).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 12, "{order}");
        }
        for order in ["xyz", "cz", "ccz", "cztt"] {
            assert!(
                parse(&format!("{sizes}{order}\n"), &PAGE).is_err(),
                "{order}"
            );
        }
    }

    #[test]
    fn units_calibrate_the_resolution() {
        let resolution = Some(Resolution {
            x: 2.0,
            y: 4.0,
            unit: 1,
        });
        let page = PageContext { resolution, ..PAGE };
        for unit in ["micron", "um", "µm", "\\u00B5m"] {
            let text = format!("ImageJ=1.54f\nimages=3\nslices=3\nunit={unit}\nspacing=2.5\n");
            let found = parse(&text, &page).unwrap().unwrap();
            assert_eq!(
                found.pixel_size,
                Some(PixelSize { x: 0.5, y: 0.25 }),
                "{unit}"
            );
            assert_eq!(found.plane_spacing, Some(2.5));
        }
        let found = parse("ImageJ=1.54f\nunit=pixel\n", &page).unwrap().unwrap();
        assert_eq!((found.pixel_size, found.plane_spacing), (None, None));
    }

    #[test]
    fn contradictions_are_refused() {
        for text in [
            "ImageJ=1\nimages=5\nslices=3\n",
            "ImageJ=1\nimages=0\n",
            "ImageJ=1\nslices=-1\n",
            "ImageJ=1\nchannels=4294967296\nslices=4294967296\nframes=2\n",
        ] {
            assert!(parse(text, &PAGE).is_err(), "{text}");
        }
    }
}
