//! Optimisers: how every parameter of a method follows its gradient.

mod adamw;
mod lars;

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    optim::{
        DynOptimizer, DynState, GradientsParams, Sgd, SgdConfig, StateSink, StateSource,
        decay::WeightDecayConfig, momentum::MomentumConfig,
    },
    tensor::{Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, non_negative, positive};

use crate::SslError;
use adamw::AdamW;
use lars::Lars;

/// How parameters follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "optimizer", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Adam with decoupled weight decay (Loshchilov, Hutter 2017, arXiv 1711.05101), β 0.9 and 0.999.
    AdamW,
    /// Stochastic gradient descent with momentum, as PyTorch's.
    Sgd {
        /// Share of the last step that is taken again; at least 0 and below 1.
        momentum: f64,
    },
    /// SGD whose rate follows the length of a layer's weights, for large batches (You, Gitman, Ginsburg
    /// 2017, arXiv 1708.03888).
    Lars {
        /// Share of the last step that is taken again; at least 0 and below 1.
        momentum: f64,
        /// Length of a step relative to that of the weights; 0.001 in the paper.
        trust: f64,
    },
}

impl OptimizerConfig {
    /// Names understood by [`by_name`](Self::by_name).
    pub const NAMES: [&'static str; 3] = ["adamw", "sgd", "lars"];

    /// The optimiser of that name, with momentum 0.9 and the trust of the paper.
    ///
    /// # Errors
    /// When there is none.
    pub fn by_name(name: &str) -> Result<Self, SslError> {
        let momentum = 0.9;
        match name {
            "adamw" => Ok(Self::AdamW),
            "sgd" => Ok(Self::Sgd { momentum }),
            "lars" => Ok(Self::Lars {
                momentum,
                trust: 0.001,
            }),
            _ => Err(SslError::Unknown {
                what: "optimizer",
                name: name.to_owned(),
                known: Self::NAMES.join(", "),
            }),
        }
    }

    /// Checks the settings and starts without state.
    ///
    /// Weight decay and the trust of LARS are for the weights of convolutions and linear layers; biases,
    /// norms, tokens and positions are left out, as in SimCLR and BYOL. `clip_norm` bounds the length of
    /// all gradients together.
    ///
    /// # Errors
    /// When a setting is negative or not finite, a momentum 1 or more, or a trust or `clip_norm` 0.
    pub fn build(self, weight_decay: f64, clip_norm: Option<f64>) -> Result<Optimizer, ParamError> {
        non_negative("weight_decay", weight_decay)?;
        if let Some(norm) = clip_norm {
            positive("clip_norm", norm)?;
        }
        let (weights, others): (Box<dyn DynOptimizer>, Box<dyn DynOptimizer>) = match self {
            Self::AdamW => (
                Box::new(AdamW { weight_decay }),
                Box::new(AdamW { weight_decay: 0.0 }),
            ),
            Self::Sgd { momentum } => (
                Box::new(sgd(momentum, weight_decay)?),
                Box::new(sgd(momentum, 0.0)?),
            ),
            Self::Lars { momentum, trust } => {
                let sgd = sgd(momentum, 0.0)?;
                let lars = Lars {
                    sgd: sgd.clone(),
                    trust: positive("trust", trust)?,
                    weight_decay,
                };
                (Box::new(lars), Box::new(sgd))
            }
        };
        Ok(Optimizer {
            weights,
            others,
            clip_norm,
            rates: BTreeMap::new(),
            states: BTreeMap::new(),
        })
    }
}

fn sgd(momentum: f64, weight_decay: f64) -> Result<Sgd, ParamError> {
    if !(0.0..1.0).contains(&momentum) {
        let rule = "at least 0 and below 1";
        return Err(ParamError::new("momentum", momentum, rule));
    }
    let decay = (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32));
    let momentum = (momentum > 0.0).then(|| {
        let config = MomentumConfig::new().with_momentum(momentum);
        config.with_dampening(0.0)
    });
    let config = SgdConfig::new().with_weight_decay(decay);
    Ok(config.with_momentum(momentum).build())
}

/// A rule for weights, one for everything else, and the state of every parameter by its path.
pub struct Optimizer {
    weights: Box<dyn DynOptimizer>,
    others: Box<dyn DynOptimizer>,
    clip_norm: Option<f64>,
    /// Share of the learning rate, where it is not the whole.
    rates: BTreeMap<ParamId, f64>,
    states: BTreeMap<String, DynState>,
}

/// The state of an [`Optimizer`] as it is stored, by `path:rank.leaf`.
#[derive(Debug, Default)]
pub(crate) struct OptimizerState {
    pub(crate) tensors: Vec<(String, TensorData)>,
    /// Steps that Adam has counted.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Optimizer {
    /// Moves these parameters at a share of the learning rate.
    pub(crate) fn with_rates(self, rates: BTreeMap<ParamId, f64>) -> Self {
        Self { rates, ..self }
    }

    /// Moves every parameter of `module` that has a gradient.
    ///
    /// Parameters that nobody else holds are moved in their own memory: hand the module over instead of a clone.
    pub fn step<M: Module>(
        &mut self,
        learning_rate: f64,
        module: M,
        gradients: GradientsParams,
    ) -> M {
        let scale = self.clip_norm.map_or(1.0, |most| {
            let mut squares = SumOfSquares(&gradients, 0.0);
            module.visit(&mut squares);
            // As PyTorch's clip_grad_norm_.
            (most / (squares.1.sqrt() + 1e-6)).min(1.0)
        });
        module.map(&mut Apply {
            optimizer: self,
            gradients,
            learning_rate,
            scale,
            path: Vec::new(),
        })
    }

    /// Weights of convolutions and linear layers have two or four axes, nothing else has.
    fn rule(&self, rank: usize) -> &dyn DynOptimizer {
        match rank {
            2 | 4 => &*self.weights,
            _ => &*self.others,
        }
    }

    pub(crate) fn state(&self) -> OptimizerState {
        let mut sink = StateSink::default();
        for (path, state) in &self.states {
            let name = format!("{path}:{}", state.rank());
            self.rule(state.rank())
                .state_flatten(&name, state, &mut sink);
        }
        let counts = sink.scalars.into_iter();
        OptimizerState {
            counts: counts
                .filter_map(|(name, count)| Some((name, count.try_into().ok()?)))
                .collect(),
            tensors: sink.tensors,
        }
    }

    /// Goes on from a stored state; `None` when it is not one of this optimiser.
    pub(crate) fn with_state(mut self, state: OptimizerState, device: &Device) -> Option<Self> {
        let counts = state.counts.into_iter();
        let mut source = StateSource::new(counts.map(|(name, n)| (name, n.into())).collect());
        let mut names = BTreeMap::new();
        for (name, data) in state.tensors {
            let (path, rest) = name.rsplit_once(':')?;
            let (rank, _) = rest.split_once('.')?;
            names.insert(path.to_owned(), rank.parse::<usize>().ok()?);
            source.insert_tensor(name, data);
        }
        for (path, rank) in names {
            let rule = self.rule(rank);
            let name = format!("{path}:{rank}");
            let state = rule.state_unflatten(rank, &name, &mut source, device)?;
            self.states.insert(path, state);
        }
        Some(self)
    }
}

struct SumOfSquares<'a>(&'a GradientsParams, f64);

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.0.get::<D>(param.id) {
            self.1 += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

struct Apply<'a> {
    optimizer: &'a mut Optimizer,
    gradients: GradientsParams,
    learning_rate: f64,
    scale: f64,
    path: Vec<String>,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let gradient = if self.scale < 1.0 {
            gradient * self.scale
        } else {
            gradient
        };
        let path = self.path.join(".");
        let state = self.optimizer.states.remove(&path);
        let rule = self.optimizer.rule(D);
        let share = self.optimizer.rates.get(&param.id).copied();
        let learning_rate = self.learning_rate * share.unwrap_or(1.0);
        let mut new_state = None;
        let param = param.map(|tensor| {
            let (tensor, state) = rule.step_dyn(
                D,
                learning_rate,
                tensor.inner().into_bridge(),
                gradient.into_bridge(),
                state,
            );
            new_state = state;
            Tensor::<D>::from_inner(Tensor::from_bridge(tensor)).require_grad()
        });
        if let Some(state) = new_state {
            self.optimizer.states.insert(path, state);
        }
        param
    }
}

#[cfg(test)]
mod tests {
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

    #[derive(Module, Debug)]
    struct Layer {
        weight: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    fn layer(weight: &[f32], shape: [usize; 2], bias: &[f32]) -> Layer {
        let device = Device::flex().autodiff();
        let weight = TensorData::new(weight.to_vec(), shape);
        Layer {
            weight: Param::from_tensor(Tensor::from_data(weight, &device).require_grad()),
            bias: Param::from_tensor(Tensor::from_floats(bias, &device).require_grad()),
        }
    }

    fn gradients(layer: &Layer, weight: &[f32], bias: &[f32]) -> GradientsParams {
        let device = Device::flex();
        let shape = layer.weight.val().dims();
        let mut gradients = GradientsParams::new();
        let weight = Tensor::<2>::from_data(TensorData::new(weight.to_vec(), shape), &device);
        gradients.register(layer.weight.id, weight);
        gradients.register(layer.bias.id, Tensor::<1>::from_floats(bias, &device));
        gradients
    }

    fn values<const D: usize>(param: &Param<Tensor<D>>) -> Vec<f32> {
        param.val().into_data().try_to_vec().unwrap()
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        shape: Vec<usize>,
        settings: BTreeMap<String, f64>,
        start: Vec<f32>,
        gradients: Vec<Vec<f32>>,
        after: Vec<Vec<f64>>,
    }

    #[test]
    fn steps_agree_with_pytorch_and_lightly() {
        let all: BTreeMap<String, Vec<Case>> =
            json_fixture(env!("CARGO_MANIFEST_DIR"), "optimizers.json");
        for (kind, cases) in &all {
            assert!(cases.len() >= 2, "{kind}");
            for case in cases {
                let setting = |name: &str| case.settings[name];
                let config = match kind.as_str() {
                    "adamw" => OptimizerConfig::AdamW,
                    "sgd" => OptimizerConfig::Sgd {
                        momentum: setting("momentum"),
                    },
                    _ => OptimizerConfig::Lars {
                        momentum: setting("momentum"),
                        trust: setting("trust_coefficient"),
                    },
                };
                let mut optimizer = config.build(setting("weight_decay"), None).unwrap();
                // A vector is the bias of a layer whose weight stands still, a matrix its weight.
                let vector = case.shape.len() == 1;
                let mut layer = if vector {
                    layer(&[0.0], [1, 1], &case.start)
                } else {
                    layer(&case.start, [case.shape[0], case.shape[1]], &[0.0])
                };
                for (gradient, after) in case.gradients.iter().zip(&case.after) {
                    let gradients = if vector {
                        gradients(&layer, &[0.0], gradient)
                    } else {
                        gradients(&layer, gradient, &[0.0])
                    };
                    layer = optimizer.step(setting("lr"), layer, gradients);
                    let found = if vector {
                        values(&layer.bias)
                    } else {
                        values(&layer.weight)
                    };
                    let most = after
                        .iter()
                        .fold(0.0f64, |most, value| most.max(value.abs()));
                    let tolerance = Tolerance {
                        relative: 0.0,
                        absolute: 1e-5 * most,
                    };
                    println!("{kind}: {}", case.name);
                    assert_close(&found, after, tolerance);
                }
            }
        }
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn gradients_that_are_too_long_together_are_shortened() {
        let start = layer(&[0.0, 0.0], [1, 2], &[0.0]);
        // Length 5.
        let gradients = |layer: &Layer| gradients(layer, &[3.0, 0.0], &[4.0]);
        let sgd = OptimizerConfig::Sgd { momentum: 0.0 };
        let mut clipped = sgd.build(0.0, Some(1.0)).unwrap();
        let moved = clipped.step(1.0, start.clone(), gradients(&start));
        assert_close(&values(&moved.weight), &[-0.6, 0.0], Tolerance::F32);
        assert_close(&values(&moved.bias), &[-0.8], Tolerance::F32);
        let mut wide = sgd.build(0.0, Some(10.0)).unwrap();
        let moved = wide.step(1.0, start.clone(), gradients(&start));
        assert_close(&values(&moved.weight), &[-3.0, 0.0], Tolerance::F32);
    }

    #[test]
    fn biases_do_not_decay() {
        let start = layer(&[1.0, 1.0], [1, 2], &[1.0]);
        for config in OptimizerConfig::NAMES {
            let config = OptimizerConfig::by_name(config).unwrap();
            let mut optimizer = config.build(0.5, None).unwrap();
            // LARS takes no step without a gradient.
            let gradients = gradients(&start, &[1e-9, 0.0], &[0.0]);
            let moved = optimizer.step(0.1, start.clone(), gradients);
            assert!(values(&moved.weight)[1] < 1.0, "{config:?}");
            assert_eq!(values(&moved.bias), [1.0], "{config:?}");
        }
    }

    #[test]
    fn a_stored_state_goes_on_as_if_never_stored() {
        for config in OptimizerConfig::NAMES {
            let config = OptimizerConfig::by_name(config).unwrap();
            let start = layer(&[0.5, -0.3], [1, 2], &[0.2]);
            let step = |optimizer: &mut Optimizer, layer: Layer, g: f32| {
                let gradients = gradients(&layer, &[g, -g], &[0.5 * g]);
                optimizer.step(0.1, layer, gradients)
            };
            let mut through = config.build(0.1, None).unwrap();
            let halfway = step(&mut through, start, 1.0);
            let stored = through.state();
            let whole = step(&mut through, halfway.clone(), -0.7);
            let again = config.build(0.1, None).unwrap();
            let mut again = again.with_state(stored, &Device::flex()).unwrap();
            let resumed = step(&mut again, halfway, -0.7);
            assert_eq!(values(&whole.weight), values(&resumed.weight), "{config:?}");
            assert_eq!(values(&whole.bias), values(&resumed.bias), "{config:?}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for momentum in [-0.1, 1.0, f64::NAN] {
            assert!(OptimizerConfig::Sgd { momentum }.build(0.0, None).is_err());
        }
        for trust in [0.0, f64::INFINITY] {
            let config = OptimizerConfig::Lars {
                momentum: 0.9,
                trust,
            };
            assert!(config.build(0.0, None).is_err());
        }
        for (decay, clip) in [(-1.0, None), (f64::NAN, None), (0.0, Some(0.0))] {
            assert!(OptimizerConfig::AdamW.build(decay, clip).is_err());
        }
    }
}
