//! From crops to one row of features a stack.

use ndarray::{Array2, Array3, Axis, Slice, s};
use serde::{Deserialize, Serialize};
use spheroid_core::{Embed, Embeddings};
use spheroid_imaging::sharpest_of;
use spheroid_ssl::FrozenEncoder;

use crate::{Monitor, PipelineError, crops::Crops};

/// Planes of a stack that an encoder of one plane looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planes {
    /// All; their features are averaged.
    #[default]
    Mean,
    /// The one with the steepest gradients in its crop; see [`sharpest_of`].
    Sharpest,
}

/// Embeds every stack: the mean over its `planes` and over four quarter turns of each.
///
/// Averaging takes out what is left of focus and orientation. An encoder of several planes takes the stack as a
/// whole, whatever `planes` says. One stack is in memory at a time.
///
/// # Errors
/// When a crop cannot be read, the encoder refuses it, or a feature is not finite.
pub fn embed(
    crops: &Crops,
    encoder: &FrozenEncoder,
    planes: Planes,
    monitor: &dyn Monitor,
) -> Result<Embeddings, PipelineError> {
    monitor.start("embedding images", crops.len());
    let mut values = Array2::zeros((crops.len(), encoder.dim()));
    for (index, mut row) in values.rows_mut().into_iter().enumerate() {
        let mut crop = crops.load(index)?;
        let mut step = crop.len_of(Axis(0));
        if encoder.planes() == 1 {
            step = 1;
            if planes == Planes::Sharpest {
                let sharpest = sharpest_of(crop.view())?;
                crop.slice_axis_inplace(Axis(0), Slice::from(sharpest..sharpest + 1));
            }
        }
        let views: Vec<Array3<f32>> = crop
            .axis_chunks_iter(Axis(0), step)
            .flat_map(|planes| quarter_turns(planes.to_owned()))
            .collect();
        let features = encoder.embed(&views)?;
        // A stack has at least one plane.
        row.assign(&(features.sum_axis(Axis(0)) / views.len() as f32));
        monitor.step(None);
    }
    monitor.finish();
    Ok(Embeddings::new(crops.keys().cloned().collect(), values)?)
}

fn quarter_turns(image: Array3<f32>) -> [Array3<f32>; 4] {
    let turn = |image: &Array3<f32>| {
        image
            .view()
            .permuted_axes([0, 2, 1])
            .slice(s![.., ..;-1, ..])
            .as_standard_layout()
            .into_owned()
    };
    let once = turn(&image);
    let twice = turn(&once);
    let thrice = turn(&twice);
    [image, once, twice, thrice]
}

#[cfg(test)]
mod tests {
    use ndarray::arr3;

    use super::*;

    #[test]
    fn quarter_turns_go_round() {
        let [a, b, c, d] = quarter_turns(arr3(&[[[1.0, 2.0], [3.0, 4.0]]]));
        assert_eq!(a, arr3(&[[[1.0, 2.0], [3.0, 4.0]]]));
        assert_eq!(b, arr3(&[[[2.0, 4.0], [1.0, 3.0]]]));
        assert_eq!(c, arr3(&[[[4.0, 3.0], [2.0, 1.0]]]));
        assert_eq!(d, arr3(&[[[3.0, 1.0], [4.0, 2.0]]]));
    }
}
