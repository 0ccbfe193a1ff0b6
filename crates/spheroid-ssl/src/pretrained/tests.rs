use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use spheroid_testkit::{Tolerance, assert_close, fixture_path, json_fixture};

use super::*;
use crate::encoder::EncoderConfig;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

fn encoder(name: &str, planes: usize) -> Encoder {
    let config = EncoderConfig::by_name(name, planes).unwrap();
    config.build(1, &Device::flex()).unwrap()
}

/// Value `i` of a tensor as `efficientnet.py` draws it, 0 to 1.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let offset = 613 * u64::from(crc32fast::hash(name.as_bytes()));
    (0..count as u64).map(move |index| ((7919 * index + offset) % 1009) as f64 / 1009.0)
}

fn weights(name: &str, shape: &[usize]) -> Vec<f32> {
    let scale = (24.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
    let value = |u: f64| match shape.len() {
        1 if name.ends_with("running_var") || name.ends_with("weight") => 0.5 + u,
        1 => (u - 0.5) / 2.0,
        _ => (u - 0.5) * scale,
    };
    let values = uniform(name, shape.iter().product());
    values.map(|u| value(u) as f32).collect()
}

/// A safetensors file.
fn write(path: &Path, tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) {
    let bytes: BTreeMap<_, _> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, (shape, little_endian(values))))
        .collect();
    let views = bytes.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[derive(Deserialize)]
struct Fixture {
    tensors: BTreeMap<String, Vec<usize>>,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    shape: [usize; 4],
    features: Vec<f64>,
    depth_means: Vec<Vec<f64>>,
}

impl Fixture {
    /// EfficientNet-Lite0 with the weights of the fixture, under names that begin with `prefix`.
    fn tensors(&self, prefix: &str) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let tensors = self.tensors.iter();
        tensors
            .map(|(name, shape)| {
                let values = weights(name, shape);
                (format!("{prefix}{name}"), (shape.clone(), values))
            })
            .collect()
    }
}

fn images(shape: [usize; 4]) -> Tensor<4> {
    let pixels = uniform("images", shape.iter().product());
    let pixels: Vec<f32> = pixels.map(|u| (2.0 * u - 1.0) as f32).collect();
    Tensor::from_data(TensorData::new(pixels, shape), &Device::flex())
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

#[test]
fn efficientnet_agrees_with_pytorch() {
    let fixture: Fixture = json_fixture(FOLDER, "efficientnet.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut tensors = fixture.tensors("");
    tensors.insert("_fc.bias".to_owned(), (vec![3], vec![0.0; 3]));
    write(&path, &tensors);
    let (encoder, loaded) = load_pretrained(encoder("efficientnet-lite0", 3), &path).unwrap();
    assert_eq!(loaded.loaded, fixture.tensors.len());
    assert_eq!(loaded.skipped, ["fc.bias"]);
    assert_eq!(loaded.adapted, None);
    assert!(!loaded.untrained);
    assert_eq!(fixture.outputs.len(), 2);
    let tolerance = Tolerance {
        relative: 1e-4,
        absolute: 1e-4,
    };
    for output in &fixture.outputs {
        let features = floats(encoder.forward(images(output.shape)));
        assert_close(&features, &output.features, tolerance);
        let depths = encoder.depths(images(output.shape));
        assert_eq!(depths.len(), output.depth_means.len());
        for (map, expected) in depths.into_iter().zip(&output.depth_means) {
            let means = floats(map.mean_dim(3).mean_dim(2));
            assert_close(&means, expected, tolerance);
        }
    }
}

#[test]
fn planes_that_show_the_same_give_the_same_after_adapting() {
    let fixture: Fixture = json_fixture(FOLDER, "efficientnet.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write(&path, &fixture.tensors("module."));
    let grey = images([1, 1, 40, 40]);
    let features = |planes: usize| {
        let (encoder, loaded) =
            load_pretrained(encoder("efficientnet-lite0", planes), &path).unwrap();
        let adapted = (planes != 3).then(|| AdaptedPlanes {
            name: "conv_stem.weight".to_owned(),
            from: 3,
            to: planes,
        });
        assert_eq!(loaded.adapted, adapted);
        floats(encoder.forward(grey.clone().repeat_dim(1, planes)))
    };
    let three: Vec<f64> = features(3).into_iter().map(f64::from).collect();
    for planes in [1, 2, 5] {
        let tolerance = Tolerance {
            relative: 1e-4,
            absolute: 1e-4,
        };
        assert_close(&features(planes), &three, tolerance);
    }
}

#[test]
fn files_of_pytorch_of_every_age_give_what_safetensors_give() {
    let reference = fixture_path(FOLDER, "encoders/pretrained.safetensors");
    let (reference, loaded) = load_pretrained(encoder("resnet18-w2", 3), &reference).unwrap();
    assert_eq!(loaded.loaded, 100);
    let input = images([1, 3, 32, 32]);
    let expected = floats(reference.forward(input.clone()));
    for (file, skipped, planes) in [
        ("pretrained.pth", vec!["fc.bias", "fc.weight"], 3),
        ("pretrained_legacy.pth", vec!["fc.bias", "fc.weight"], 3),
        ("pretrained_checkpoint.pth", vec!["fc.bias", "fc.weight"], 3),
    ] {
        let path = fixture_path(FOLDER, &format!("encoders/{file}"));
        let (encoder, loaded) = load_pretrained(encoder("resnet18-w2", planes), &path).unwrap();
        assert_eq!(loaded.skipped, skipped, "{file}");
        assert_eq!(loaded.loaded, 100, "{file}");
        assert!(!loaded.untrained, "{file}");
        assert_eq!(floats(encoder.forward(input.clone())), expected, "{file}");
    }
}

#[test]
fn weights_that_were_never_trained_are_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let config = EncoderConfig::by_name("resnet18-w2", 1).unwrap();
    let fresh = config.build(7, &Device::flex()).unwrap();
    crate::save_encoder(folder.path(), &config, &fresh).unwrap();
    let path = folder.path().join("encoder.safetensors");
    let (loaded_encoder, loaded) = load_pretrained(encoder("resnet18-w2", 1), &path).unwrap();
    assert!(loaded.untrained && loaded.own && loaded.skipped.is_empty());
    assert!(loaded.to_string().contains("never trained"), "{loaded}");
    let input = images([2, 1, 32, 32]);
    assert_eq!(
        floats(loaded_encoder.forward(input.clone())),
        floats(fresh.forward(input))
    );
}

#[test]
fn files_that_do_not_fit_are_refused_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let reason = |name: &str, encoder: Encoder| {
        let path = folder.path().join(name);
        load_pretrained(encoder, &path).unwrap_err().to_string()
    };
    let fixture: Fixture = json_fixture(FOLDER, "efficientnet.json");
    let mut tensors = fixture.tensors("");
    tensors.remove("_bn1.bias");
    write(&folder.path().join("short.safetensors"), &tensors);
    let message = reason("short.safetensors", encoder("efficientnet-lite0", 3));
    assert!(message.contains("bn1.beta is missing"), "{message}");
    let message = reason("short.safetensors", encoder("resnet18-w2", 3));
    assert!(message.contains("conv1.weight is missing"), "{message}");
    tensors.insert("_bn1.bias".to_owned(), (vec![3], vec![0.0; 3]));
    write(&folder.path().join("shape.safetensors"), &tensors);
    let message = reason("shape.safetensors", encoder("efficientnet-lite0", 3));
    assert!(message.contains("bn1.beta"), "{message}");
    assert!(
        message.contains("1280") && message.contains("[3]"),
        "{message}"
    );
    for (name, bytes) in [
        ("no.pth", &b"no weights at all"[..]),
        ("no.safetensors", &b"no weights at all"[..]),
        ("empty.pth", &b""[..]),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let message = reason(name, encoder("resnet18-w2", 3));
        assert!(message.contains(name), "{message}");
    }
    let of = |tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>| {
        write(&folder.path().join("odd.safetensors"), tensors);
        reason("odd.safetensors", encoder("efficientnet-lite0", 3))
    };
    for (name, shape, values, expected) in [
        (
            "_conv_stem.weight",
            vec![32, 5, 0, 3],
            vec![],
            "conv_stem.weight is empty",
        ),
        (
            "_conv_stem.weight",
            vec![0, 5, 1 << 40, 1 << 40],
            vec![],
            "conv_stem.weight",
        ),
        (
            "_conv_stem.weight",
            vec![3],
            vec![0.0; 3],
            "has the shape [3]",
        ),
        ("bn0.bias", vec![32], vec![0.0; 32], "holds bn0.bias twice"),
        ("_bn0.bias", vec![1], vec![f32::NAN], "_bn0.bias holds NaN"),
    ] {
        let mut tensors = fixture.tensors("");
        tensors.insert(name.to_owned(), (shape, values));
        let message = of(&tensors);
        assert!(message.contains(expected), "{name}: {message}");
    }
    let mut two = fixture.tensors("teacher.");
    two.append(&mut fixture.tensors("student."));
    let message = of(&two);
    assert!(message.contains("several networks"), "{message}");
    let message = reason("nowhere.pth", encoder("resnet18-w2", 3));
    assert!(message.contains("cannot read"), "{message}");
}
