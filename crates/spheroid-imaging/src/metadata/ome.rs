use quick_xml::{
    XmlVersion,
    events::{BytesStart, Event},
    reader::Reader,
};

use super::{
    Axis, Description, Dialect, MetadataError, PageContext, Position, Run, axes_by_letter, length,
};
use crate::PixelSize;

/// Reads OME-XML of any schema by the local names of its elements: sizes, order, pixel size, the pages
/// of the planes (`TiffData`) and their heights (`Plane`). All else is passed over, plates and wells
/// too.
///
/// # Source
/// Goldberg et al., *The Open Microscopy Environment (OME) Data Model and XML file*, Genome Biology 6
/// (2005), doi:10.1186/gb-2005-6-5-r47, and the OME-TIFF specification 6.
pub(super) fn parse(text: &str, page: &PageContext) -> Result<Option<Description>, MetadataError> {
    let elements = Elements::of(text.trim_end_matches('\0'))?;
    match elements.pixels[..] {
        // The description of all files lies in another file.
        [] => Ok(None),
        [_] => elements.description(page).map(Some),
        _ => {
            let images = elements.pixels.len();
            Err(fault(format!(
                "it describes {images} images, which should be files of their own"
            )))
        }
    }
}

/// What is used of a document, found in one pass over it.
#[derive(Default)]
struct Elements<'a> {
    pixels: Vec<BytesStart<'a>>,
    /// Children of `Pixels`, each with the file that its `UUID` names.
    tiff_data: Vec<(BytesStart<'a>, Option<String>)>,
    /// Children of `Pixels`.
    planes: Vec<BytesStart<'a>>,
}

impl<'a> Elements<'a> {
    fn of(text: &'a str) -> Result<Self, MetadataError> {
        let no_xml = |what: &dyn std::fmt::Display| fault(format!("no XML: {what}"));
        let mut reader = Reader::from_str(text);
        let mut found = Self::default();
        // Depth of the open elements, and of what `Pixels` holds while it is open.
        let (mut depth, mut inside) = (0_usize, None);
        loop {
            let event = reader.read_event().map_err(|error| no_xml(&error))?;
            let opens = matches!(event, Event::Start(_));
            match event {
                Event::Start(element) | Event::Empty(element) => {
                    let name = element.local_name().into_inner();
                    match (name, inside) {
                        ("Pixels", _) => {
                            if opens {
                                inside = Some(depth + 1);
                            }
                            found.pixels.push(element);
                        }
                        ("TiffData", Some(level)) if level == depth => {
                            found.tiff_data.push((element, None));
                        }
                        ("Plane", Some(level)) if level == depth => found.planes.push(element),
                        ("UUID", Some(level)) if level + 1 == depth => {
                            if let Some((_, file)) = found.tiff_data.last_mut() {
                                *file = attribute(&element, "FileName")?;
                            }
                        }
                        _ => {}
                    }
                    depth += usize::from(opens);
                }
                Event::End(_) => {
                    depth -= 1;
                    if inside.is_some_and(|level| depth < level) {
                        inside = None;
                    }
                }
                Event::DocType(_) => return Err(no_xml(&"document types are not read")),
                Event::Eof if depth > 0 => return Err(no_xml(&"it ends before its elements do")),
                Event::Eof => return Ok(found),
                _ => {}
            }
        }
    }

    fn description(&self, page: &PageContext) -> Result<Description, MetadataError> {
        let mut description = of_pixels(&self.pixels[0], page)?;
        self.place(&mut description)?;
        self.add_heights(&mut description)?;
        Ok(description)
    }

    /// Takes up where `TiffData` elements say that planes are.
    fn place(&self, description: &mut Description) -> Result<(), MetadataError> {
        // Pages of other files are not those of this one.
        let files = || self.tiff_data.iter().map(|(_, file)| file);
        if files().any(|file| Some(file) != files().next()) {
            return Ok(());
        }
        for (block, _) in &self.tiff_data {
            let page = number(block, "IFD")?;
            let default = if page.is_some() { 1 } else { description.pages };
            let count = number(block, "PlaneCount")?.unwrap_or(default);
            let page = page.unwrap_or(0);
            let first = [
                (Axis::Plane, number(block, "FirstZ")?.unwrap_or(0)),
                (Axis::Channel, number(block, "FirstC")?.unwrap_or(0)),
                (Axis::Frame, number(block, "FirstT")?.unwrap_or(0)),
            ];
            // The position in the order of the axes, where the block begins.
            let (mut start, mut stride) = (0_u64, 1_u64);
            for (axis, length) in description.axes {
                let index = first[axis as usize].1;
                if index >= length {
                    return Err(fault(
                        "a TiffData element begins beyond the planes".to_owned(),
                    ));
                }
                // Below the number of pages, which was counted.
                start += index * stride;
                stride *= length;
            }
            let pages = page.checked_add(count).map(|end| page..end);
            let within = start
                .checked_add(count)
                .is_some_and(|end| end <= description.pages);
            let Some(pages) = pages.filter(|_| within) else {
                let what = format!("a TiffData element of {count} planes reaches beyond them");
                return Err(fault(what));
            };
            description.placed.push(Run { pages, start });
        }
        Ok(())
    }

    fn add_heights(&self, description: &mut Description) -> Result<(), MetadataError> {
        for plane in &self.planes {
            let index = |name| {
                let index = number(plane, name).ok().flatten();
                index.and_then(|index| usize::try_from(index).ok())
            };
            let position = Position {
                plane: index("TheZ").unwrap_or(0),
                channel: index("TheC").unwrap_or(0),
                frame: index("TheT").unwrap_or(0),
            };
            // Files of one plane each say which of all they hold.
            let position = if description.pages == 1 && self.planes.len() == 1 {
                Position::default()
            } else {
                position
            };
            let unit = attribute(plane, "PositionZUnit")?;
            let height = real(plane, "PositionZ")?
                .zip(super::micrometres(unit.as_deref().unwrap_or("µm")))
                .map(|(height, unit)| height * unit);
            if let Some(height) = height {
                description.heights.insert(position, height);
            }
        }
        Ok(())
    }
}

/// Sizes, order and calibration.
fn of_pixels(pixels: &BytesStart<'_>, page: &PageContext) -> Result<Description, MetadataError> {
    let size = |name| match number(pixels, name)? {
        Some(size) if size > 0 => Ok(size),
        size => Err(fault(format!("{name} is {}", size.unwrap_or(0)))),
    };
    for (name, expected) in [("SizeX", page.columns), ("SizeY", page.rows)] {
        let found = size(name)?;
        if found != expected {
            return Err(fault(format!(
                "{name} is {found}, but the page has {expected}"
            )));
        }
    }
    // `SizeC` counts the samples of a pixel where these are channels.
    let channels = size("SizeC")?.div_ceil(page.samples_per_pixel.max(1));
    let (planes, frames) = (size("SizeZ")?, size("SizeT")?);
    let order = attribute(pixels, "DimensionOrder")?;
    let order = order.as_deref().unwrap_or("XYZCT");
    let axes = [
        ('Z', Axis::Plane, planes),
        ('C', Axis::Channel, channels),
        ('T', Axis::Frame, frames),
    ];
    let axes = order
        .strip_prefix("XY")
        .and_then(|letters| axes_by_letter(letters, axes))
        .ok_or_else(|| fault(format!("DimensionOrder is {order}")))?;
    let mut description = Description::of(Dialect::Ome, axes)?;
    let calibrated = |name: &str| {
        let unit = attribute(pixels, &format!("{name}Unit"))?;
        let unit = unit.as_deref().unwrap_or("µm");
        Ok(real(pixels, name)?.and_then(|value| length(value, unit)))
    };
    description.pixel_size = calibrated("PhysicalSizeX")?
        .zip(calibrated("PhysicalSizeY")?)
        .and_then(|(x, y)| PixelSize::new(x, y).ok());
    description.plane_spacing = calibrated("PhysicalSizeZ")?;
    Ok(description)
}

/// The value of an attribute without a prefix, the first of equal ones.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, MetadataError> {
    // Without the check for equal names, whose time grows with the square of their number.
    for found in element.attributes().with_checks(false) {
        let found = found.map_err(|error| fault(format!("no XML: {error}")))?;
        if found.key.into_inner() == name {
            let value = found.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| fault(format!("{name}: {error}")))?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

fn number(element: &BytesStart<'_>, name: &str) -> Result<Option<u64>, MetadataError> {
    let Some(text) = attribute(element, name)? else {
        return Ok(None);
    };
    let number = text.trim().parse();
    number
        .map(Some)
        .map_err(|_| fault(format!("{name} is \"{text}\"")))
}

fn real(element: &BytesStart<'_>, name: &str) -> Result<Option<f64>, MetadataError> {
    let text = attribute(element, name)?;
    let value = text.and_then(|text| text.trim().parse().ok());
    Ok(value.filter(|value: &f64| value.is_finite()))
}

fn fault(what: String) -> MetadataError {
    MetadataError::new(Dialect::Ome, what)
}

#[cfg(test)]
mod tests {
    use super::super::tests::PAGE;
    use super::*;

    const SCHEMA: &str = "http://www.openmicroscopy.org/Schemas/OME/2016-06";

    fn xml(attributes: &str, children: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{SCHEMA}"><Image ID="Image:0">
            <Pixels ID="Pixels:0" SizeX="24" SizeY="20" {attributes}>{children}</Pixels></Image></OME>"#
        )
    }

    fn read(attributes: &str, children: &str) -> Description {
        parse(&xml(attributes, children), &PAGE).unwrap().unwrap()
    }

    fn height(found: &Description, page: u64) -> Option<f64> {
        found.heights.get(&found.position(page)).copied()
    }

    fn error(attributes: &str, children: &str) -> String {
        parse(&xml(attributes, children), &PAGE)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn sizes_count_the_pages_and_samples_are_no_pages() {
        assert_eq!(read(r#"SizeZ="7" SizeC="1" SizeT="1""#, "").pages, 7);
        let rgb = PageContext {
            samples_per_pixel: 3,
            ..PAGE
        };
        let text = xml(r#"SizeZ="2" SizeC="3" SizeT="1""#, "");
        assert_eq!(parse(&text, &rgb).unwrap().unwrap().pages, 2);
        let prefixed = xml(r#"SizeZ="2" SizeC="1" SizeT="1""#, "")
            .replace("<Pixels", "<ome:Pixels")
            .replace("</Pixels", "</ome:Pixels")
            .replace("<OME", &format!(r#"<OME xmlns:ome="{SCHEMA}""#));
        assert_eq!(parse(&prefixed, &PAGE).unwrap().unwrap().pages, 2);
        let binary_only = format!(r#"<OME xmlns="{SCHEMA}"><BinaryOnly MetadataFile="a"/></OME>"#);
        assert_eq!(parse(&binary_only, &PAGE).unwrap(), None);
    }

    #[test]
    fn all_six_orders() {
        let sizes = r#"SizeZ="2" SizeC="3" SizeT="5""#;
        for (order, second) in [
            ("XYZCT", (1, 0, 0)),
            ("XYZTC", (1, 0, 0)),
            ("XYCZT", (0, 1, 0)),
            ("XYCTZ", (0, 1, 0)),
            ("XYTZC", (0, 0, 1)),
            ("XYTCZ", (0, 0, 1)),
        ] {
            let found = read(&format!(r#"{sizes} DimensionOrder="{order}""#), "");
            assert_eq!(found.pages, 30);
            let Position {
                plane,
                channel,
                frame,
            } = found.position(1);
            assert_eq!((plane, channel, frame), second, "{order}");
            let mut all: Vec<Position> = (0..30).map(|page| found.position(page)).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), 30, "{order}");
        }
        assert!(error(&format!(r#"{sizes} DimensionOrder="XYZZT""#), "").contains("XYZZT"));
        assert!(error(&format!(r#"{sizes} DimensionOrder="ZCT""#), "").contains("ZCT"));
    }

    #[test]
    fn tiff_data_place_planes() {
        let sizes = r#"SizeZ="3" SizeC="1" SizeT="1" DimensionOrder="XYZCT""#;
        let reversed = r#"<TiffData IFD="0" FirstZ="2"/><TiffData IFD="1" FirstZ="1"/>
            <TiffData IFD="2" FirstZ="0" PlaneCount="1"/>"#;
        let planes = |found: Description| [0, 1, 2].map(|page| found.position(page).plane);
        assert_eq!(planes(read(sizes, reversed)), [2, 1, 0]);
        assert_eq!(
            planes(read(sizes, r#"<TiffData IFD="0" PlaneCount="3"/>"#)),
            [0, 1, 2]
        );
        assert_eq!(planes(read(sizes, "<TiffData/>")), [0, 1, 2]);
        let other_files = r#"<TiffData IFD="0" FirstZ="2"><UUID FileName="a.tif">u</UUID></TiffData>
            <TiffData IFD="0" FirstZ="1"><UUID FileName="b.tif">v</UUID></TiffData>"#;
        assert_eq!(planes(read(sizes, other_files)), [0, 1, 2]);
        let overlapping = r#"<TiffData IFD="0" PlaneCount="3"/><TiffData IFD="1" FirstZ="0"/>"#;
        assert_eq!(planes(read(sizes, overlapping)), [0, 0, 2]);
        assert!(error(sizes, r#"<TiffData IFD="0" FirstZ="3"/>"#).contains("beyond"));
        assert!(error(sizes, r#"<TiffData IFD="0" PlaneCount="4"/>"#).contains("4 planes"));
        assert!(error(sizes, r#"<TiffData IFD="x"/>"#).contains("IFD"));
    }

    #[test]
    fn lengths_come_in_micrometres() {
        let sizes = r#"SizeZ="2" SizeC="1" SizeT="1""#;
        let found = read(
            &format!(
                r#"{sizes} PhysicalSizeX="650" PhysicalSizeXUnit="nm" PhysicalSizeY="0.65"
                PhysicalSizeZ="0.02" PhysicalSizeZUnit="mm""#
            ),
            r#"<Plane TheZ="1" TheC="0" TheT="0" PositionZ="7.5"/>
            <Plane TheZ="0" TheC="0" TheT="0" PositionZ="0.005" PositionZUnit="mm"/>"#,
        );
        assert_eq!(found.pixel_size, Some(PixelSize { x: 0.65, y: 0.65 }));
        assert_eq!(found.plane_spacing, Some(20.0));
        assert_eq!(
            [0, 1].map(|page| height(&found, page)),
            [Some(5.0), Some(7.5)]
        );
        let unknown = read(
            &format!(r#"{sizes} PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1""#),
            "",
        );
        assert_eq!((unknown.pixel_size, height(&unknown, 0)), (None, None));
        let zero = read(
            &format!(r#"{sizes} PhysicalSizeX="0" PhysicalSizeY="1""#),
            "",
        );
        assert_eq!(zero.pixel_size, None);
    }

    #[test]
    fn a_file_of_one_plane_of_many_tells_its_height() {
        let plane = r#"<Plane TheZ="3" TheC="0" TheT="0" PositionZ="64.97"/>"#;
        let found = read(r#"SizeZ="1" SizeC="1" SizeT="1""#, plane);
        assert_eq!(height(&found, 0), Some(64.97));
    }

    #[test]
    fn descriptions_that_are_not_sound_are_refused() {
        let sizes = r#"SizeZ="1" SizeC="1" SizeT="1""#;
        let refused = |text: &str| parse(text, &PAGE).unwrap_err().to_string();
        assert!(refused(&xml(sizes, "").replace("</OME>", "")).contains("no XML"));
        assert!(refused(&xml(sizes, "").replace("\"24\"", "\"25\"")).contains("SizeX is 25"));
        assert!(error(r#"SizeZ="0" SizeC="1" SizeT="1""#, "").contains("SizeZ is 0"));
        assert!(error(r#"SizeC="1" SizeT="1""#, "").contains("SizeZ is 0"));
        assert!(error(r#"SizeZ="-1" SizeC="1" SizeT="1""#, "").contains("\"-1\""));
        let many = r#"SizeZ="4294967296" SizeC="4294967296" SizeT="2""#;
        assert!(error(many, "").contains("lengths"));
        let two = xml(sizes, "").replace(
            "</OME>",
            r#"<Image ID="Image:1"><Pixels SizeX="24" SizeY="20" SizeZ="1" SizeC="1" SizeT="1"/></Image></OME>"#,
        );
        assert!(refused(&two).contains("2 images"));
        let entity = format!(r#"<!DOCTYPE a [<!ENTITY b "c">]>{}"#, xml(sizes, ""));
        assert!(
            refused(&entity.replace(r#"<?xml version="1.0" encoding="UTF-8"?>"#, ""))
                .contains("no XML")
        );
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        let text = xml(r#"SizeZ="1" SizeC="1" SizeT="1""#, &deep);
        let _ = parse(&text, &PAGE);
    }
}
