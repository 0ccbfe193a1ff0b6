use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use ndarray::{Array2, Array3};
use spheroid_augment::{Image, Normalize};
use spheroid_core::Embed;

use crate::{
    SslError,
    encoder::{Encoder, Pooling},
};

/// Embeds images with an encoder that no longer learns.
///
/// Batch norm uses its running statistics, so that an image's features do not depend on the images
/// beside it.
#[derive(Debug)]
pub struct FrozenEncoder {
    encoder: Encoder,
    pooling: Pooling,
    normalize: Option<Normalize>,
    device: Device,
}

/// Images that go through the encoder together; more gain nothing on a CPU.
const BATCH: usize = 32;

impl FrozenEncoder {
    /// Freezes `encoder`, which may have been training, for use on `device`; what is kept of its maps is
    /// `pooling`.
    pub fn new(encoder: &Encoder, pooling: Pooling, device: &Device) -> Self {
        let device = device.clone().inner();
        Self {
            encoder: encoder.valid().to_device(&device),
            pooling,
            normalize: None,
            device,
        }
    }
}

impl FrozenEncoder {
    /// Normalises every image first, as the views were on which the encoder learned.
    pub fn with_normalize(self, normalize: Option<Normalize>) -> Self {
        Self { normalize, ..self }
    }

    /// Planes of an image.
    pub fn planes(&self) -> usize {
        self.encoder.planes()
    }

    fn normalized(&self, image: &Array3<f32>) -> Result<Array3<f32>, SslError> {
        let image = Image::new(image)?;
        Ok(match &self.normalize {
            Some(normalize) => normalize.apply(image)?.into_samples(),
            None => image.into_samples(),
        })
    }
}

impl Embed for FrozenEncoder {
    /// One image, `[plane, row, column]`.
    type Item = Array3<f32>;
    type Error = SslError;

    fn dim(&self) -> usize {
        self.encoder.pooled_dim(self.pooling)
    }

    fn embed(&self, images: &[Array3<f32>]) -> Result<Array2<f32>, SslError> {
        let mut rows = Vec::with_capacity(images.len() * self.dim());
        for (number, chunk) in images.chunks(BATCH).enumerate() {
            let batch = if self.normalize.is_some() {
                let normalized = chunk.iter().map(|image| self.normalized(image));
                let normalized = normalized.collect::<Result<Vec<_>, _>>()?;
                to_tensor(&normalized, &self.encoder, &self.device)
            } else {
                to_tensor(chunk, &self.encoder, &self.device)
            };
            let batch = batch.map_err(|error| error.renumbered(|index| number * BATCH + index))?;
            let features = self.encoder.pooled(batch, self.pooling).into_data();
            rows.extend(
                features
                    .try_to_vec::<f32>()
                    .expect("features are 32-bit floats"),
            );
        }
        Ok(Array2::from_shape_vec((images.len(), self.dim()), rows)
            .expect("every image has `dim` features"))
    }
}

/// Joins images `[plane, row, column]` of one shape into `[batch, plane, row, column]` for `encoder`.
pub(crate) fn to_tensor(
    images: &[Array3<f32>],
    encoder: &Encoder,
    device: &Device,
) -> Result<Tensor<4>, SslError> {
    let planes = encoder.planes();
    let Some(first) = images.first() else {
        return Ok(Tensor::zeros([0, planes, 1, 1], device));
    };
    let (found, rows, columns) = first.dim();
    let mut values: Vec<f32> = Vec::with_capacity(images.len() * first.len());
    for (index, image) in images.iter().enumerate() {
        let shape = image.dim();
        if shape != (planes, rows, columns) || found == 0 || image.is_empty() {
            return Err(SslError::Image {
                index,
                found: format!("{shape:?} (planes, rows, columns)"),
                expected: format!("{:?}, not empty", (planes, rows, columns)),
            });
        }
        let granularity = encoder.granularity();
        if !rows.is_multiple_of(granularity) || !columns.is_multiple_of(granularity) {
            return Err(SslError::Image {
                index,
                found: format!("of {rows} × {columns} px"),
                expected: format!("multiples of {granularity} px for this encoder"),
            });
        }
        if let Some(value) = image.iter().find(|value| !value.is_finite()) {
            return Err(SslError::Image {
                index,
                found: format!("holding {value}"),
                expected: "finite pixels".to_owned(),
            });
        }
        values.extend(image.iter());
    }
    let shape = [images.len(), planes, rows, columns];
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

#[cfg(test)]
mod tests {
    use spheroid_testkit::conformance;

    use super::*;
    use crate::encoder::EncoderConfig;

    fn frozen() -> FrozenEncoder {
        let device = Device::flex();
        let config = EncoderConfig::by_name("resnet10-w4", 1).unwrap();
        FrozenEncoder::new(&config.build(3, &device).unwrap(), Pooling::ALL, &device)
    }

    fn image(phase: f32) -> Array3<f32> {
        Array3::from_shape_fn((1, 32, 32), |(_, r, c)| {
            ((r * c) as f32 * 0.1 + phase).sin()
        })
    }

    #[test]
    fn fulfils_the_contract_of_embed() {
        let images: Vec<_> = (0..35).map(|i| image(i as f32)).collect();
        conformance::embed(&frozen(), &images);
    }

    #[test]
    fn nothing_is_embedded_as_nothing() {
        let frozen = frozen();
        assert_eq!(frozen.embed(&[]).unwrap().dim(), (0, frozen.dim()));
        assert_eq!(frozen.dim(), 2 * (4 + 4 + 8 + 16 + 32));
    }

    #[test]
    fn images_that_do_not_fit_are_named() {
        let mut broken = image(0.0);
        broken[[0, 1, 1]] = f32::NAN;
        // Behind the first batch.
        let mut images = vec![image(0.0); BATCH + 8];
        images[BATCH + 5] = broken;
        let error = frozen().embed(&images).unwrap_err().to_string();
        assert!(error.starts_with("image 37 is holding NaN"), "{error}");
        let error = frozen()
            .embed(&[image(0.0), Array3::zeros((1, 32, 31))])
            .unwrap_err();
        assert!(error.to_string().contains("(1, 32, 31)"), "{error}");
        let error = frozen().embed(&[Array3::zeros((3, 32, 32))]).unwrap_err();
        assert!(matches!(error, SslError::Image { index: 0, .. }));
    }

    #[test]
    fn images_are_normalised_as_views_were() {
        let normalize = Normalize {
            mean: vec![0.5],
            deviation: vec![0.25],
        };
        let images = [image(0.0), image(1.0)];
        let by_hand = images.clone().map(|image| (image - 0.5) / 0.25);
        let normalized = frozen().with_normalize(Some(normalize));
        assert_eq!(
            normalized.embed(&images).unwrap(),
            frozen().embed(&by_hand).unwrap()
        );
    }
}
