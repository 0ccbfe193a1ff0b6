//! Every loss against PyTorch, and what every method refuses.

use std::collections::BTreeMap;

use burn::tensor::{Device, Distribution, TensorData};
use serde_json::Value;
use spheroid_core::DrawKey;
use spheroid_kernels::KernelError;
use spheroid_testkit::{Tolerance, assert_close, json_fixture};

use super::*;
use crate::encoder::EncoderConfig;

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Case {
    inputs: BTreeMap<String, Array>,
    settings: Value,
    loss: f64,
    gradients: BTreeMap<String, Vec<f64>>,
    next_center: Option<Vec<f64>>,
}

/// The inputs of a case on an autodiff device, made once so that their gradients can be asked for.
struct Inputs<'a> {
    case: &'a Case,
    flat: BTreeMap<&'a str, Tensor<1>>,
}

impl<'a> Inputs<'a> {
    fn new(case: &'a Case) -> Self {
        let device = Device::flex().autodiff();
        let flat = case.inputs.iter().map(|(name, array)| {
            let data = TensorData::new(array.values.clone(), [array.values.len()]);
            let tensor = Tensor::<1>::from_data(data, &device).require_grad();
            (name.as_str(), tensor)
        });
        Self {
            case,
            flat: flat.collect(),
        }
    }

    fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let shape: [usize; D] = self.case.inputs[name].shape.clone().try_into().unwrap();
        self.flat[name].clone().reshape(shape)
    }

    fn setting(&self, name: &str) -> f64 {
        self.case.settings[name].as_f64().unwrap()
    }
}

/// Compares value and gradients of every case of a loss.
fn assert_loss(name: &str, cases: usize, loss: impl Fn(&Inputs<'_>) -> Tensor<1>) {
    let all: BTreeMap<String, Vec<Case>> = json_fixture(env!("CARGO_MANIFEST_DIR"), "losses.json");
    assert!(all[name].len() >= cases, "{name}");
    for case in &all[name] {
        let inputs = Inputs::new(case);
        let loss = loss(&inputs);
        let gradients = loss.backward();
        assert_close(&[loss.into_scalar::<f32>()], &[case.loss], Tolerance::F32);
        assert!(!case.gradients.is_empty(), "{name}");
        for (input, expected) in &case.gradients {
            let gradient = inputs.flat[input.as_str()].grad(&gradients);
            let gradient = match gradient {
                Some(gradient) => gradient.into_data().try_to_vec::<f32>().unwrap(),
                None => vec![0.0; expected.len()],
            };
            // Entries that cancel to nearly 0 carry the rounding of the terms, which are of size 1.
            let largest = expected.iter().fold(0.0f64, |most, g| most.max(g.abs()));
            let tolerance = Tolerance {
                relative: 0.0,
                absolute: 1e-5 * largest + 2e-6,
            };
            assert_close(&gradient, expected, tolerance);
        }
    }
}

fn rows(first: Tensor<2>, second: Tensor<2>) -> Tensor<2> {
    Tensor::cat(vec![first, second], 0)
}

#[test]
fn negative_cosine_agrees_with_pytorch() {
    assert_loss("negative_cosine", 2, |inputs| {
        let predicted = rows(inputs.get("p1"), inputs.get("p2"));
        let projected = rows(inputs.get("z2"), inputs.get("z1")).detach();
        simsiam::mean_cosine(predicted, projected).neg()
    });
}

#[test]
fn byol_agrees_with_pytorch() {
    assert_loss("byol", 2, |inputs| {
        let predicted = rows(inputs.get("p1"), inputs.get("p2"));
        byol::byol(predicted, rows(inputs.get("z2"), inputs.get("z1")).detach())
    });
}

#[test]
fn barlow_twins_agrees_with_pytorch() {
    assert_loss("barlow_twins", 2, |inputs| {
        let redundancy = inputs.setting("lambda");
        barlow_twins::barlow_twins(inputs.get("z1"), inputs.get("z2"), redundancy)
    });
}

#[test]
fn triplet_agrees_with_pytorch() {
    assert_loss("triplet", 3, |inputs| {
        let z: Tensor<2> = inputs.get("z");
        let views = inputs.case.settings["views"].as_u64().unwrap() as usize;
        let images = z.dims()[0] / views;
        triplet::triplet(z, images, inputs.setting("margin"))
    });
}

fn views_of(stack: Tensor<3>) -> Vec<Tensor<2>> {
    let [views, rows, features] = stack.dims();
    let view = |index| stack.clone().narrow(0, index, 1).reshape([rows, features]);
    (0..views).map(view).collect()
}

#[test]
fn dino_agrees_with_pytorch() {
    assert_loss("dino", 2, |inputs| {
        let temperatures =
            ["student_temperature", "teacher_temperature"].map(|t| inputs.setting(t));
        let teacher = inputs.get::<3>("teacher").detach();
        let center = inputs.get::<1>("center").detach();
        let expected = inputs.case.next_center.as_ref().unwrap();
        let answers = Tensor::cat(views_of(teacher.clone()), 0);
        let next = dino::next_center(center.clone(), answers, 0.9).into_data();
        assert_close(&next.try_to_vec::<f32>().unwrap(), expected, Tolerance::F32);
        let student = views_of(inputs.get("student"));
        dino::dino(student, views_of(teacher), center, temperatures)
    });
}

#[test]
fn mae_agrees_with_pytorch() {
    assert_loss("mae", 3, |inputs| {
        let patch = inputs.case.settings["patch"].as_u64().unwrap() as usize;
        let images = inputs.get("images").detach();
        mae::mae(
            images,
            inputs.get("predicted"),
            inputs.get("mask").detach(),
            patch,
        )
    });
}

#[test]
fn cross_entropy_agrees_with_pytorch() {
    assert_loss("cross_entropy", 2, |inputs| {
        let labels = inputs.case.settings["labels"].as_array().unwrap();
        let labels: Vec<usize> = labels
            .iter()
            .map(|l| l.as_u64().unwrap() as usize)
            .collect();
        supervised::cross_entropy(inputs.get("logits"), &labels)
    });
}

const TARGETS: Targets = Targets {
    classes: 2,
    description: 3,
};

/// The method with its default settings on the smallest encoder that it takes.
pub(crate) fn smallest(name: &str, seed: u64) -> AnyMethod {
    let encoder = if name == "mae" {
        "vit-tiny-w24-p8"
    } else {
        "resnet10-w4"
    };
    let encoder = EncoderConfig::by_name(encoder, 1).unwrap();
    let encoder = encoder.build(seed, &Device::flex()).unwrap();
    MethodConfig::by_name(name)
        .unwrap()
        .build(encoder, &TARGETS, seed)
        .unwrap()
}

fn batch(images: usize, views: usize, device: &Device) -> Batch {
    let view = |_| Tensor::random([images, 1, 24, 24], Distribution::Default, device);
    Batch {
        views: (0..views).map(view).collect(),
        labels: Some((0..images).map(|image| image % 2).collect()),
        descriptions: Some(
            Tensor::eye(images.max(3), device)
                .narrow(0, 0, images)
                .narrow(1, 0, 3),
        ),
        key: DrawKey {
            seed: 1,
            epoch: 0,
            item: 0,
            view: 0,
        },
    }
}

#[test]
fn every_method_gives_every_view_its_features() {
    let device = Device::flex().autodiff();
    for name in MethodConfig::NAMES {
        let method = smallest(name, 1).to_device(&device).train();
        let step = method.step(batch(4, 2, &device)).unwrap();
        assert!(step.loss.into_scalar::<f32>().is_finite(), "{name}");
        let images: usize = step.features.iter().map(|view| view.dims()[0]).sum();
        assert_eq!(images, 8, "{name}");
        assert!(matches!(step.embeddings.len(), 0 | 2), "{name}");
        for view in &step.embeddings {
            assert_eq!(view.dims()[0], 4, "{name}");
        }
    }
}

#[test]
fn the_network_of_the_thesis_trains() {
    let device = Device::flex().autodiff();
    let encoder = EncoderConfig::by_name("resnet18", 3).unwrap();
    let encoder = encoder.build(1, &device).unwrap();
    let head = r#"{"layers": 2, "hidden": 512, "outputs": 20, "batch_norm": false}"#;
    let settings = format!(r#"{{"method": "simclr", "head": {head}}}"#);
    let config: MethodConfig = serde_json::from_str(&settings).unwrap();
    let method = config.build(encoder, &Targets::default(), 1).unwrap();
    let view = || Tensor::random([2, 3, 32, 32], Distribution::Default, &device);
    let mut batch = batch(2, 2, &device);
    batch.views = vec![view(), view()];
    let step = method.train().step(batch).unwrap();
    let dims = |views: &[Tensor<2>]| views.iter().map(|view| view.dims()).collect::<Vec<_>>();
    assert_eq!(dims(&step.features), [[2, 512]; 2]);
    assert_eq!(dims(&step.embeddings), [[2, 20]; 2]);
    assert!(step.loss.into_scalar::<f32>().is_finite());
}

#[test]
fn batches_that_a_method_cannot_use_are_refused() {
    let device = Device::flex().autodiff();
    let refusal = |name: &str, batch: Batch| {
        let method = smallest(name, 1).to_device(&device).train();
        method.step(batch).unwrap_err().to_string()
    };
    for name in MethodConfig::NAMES {
        let error = refusal(name, batch(4, 0, &device));
        assert!(error.contains("views of an image"), "{name}: {error}");
    }
    for name in [
        "simclr",
        "vicreg",
        "barlow-twins",
        "byol",
        "simsiam",
        "triplet",
    ] {
        let error = refusal(name, batch(1, 2, &device));
        assert!(
            error.contains("at least 2 images in a batch, got 1"),
            "{name}: {error}"
        );
        let error = refusal(name, batch(4, 1, &device));
        assert!(error.contains("at least 2 views"), "{name}: {error}");
    }
    for name in ["vicreg", "barlow-twins", "byol", "simsiam"] {
        let error = refusal(name, batch(4, 3, &device));
        assert!(
            error.contains("compares 2 views of an image, got 3"),
            "{name}: {error}"
        );
    }
    for name in ["supcon", "supervised"] {
        let blind = Batch {
            labels: None,
            ..batch(4, 2, &device)
        };
        let error = refusal(name, blind);
        assert!(
            error.contains("learns from labels, and there are none"),
            "{name}: {error}"
        );
    }
    let unknown = Batch {
        descriptions: None,
        ..batch(4, 2, &device)
    };
    for name in ["convirt", "regression"] {
        let error = refusal(name, unknown.clone());
        assert!(
            error.contains("learns from descriptions"),
            "{name}: {error}"
        );
    }
    let strange = Batch {
        labels: Some(vec![0, 1, 2, 0]),
        ..batch(4, 2, &device)
    };
    let error = refusal("supervised", strange);
    assert!(error.contains("`label`"), "{error}");
    for name in ["supcon", "supervised"] {
        let short = Batch {
            labels: Some(vec![0, 1]),
            ..batch(4, 2, &device)
        };
        let error = refusal(name, short);
        assert!(error.contains("one for each image"), "{name}: {error}");
    }
    for descriptions in [[3, 3], [4, 2]] {
        let wrong = Batch {
            descriptions: Some(Tensor::ones(descriptions, &device)),
            ..batch(4, 2, &device)
        };
        for name in ["convirt", "regression"] {
            let error = refusal(name, wrong.clone());
            assert!(error.contains("descriptions"), "{name}: {error}");
        }
    }
    let mut uneven = batch(4, 2, &device);
    uneven.views[1] = uneven.views[1].clone().narrow(0, 0, 3);
    let error = refusal("simclr", uneven);
    assert!(error.contains("as many images in every view"), "{error}");
    let alone = Batch {
        labels: Some(vec![0, 1]),
        ..batch(2, 1, &device)
    };
    let error = refusal("supcon", alone);
    assert!(error.contains("different groups"), "{error}");
}

#[test]
fn many_views_and_views_of_two_sizes_are_taken_where_they_make_sense() {
    let device = Device::flex().autodiff();
    for name in ["simclr", "triplet", "supcon", "convirt", "mae", "dino"] {
        let method = smallest(name, 1).to_device(&device).train();
        let many = batch(4, 4, &device);
        let mut sizes = many.clone();
        for view in &mut sizes.views[2..] {
            *view = view.clone().narrow(2, 0, 16).narrow(3, 0, 16);
        }
        let step = if name == "mae" {
            let error = method.step(sizes).unwrap_err().to_string();
            assert!(error.contains("of one size for MAE"), "{error}");
            method.step(many).unwrap()
        } else {
            method.step(sizes).unwrap()
        };
        assert!(step.loss.into_scalar::<f32>().is_finite(), "{name}");
    }
}

#[test]
fn identical_images_give_a_finite_loss_or_are_named() {
    let device = Device::flex().autodiff();
    for name in MethodConfig::NAMES {
        let method = smallest(name, 1).to_device(&device).train();
        let mut batch = batch(4, 2, &device);
        batch.views = vec![Tensor::ones([4, 1, 24, 24], &device); 2];
        let step = match method.step(batch) {
            Ok(step) => step,
            // Batch norm takes away all that identical images have, and nothing is left to compare.
            Err(error) => {
                assert!(["simclr", "supcon", "convirt"].contains(name), "{name}");
                let zero = KernelError::ZeroRow { row: 0 }.to_string();
                assert!(error.to_string().contains(&zero), "{error}");
                continue;
            }
        };
        let gradients = step.loss.backward();
        assert!(step.loss.into_scalar::<f32>().is_finite(), "{name}");
        let gradients = burn::optim::GradientsParams::from_grads(gradients, &method);
        assert!(!gradients.is_empty(), "{name}");
        method.visit(&mut Finite(&gradients, name));
    }
}

struct Finite<'a>(&'a burn::optim::GradientsParams, &'a str);

impl burn::module::ModuleVisitor for Finite<'_> {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        if let Some(gradient) = self.0.get::<D>(param.id) {
            let sum = gradient.abs().sum().into_scalar::<f32>();
            assert!(sum.is_finite(), "{}", self.1);
        }
    }
}

#[test]
fn targets_get_no_gradient_and_follow() {
    let device = Device::flex().autodiff();
    for (name, momentum) in [("byol", 0.99f32), ("dino", 0.95)] {
        let method = smallest(name, 1).to_device(&device).train();
        let step = method.step(batch(4, 2, &device)).unwrap();
        let gradients = step.loss.backward();
        let gradients = burn::optim::GradientsParams::from_grads(gradients, &method);
        let (trained, target) = method.sides();
        assert!(counted(trained, &gradients) > 10, "{name}");
        assert_eq!(counted(target, &gradients), 0, "{name}");
        assert!(
            gradients.len() > counted(trained, &gradients),
            "{name}: the head learns too"
        );

        let sgd = crate::OptimizerConfig::Sgd { momentum: 0.0 };
        let mut optimizer = sgd.build(0.0, None).unwrap();
        let method = optimizer.step(0.5, method, gradients);
        let before = values(method.sides().1);
        let method = method.after_step(0.0);
        let (trained, target) = method.sides();
        let mut moved = 0;
        for ((after, before), online) in values(target).iter().zip(&before).zip(values(trained)) {
            moved += usize::from(after != before);
            for ((after, before), online) in after.iter().zip(before).zip(&online) {
                let expected = momentum * before + (1.0 - momentum) * online;
                assert!((after - expected).abs() < 1e-5, "{name}");
            }
        }
        assert!(moved > 10, "{name}: {moved}");
    }
}

impl AnyMethod {
    /// The encoder that learns and the one that follows.
    fn sides(&self) -> (&Encoder, &Encoder) {
        match self {
            Self::Byol(byol) => byol.sides(),
            Self::Dino(dino) => dino.sides(),
            _ => unreachable!("no other method has two encoders"),
        }
    }
}

/// Weights of every convolution, in order.
fn values(encoder: &Encoder) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl burn::module::ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if D == 4 {
                self.0.push(param.val().into_data().try_to_vec().unwrap());
            }
        }
    }
    let mut values = Values(Vec::new());
    encoder.visit(&mut values);
    values.0
}

fn counted(encoder: &Encoder, gradients: &burn::optim::GradientsParams) -> usize {
    struct Count<'a>(&'a burn::optim::GradientsParams, usize);
    impl burn::module::ModuleVisitor for Count<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.1 += usize::from(self.0.get::<D>(param.id).is_some());
        }
    }
    let mut count = Count(gradients, 0);
    encoder.visit(&mut count);
    count.1
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let wrong = [
        r#"{"method": "simclr", "temperature": 0}"#,
        r#"{"method": "simclr", "head": {"layers": 0, "hidden": 8, "outputs": 8, "batch_norm": false}}"#,
        r#"{"method": "vicreg", "invariance": -1}"#,
        r#"{"method": "vicreg", "variance": -1}"#,
        r#"{"method": "vicreg", "covariance": -0.1}"#,
        r#"{"method": "barlow-twins", "redundancy": -1}"#,
        r#"{"method": "byol", "momentum": 1.5}"#,
        r#"{"method": "byol", "predictor": 0}"#,
        r#"{"method": "simsiam", "predictor": 0}"#,
        r#"{"method": "dino", "prototypes": 1}"#,
        r#"{"method": "dino", "teacher_temperature": 0}"#,
        r#"{"method": "dino", "center_momentum": -0.1}"#,
        r#"{"method": "triplet", "margin": 0}"#,
        r#"{"method": "supcon", "temperature": -1}"#,
        r#"{"method": "convirt", "weight": 2}"#,
        r#"{"method": "mae"}"#,
    ];
    for text in wrong {
        let config: MethodConfig = serde_json::from_str(text).unwrap();
        let encoder = EncoderConfig::by_name("resnet10-w2", 1).unwrap();
        let encoder = encoder.build(1, &Device::flex()).unwrap();
        assert!(config.build(encoder, &TARGETS, 1).is_err(), "{text}");
    }
    let vit = || {
        let encoder = EncoderConfig::by_name("vit-tiny-w24-p8", 1).unwrap();
        encoder.build(1, &Device::flex()).unwrap()
    };
    for text in [
        r#"{"method": "mae", "share": 1}"#,
        r#"{"method": "mae", "share": 0}"#,
        r#"{"method": "mae", "width": 6}"#,
        r#"{"method": "mae", "heads": 0}"#,
        r#"{"method": "mae", "depth": 0}"#,
    ] {
        let config: MethodConfig = serde_json::from_str(text).unwrap();
        assert!(config.build(vit(), &TARGETS, 1).is_err(), "{text}");
    }
    for name in ["supervised", "convirt", "regression"] {
        let config = MethodConfig::by_name(name).unwrap();
        assert!(
            config.build(vit(), &Targets::default(), 1).is_err(),
            "{name}"
        );
    }
}

#[test]
fn regression_tells_the_numbers_of_a_description() {
    let device = Device::flex().autodiff();
    let zeros = Batch {
        descriptions: Some(Tensor::zeros([4, 3], &device)),
        ..batch(4, 2, &device)
    };
    let step = |batch: Batch| {
        let method = smallest("regression", 1).to_device(&device).train();
        method.step(batch).unwrap().loss.into_scalar::<f32>()
    };
    // With p for what is read, mean p², mean (p − 1)² and mean (p + 1)² are 2 mean p² + 2 in the last two together.
    let shifted = |by: f32| Batch {
        descriptions: zeros.descriptions.clone().map(|zeros| zeros + by),
        ..zeros.clone()
    };
    let found = step(shifted(1.0)) + step(shifted(-1.0));
    let expected = 2.0 * step(zeros.clone()) + 2.0;
    assert!(
        (found - expected).abs() < 1e-5 * expected,
        "{found}, {expected}"
    );
}

#[test]
fn names_lead_back_to_their_method() {
    for name in MethodConfig::NAMES {
        assert_eq!(MethodConfig::by_name(name).unwrap().name(), *name);
    }
}
