//! Images by treatment and day, all with one tone mapping.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, html};
use ndarray::Array2;
use spheroid_core::{Day, Group, WellId};

use crate::{RankingRow, Thumbnail, group, number::Place};

/// Share of all pixels that each end of the tone range may cut off.
const CUT: f64 = 0.001;

/// The grid of images: a row for each well, a column for each day.
///
/// Untreated wells come first, the others in the order of `ranking`.
pub(crate) fn thumbnails(thumbnails: &[Thumbnail], ranking: &[&RankingRow]) -> Markup {
    let tones = Tones::of(thumbnails);
    let days: BTreeSet<Day> = thumbnails.iter().map(|thumbnail| thumbnail.day).collect();
    let place = |name: &str| ranking.iter().position(|row| row.treatment == name);
    let mut rows: BTreeMap<RowKey<'_>, BTreeMap<Day, &Thumbnail>> = BTreeMap::new();
    for thumbnail in thumbnails {
        let key = RowKey {
            treated: thumbnail.group != Group::Untreated,
            place: place(&thumbnail.treatment).unwrap_or(ranking.len()),
            treatment: &thumbnail.treatment,
            plate: &thumbnail.plate,
            well: thumbnail.well,
        };
        rows.entry(key)
            .or_default()
            .insert(thumbnail.day, thumbnail);
    }

    html! {
        p class="quiet" { (tones.sentence()) }
        div class="scroll" role="region" aria-label="Images by treatment and day" tabindex="0" {
            table class="images" {
                caption { span { "Untreated wells first, then by rank" } }
                thead {
                    tr {
                        th scope="col" { "Treatment, well" }
                        @for day in &days { th scope="col" { "Day " (day) } }
                    }
                }
                tbody {
                    @for (key, images) in &rows {
                        tr {
                            th scope="row" {
                                (key.treatment)
                                small { (key.plate) " " (key.well) }
                            }
                            @for day in &days {
                                td {
                                    @match images.get(day) {
                                        Some(thumbnail) => (image(thumbnail, &tones)),
                                        None => "–",
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What a row of the grid shows; its order is the order of rows.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct RowKey<'a> {
    treated: bool,
    place: usize,
    treatment: &'a str,
    plate: &'a str,
    well: WellId,
}

fn image(thumbnail: &Thumbnail, tones: &Tones) -> Markup {
    let (rows, columns) = thumbnail.pixels.dim();
    let data = STANDARD.encode(png(&thumbnail.pixels, tones));
    html! {
        img width=(columns) height=(rows) src={ "data:image/png;base64," (data) }
            alt=(format!(
                "{} ({}), day {}, well {}",
                thumbnail.treatment, group::label(thumbnail.group), thumbnail.day, thumbnail.well,
            ));
    }
}

/// Eight-bit grey PNG of `pixels`.
fn png(pixels: &Array2<f32>, tones: &Tones) -> Vec<u8> {
    let (rows, columns) = pixels.dim();
    let grey: Vec<u8> = pixels.iter().map(|&value| tones.grey(value)).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, columns as u32, rows as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(&grey)?;
            writer.finish()
        })
        .expect("memory takes every write and the sides of thumbnails were checked");
    file
}

/// The linear map from intensity to grey that all images share.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tones {
    black: f64,
    white: f64,
}

impl Tones {
    /// The range of all pixels but for the darkest and the brightest 0.1 %.
    fn of(thumbnails: &[Thumbnail]) -> Self {
        let mut values: Vec<f32> = thumbnails
            .iter()
            .flat_map(|thumbnail| thumbnail.pixels.iter().copied())
            .collect();
        values.sort_unstable_by(f32::total_cmp);
        let cut = (values.len() as f64 * CUT) as usize;
        match (
            values.get(cut),
            values
                .len()
                .checked_sub(1 + cut)
                .and_then(|i| values.get(i)),
        ) {
            (Some(&black), Some(&white)) => Self {
                black: black.into(),
                white: white.into(),
            },
            _ => Self {
                black: 0.0,
                white: 1.0,
            },
        }
    }

    fn grey(&self, value: f32) -> u8 {
        let span = self.white - self.black;
        let share = if span > 0.0 {
            (f64::from(value) - self.black) / span
        } else {
            0.5
        };
        (share.clamp(0.0, 1.0) * 255.0).round() as u8
    }

    fn sentence(&self) -> String {
        let place = Place::of([self.black, self.white], 3);
        format!(
            "All images share one linear tone mapping: black is {} and white is {} of the \
             background's intensity; the darkest and the brightest 0.1 % of all pixels are cut off.",
            place.show(self.black),
            place.show(self.white),
        )
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn thumbnail(pixels: Array2<f32>) -> Thumbnail {
        Thumbnail {
            treatment: "a".into(),
            group: Group::Untreated,
            plate: "P1".into(),
            well: "B02".parse().unwrap(),
            day: Day::new(7.0).unwrap(),
            pixels,
        }
    }

    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Grayscale);
        (info.width, info.height, pixels)
    }

    #[test]
    fn images_share_the_tone_range() {
        let images = [
            thumbnail(array![[0.5, 1.0]]),
            thumbnail(array![[0.75], [1.5]]),
        ];
        let tones = Tones::of(&images);
        assert_eq!(
            tones,
            Tones {
                black: 0.5,
                white: 1.5
            }
        );
        assert_eq!(
            decoded(&png(&images[0].pixels, &tones)),
            (2, 1, vec![0, 128])
        );
        assert_eq!(
            decoded(&png(&images[1].pixels, &tones)),
            (1, 2, vec![64, 255])
        );
        assert!(tones.sentence().contains("black is 0.50 and white is 1.50"));
    }

    #[test]
    fn a_hot_pixel_does_not_darken_the_rest() {
        let mut pixels = Array2::from_shape_fn((50, 50), |(row, _)| row as f32 / 49.0);
        pixels[[0, 0]] = 1e6;
        let tones = Tones::of(&[thumbnail(pixels)]);
        assert_eq!(
            tones,
            Tones {
                black: 0.0,
                white: 1.0
            }
        );
        assert_eq!((tones.grey(1e6), tones.grey(-1.0)), (255, 0));
    }

    #[test]
    fn a_flat_image_is_grey() {
        let image = thumbnail(array![[1.0, 1.0]]);
        let tones = Tones::of(std::slice::from_ref(&image));
        assert_eq!(decoded(&png(&image.pixels, &tones)).2, [128, 128]);
    }

    #[test]
    fn rows_start_untreated_and_follow_the_ranking() {
        let named = |treatment: &str, group| Thumbnail {
            treatment: treatment.into(),
            group,
            ..thumbnail(array![[1.0]])
        };
        let row = |treatment: &str| RankingRow {
            rank: 1,
            treatment: treatment.into(),
            group: Group::DrugScreened,
            doses: String::new(),
            score: 1.0,
            interval: None,
            rank_interval: None,
            wells: 1,
            p_value: None,
            q_value: None,
            tier: None,
        };
        let images = [
            named("unranked", Group::DrugScreened),
            named("second", Group::DrugScreened),
            named("first", Group::SingleDose),
            named("control", Group::Untreated),
        ];
        let html = thumbnails(&images, &[&row("first"), &row("second")]).into_string();
        let order = ["control", "first", "second", "unranked"]
            .map(|name| html.find(&format!("<th scope=\"row\">{name}")).unwrap());
        assert!(order.is_sorted(), "{order:?}");
    }
}
