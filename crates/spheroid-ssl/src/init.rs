use burn::{
    module::{Initializer, Module, ModuleMapper, Param},
    nn::{Linear, LinearConfig},
    tensor::{Device, Tensor, TensorData},
};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use spheroid_core::DrawKey;

/// Draws the weights of `module` anew, the same for a seed on every backend.
///
/// Convolutions get Kaiming's normal distribution (fan out, ReLU), as torchvision's ResNet; linear
/// layers the uniform one on ±1/√fan_in, as PyTorch; tokens the normal one with deviation 0.02, as DINO and
/// MAE. Vectors (biases, norms) and positions keep their start values.
///
/// # Source
/// He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers", arXiv 1502.01852, section 2.2.
pub(crate) fn draw_weights<M: Module>(module: M, seed: u64) -> M {
    module.map(&mut Draw { seed, parameter: 0 })
}

struct Draw {
    seed: u64,
    parameter: u64,
}

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let key = DrawKey {
            seed: self.seed,
            epoch: u64::MAX,
            item: self.parameter,
            view: 0,
        };
        self.parameter += 1;
        let mut rng = key.rng();
        param.map(|tensor| {
            let shape = tensor.dims();
            let count = shape.iter().product();
            let values: Vec<f32> = match shape.as_slice() {
                [out, _, rows, columns] => {
                    let deviation = (2.0 / (out * rows * columns) as f32).sqrt();
                    let normal = StandardNormal.sample_iter(&mut rng);
                    normal.take(count).map(|x: f32| x * deviation).collect()
                }
                [inputs, _] => {
                    let most = 1.0 / (*inputs as f32).sqrt();
                    (0..count).map(|_| rng.random_range(-most..most)).collect()
                }
                [1, 1, _] => {
                    let normal = StandardNormal.sample_iter(&mut rng);
                    normal.take(count).map(|x: f32| x * 0.02).collect()
                }
                _ => return tensor,
            };
            let data = TensorData::new(values, shape);
            let tracked = tensor.is_require_grad();
            Tensor::from_data(data, &tensor.device()).set_require_grad(tracked)
        })
    }
}

/// A linear layer for [`draw_weights`]: what stays at zero is the bias.
pub(crate) fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    LinearConfig::new(inputs, outputs)
        .with_initializer(Initializer::Zeros)
        .init(device)
}
