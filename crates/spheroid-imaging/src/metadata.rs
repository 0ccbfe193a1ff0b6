//! How many planes the writer of a file says it wrote.
//!
//! ImageJ keeps stacks above 4 GiB behind a single directory, tifffile does so when asked to
//! truncate, and OME may spread one image over several files. In all three the pages that a reader
//! finds are fewer than the planes that exist, and only the description tells.

/// Number of planes declared in the description of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    /// By ImageJ: all planes of the file.
    ImageJ(u64),
    /// By OME-XML: all planes of the image, which may lie in several files.
    Ome(u64),
    /// By tifffile: the planes of the series that begins with this page.
    Tifffile(u64),
}

impl Declared {
    /// Reads an ImageDescription; `None` when it declares nothing.
    ///
    /// `page_samples` is the number of samples of the page, all channels counted, and `channels`
    /// the number of samples of a pixel: OME and tifffile count samples where ImageJ counts pages.
    pub(crate) fn parse(description: &str, page_samples: u64, channels: u64) -> Option<Self> {
        let text = description.trim_start();
        if text.starts_with("ImageJ=") {
            imagej_images(text).map(Self::ImageJ)
        } else if text.starts_with('{') {
            tifffile_samples(text).map(|samples| Self::Tifffile(samples.div_ceil(page_samples)))
        } else if text.contains("openmicroscopy.org/Schemas/OME") {
            ome_samples(text).map(|samples| Self::Ome(samples.div_ceil(channels)))
        } else {
            None
        }
    }
}

/// `images=`, or the product of the axes where an old writer left it out.
fn imagej_images(text: &str) -> Option<u64> {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(key)?.parse::<u64>().ok())
    };
    value("images=").or_else(|| {
        let axes = ["channels=", "slices=", "frames="].map(value);
        axes.iter().any(Option::is_some).then(|| {
            axes.iter()
                .flatten()
                .fold(1_u64, |product, &n| product.saturating_mul(n))
        })
    })
}

/// The product of the numbers in `"shape": [3, 256, 320]`.
fn tifffile_samples(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("\"shape\"")?;
    let (_, rest) = rest.split_once('[')?;
    let (shape, _) = rest.split_once(']')?;
    shape.split(',').try_fold(1_u64, |product, n| {
        n.trim()
            .parse::<u64>()
            .ok()
            .map(|n| product.saturating_mul(n))
    })
}

/// `SizeZ · SizeC · SizeT`, summed over the images of the file.
fn ome_samples(text: &str) -> Option<u64> {
    text.split('<')
        .filter(|element| {
            let name = element.split_whitespace().next().unwrap_or_default();
            name == "Pixels" || name.ends_with(":Pixels") && !name.starts_with('/')
        })
        .map(|element| {
            let attributes = element.split('>').next().unwrap_or_default();
            ["SizeZ", "SizeC", "SizeT"]
                .into_iter()
                .try_fold(1_u64, |product, name| {
                    attribute(attributes, name).map(|n| product.saturating_mul(n))
                })
        })
        .try_fold(None, |sum: Option<u64>, planes| {
            planes.map(|planes| Some(sum.unwrap_or(0).saturating_add(planes)))
        })
        .flatten()
}

fn attribute(attributes: &str, name: &str) -> Option<u64> {
    attributes.split_whitespace().find_map(|pair| {
        let value = pair.strip_prefix(name)?.strip_prefix('=')?;
        value
            .trim_end_matches('/')
            .trim_matches(['"', '\''])
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn imagej_says_images_or_axes() {
        let images = "ImageJ=1.53t\nimages=12\nslices=12\nunit=um\n";
        assert_eq!(Declared::parse(images, 100, 1), Some(Declared::ImageJ(12)));
        let axes = "ImageJ=1.53t\nchannels=2\nslices=3\nframes=4\n";
        assert_eq!(Declared::parse(axes, 100, 1), Some(Declared::ImageJ(24)));
        assert_eq!(Declared::parse("ImageJ=1.53t\nmin=0.0\n", 100, 1), None);
    }

    #[test]
    fn tifffile_says_its_shape() {
        let json = r#"{"shape": [3, 256, 320], "truncated": true}"#;
        assert_eq!(
            Declared::parse(json, 256 * 320, 1),
            Some(Declared::Tifffile(3))
        );
        let json = r#"{"shape": [256, 320, 3]}"#;
        assert_eq!(
            Declared::parse(json, 256 * 320 * 3, 3),
            Some(Declared::Tifffile(1))
        );
        assert_eq!(Declared::parse(r#"{"exposure": [3]}"#, 100, 1), None);
        assert_eq!(Declared::parse(r#"{"shape": [3, -1]}"#, 100, 1), None);
    }

    #[test]
    fn ome_says_its_sizes_and_counts_channels() {
        let xml = |c: u32, z: u32| {
            format!(
                r#"<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
                <Image ID="Image:0"><Pixels ID="P:0" SizeX="4" SizeY="5" SizeC="{c}" SizeZ="{z}"
                SizeT="1"><Channel/></Pixels></Image></OME>"#
            )
        };
        assert_eq!(Declared::parse(&xml(1, 7), 20, 1), Some(Declared::Ome(7)));
        assert_eq!(Declared::parse(&xml(3, 2), 60, 3), Some(Declared::Ome(2)));
        let two = xml(1, 7).replace(
            "</OME>",
            r#"<ome:Pixels SizeZ='2' SizeC='1' SizeT='1'/></OME>"#,
        );
        assert_eq!(Declared::parse(&two, 20, 1), Some(Declared::Ome(9)));
        let binary_only = r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"/>"#;
        assert_eq!(Declared::parse(binary_only, 20, 1), None);
    }

    #[test]
    fn free_text_declares_nothing() {
        for text in [
            "",
            "well B02, images=3",
            "shape: 3",
            "<Pixels SizeZ=\"3\"/>",
        ] {
            assert_eq!(Declared::parse(text, 100, 1), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(
            head in prop_oneof![
                Just("ImageJ="), Just("{\"shape\": ["), Just("openmicroscopy.org/Schemas/OME<Pixels")
            ],
            text in ".{0,80}",
        ) {
            let _ = Declared::parse(&format!("{head}{text}"), 100, 3);
        }
    }
}
