//! How an encoder that was trained before goes on learning: which depths stand still, how much slower the
//! shallow ones move, and whose statistics batch norm uses.

use std::collections::BTreeMap;

use burn::{
    module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;

use crate::{encoder::Encoder, methods::Method};

/// Settings of how the encoder's depths learn; a depth is what
/// [`Encoder::depths`] gives a map of. The default leaves nothing still and slows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FineTuneConfig {
    /// Learning rate of a depth as a share of that of the next, above 0 and at most 1. The last depth, and
    /// whatever a method puts on the encoder, learn at the full rate.
    ///
    /// # Source
    /// Clark et al. 2020, "ELECTRA", arXiv 2003.10555, appendix A; for images Bao et al. 2021, "BEiT",
    /// arXiv 2106.08254.
    pub layer_decay: f64,
    /// So many depths, from the first on, stand still: their parameters get no gradient and their batch norm
    /// keeps its running statistics.
    pub frozen_depths: usize,
    /// Statistics that batch norm uses in the encoder's other depths.
    pub batch_norm: BatchNormStatistics,
}

impl Default for FineTuneConfig {
    fn default() -> Self {
        Self {
            layer_decay: 1.0,
            frozen_depths: 0,
            batch_norm: BatchNormStatistics::Batch,
        }
    }
}

/// What batch norm normalises with while the encoder learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNormStatistics {
    /// Mean and variance of the batch, which the running statistics follow: the training mode.
    Batch,
    /// The running statistics, which stay as they are: the evaluation mode. Scales and shifts still learn.
    Running,
}

impl FineTuneConfig {
    pub(super) fn check(&self, encoder: &Encoder) -> Result<(), ParamError> {
        let decay = self.layer_decay;
        if !(decay > 0.0 && decay <= 1.0) {
            return Err(ParamError::new(
                "layer_decay",
                decay,
                "above 0 and at most 1",
            ));
        }
        let depths = encoder.channels().len();
        if self.frozen_depths > depths {
            let rule = "at most the number of the encoder's depths";
            return Err(ParamError::new("frozen_depths", self.frozen_depths, rule));
        }
        Ok(())
    }

    /// Freezes what stands still in `method`, and gives the share of the learning rate for the parameters that do
    /// not learn at the full one. A copy of the encoder that follows it normalises as it does.
    pub(super) fn apply<M: Method>(&self, method: M) -> (M, BTreeMap<ParamId, f64>) {
        let encoder = method.encoder();
        let last = encoder.channels().len() - 1;
        let depths = depths_of_parameters(encoder);
        let rates = depths.iter().map(|(&id, &depth)| {
            let steps = (last - depth) as i32;
            (id, self.layer_decay.powi(steps))
        });
        let rates = rates.filter(|(_, rate)| *rate < 1.0).collect();
        let method = method.map(&mut Freeze {
            depths,
            config: *self,
        });
        (method, rates)
    }
}

/// Depth of every parameter and flag of the encoder.
fn depths_of_parameters(encoder: &Encoder) -> BTreeMap<ParamId, usize> {
    let mut collect = Collect {
        encoder,
        path: Vec::new(),
        depths: BTreeMap::new(),
    };
    encoder.visit(&mut collect);
    collect.depths
}

struct Collect<'a> {
    encoder: &'a Encoder,
    path: Vec<String>,
    depths: BTreeMap<ParamId, usize>,
}

impl Collect<'_> {
    fn add(&mut self, id: ParamId) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        self.depths.insert(id, self.encoder.depth_of(&path));
    }
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param.id);
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.add(flag.id);
    }
}

struct Freeze {
    depths: BTreeMap<ParamId, usize>,
    config: FineTuneConfig,
}

impl Freeze {
    fn is_frozen(&self, id: ParamId) -> bool {
        let depth = self.depths.get(&id);
        depth.is_some_and(|depth| *depth < self.config.frozen_depths)
    }
}

impl ModuleMapper for Freeze {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.is_frozen(param.id) {
            param.set_require_grad(false)
        } else {
            param
        }
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        let running = self.config.batch_norm == BatchNormStatistics::Running
            && self.depths.contains_key(&flag.id);
        if running || self.is_frozen(flag.id) {
            flag.with_value(false)
        } else {
            flag
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use burn::tensor::Device;

    use super::*;
    use crate::encoder::EncoderConfig;

    #[test]
    fn every_depth_of_every_encoder_has_parameters() {
        for name in EncoderConfig::NAMES {
            let config = EncoderConfig::by_name(name, 1).unwrap();
            let encoder = config.build(1, &Device::flex()).unwrap();
            let found: BTreeSet<usize> = depths_of_parameters(&encoder).into_values().collect();
            let expected: BTreeSet<usize> = (0..encoder.channels().len()).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn parameters_belong_to_the_map_that_they_make() {
        let of = |name: &str, path: &str| {
            let config = EncoderConfig::by_name(name, 1).unwrap();
            let encoder = config.build(1, &Device::flex()).unwrap();
            encoder.depth_of(&path.split('.').collect::<Vec<_>>())
        };
        assert_eq!(of("resnet10", "conv1.weight"), 0);
        assert_eq!(of("resnet10", "layer1.0.conv1.weight"), 1);
        assert_eq!(of("resnet10", "layer4.0.downsample.bn.gamma"), 4);
        assert_eq!(of("efficientnet-lite0", "bn0.beta"), 0);
        assert_eq!(of("efficientnet-lite0", "blocks.0.bn1.beta"), 1);
        assert_eq!(of("efficientnet-lite0", "blocks.2.bn0.beta"), 2);
        assert_eq!(of("efficientnet-lite0", "blocks.15.bn2.beta"), 7);
        assert_eq!(of("efficientnet-lite0", "bn1.beta"), 8);
        assert_eq!(of("unet", "inc.conv2.weight"), 0);
        assert_eq!(of("unet", "down4.bn2.gamma"), 4);
        assert_eq!(of("vit-tiny", "patch_embed.proj.weight"), 0);
        assert_eq!(of("vit-tiny", "blocks.11.mlp.fc1.weight"), 11);
        assert_eq!(of("vit-tiny", "norm.gamma"), 11);
    }
}
