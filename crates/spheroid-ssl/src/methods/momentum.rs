//! Target networks that follow a trained one (BYOL, DINO).

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};

/// A copy of `online` that no gradient reaches.
pub(super) fn target_of<M: Module>(online: &M) -> M {
    online.clone().map(&mut Detach)
}

struct Detach;

impl ModuleMapper for Detach {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // Under the old name the optimiser would take the copy for the original.
        Param::initialized(ParamId::new(), param.val().detach()).set_require_grad(false)
    }
}

/// Moves every trained parameter of `target` towards that of `online`:
/// `target ← momentum · target + (1 − momentum) · online`.
///
/// Batch-norm statistics are left alone: those of the target are what it saw itself.
pub(super) fn follow<M: Module>(target: M, online: &M, momentum: f64) -> M {
    let mut online_parameters = Collect(Vec::new());
    online.visit(&mut online_parameters);
    target.map(&mut Follow {
        online: online_parameters.0.into_iter(),
        momentum,
    })
}

/// Flattened parameters in the order of the module, `None` where nothing is trained.
struct Collect(Vec<Option<Tensor<1>>>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let trained = value.is_require_grad();
        self.0
            .push(trained.then(|| value.without_autodiff().flatten(0, D - 1)));
    }
}

struct Follow {
    online: std::vec::IntoIter<Option<Tensor<1>>>,
    momentum: f64,
}

impl ModuleMapper for Follow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let online = self
            .online
            .next()
            .expect("the target has the parameters of the online network");
        let Some(online) = online else { return param };
        param.map(|target| {
            let target = target.without_autodiff();
            let online = online.reshape(target.dims());
            Tensor::from_inner(target * self.momentum + online * (1.0 - self.momentum))
        })
    }
}

/// Momentum that rises from `start` to 1 along half a cosine.
///
/// # Source
/// Grill et al. 2020, "Bootstrap Your Own Latent", arXiv 2006.07733, section 3.2.
pub(super) fn cosine_schedule(start: f64, progress: f64) -> f64 {
    1.0 - (1.0 - start) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::encoder::EncoderConfig;

    fn values<M: Module>(module: &M) -> Vec<Vec<f32>> {
        struct Values(Vec<Vec<f32>>);
        impl ModuleVisitor for Values {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(param.val().into_data().try_to_vec().unwrap());
            }
        }
        let mut values = Values(Vec::new());
        module.visit(&mut values);
        values.0
    }

    #[test]
    fn a_target_follows_by_the_momentum() {
        let config = EncoderConfig::by_name("resnet10-w2", 1).unwrap();
        let device = Device::flex();
        let online = config.build(1, &device).unwrap();
        let other = target_of(&config.build(2, &device).unwrap());
        let device = device.autodiff();
        let online = online.to_device(&device).train();
        let other = other.to_device(&device).train();
        let before = values(&other);
        let followed = follow(other, &online, 0.75);
        let mut changed = 0;
        for ((new, old), online) in values(&followed).iter().zip(&before).zip(values(&online)) {
            changed += usize::from(new != old);
            for ((new, old), online) in new.iter().zip(old).zip(online) {
                assert!((new - (0.75 * old + 0.25 * online)).abs() < 1e-6);
            }
        }
        assert!(changed > 10, "{changed}");
    }

    #[test]
    fn momentum_rises_to_one() {
        assert!((cosine_schedule(0.99, 0.0) - 0.99).abs() < 1e-12);
        assert!((cosine_schedule(0.99, 0.5) - 0.995).abs() < 1e-12);
        assert!((cosine_schedule(0.99, 1.0) - 1.0).abs() < 1e-12);
    }
}
