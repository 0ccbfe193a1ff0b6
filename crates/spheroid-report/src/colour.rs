//! Colours of scores.
//!
//! # Source
//! viridis by S. van der Walt and N. Smith (matplotlib, CC0): lightness rises evenly, so the order
//! survives grey printing and colour blindness. Seventeen of its 256 colours are kept and those
//! between are interpolated, which is off by at most 6 of 255 in any channel.

use std::fmt;

/// A colour in sRGB; prints as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rgb(u32);

const ANCHORS: [u32; 17] = [
    0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26818e, 0x21908c,
    0x1f9f88, 0x28ae80, 0x3ebc74, 0x5dc963, 0x82d34c, 0xabdc32, 0xd5e21a, 0xfde725,
];

/// The colour at `position`, from 0 (dark violet) to 1 (yellow).
pub(crate) fn viridis(position: f64) -> Rgb {
    let along = position.clamp(0.0, 1.0) * (ANCHORS.len() - 1) as f64;
    let before = (along as usize).min(ANCHORS.len() - 2);
    let weight = along - before as f64;
    let [from, to] = [Rgb(ANCHORS[before]), Rgb(ANCHORS[before + 1])].map(Rgb::channels);
    let mixed = std::array::from_fn(|c| (from[c] + weight * (to[c] - from[c])).round() as u8);
    let [red, green, blue]: [u8; 3] = mixed;
    Rgb(u32::from_be_bytes([0, red, green, blue]))
}

impl Rgb {
    /// Red, green and blue, 0 to 255.
    fn channels(self) -> [f64; 3] {
        let [_, red, green, blue] = self.0.to_be_bytes();
        [red, green, blue].map(f64::from)
    }

    /// Relative luminance, 0 for black to 1 for white (WCAG 2.2).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.channels().map(|channel| {
            let share = channel / 255.0;
            if share <= 0.04045 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Black or white, whichever stands out more as text on this colour.
    pub(crate) fn ink(self) -> Rgb {
        let luminance = self.luminance();
        let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
        if on_white > on_black {
            Rgb(0xffffff)
        } else {
            Rgb(0x000000)
        }
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_matplotlib() {
        let reference: Vec<u32> = include_str!("../tests/fixtures/viridis.txt")
            .lines()
            .map(|line| u32::from_str_radix(line, 16).unwrap())
            .collect();
        assert_eq!(reference.len(), 256);
        for (index, &colour) in reference.iter().enumerate() {
            let ours = viridis(index as f64 / 255.0).channels();
            let theirs = Rgb(colour).channels();
            // The distance that the module's documentation promises.
            assert!(
                ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= 6.0),
                "{index}"
            );
        }
        assert_eq!(viridis(0.0).to_string(), "#440154");
        assert_eq!(viridis(1.0).to_string(), "#fde725");
    }

    #[test]
    fn lightness_rises_all_the_way() {
        let luminance: Vec<f64> = (0..=100)
            .map(|i| viridis(f64::from(i) / 100.0).luminance())
            .collect();
        assert!(luminance.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn text_can_be_read_on_every_colour() {
        assert_eq!(viridis(0.0).ink(), Rgb(0xffffff));
        assert_eq!(viridis(1.0).ink(), Rgb(0x000000));
        for i in 0..=100 {
            let colour = viridis(f64::from(i) / 100.0);
            let [dark, light] = {
                let mut pair = [colour.luminance(), colour.ink().luminance()];
                pair.sort_by(f64::total_cmp);
                pair
            };
            assert!((light + 0.05) / (dark + 0.05) >= 4.5, "WCAG AA at {i} %");
        }
    }
}
