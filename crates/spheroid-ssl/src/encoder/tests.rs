//! Encoders against torchvision, timm and PyTorch.

use std::collections::BTreeMap;

use burn::{
    store::{KeyRemapper, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore},
    tensor::TensorData,
};
use serde_json::Value;
use spheroid_testkit::{Tolerance, assert_close, fixture_path, json_fixture};

use super::*;

#[derive(Deserialize)]
struct Output {
    shape: [usize; 4],
    input: Vec<f32>,
    features: Vec<f64>,
    depth_means: Vec<Vec<f64>>,
}

fn images(shape: [usize; 4], values: &[f32]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
}

fn assert_alike(name: &str, config: &EncoderConfig) {
    let all: BTreeMap<String, Vec<Output>> =
        json_fixture(env!("CARGO_MANIFEST_DIR"), "encoders.json");
    let path = fixture_path(
        env!("CARGO_MANIFEST_DIR"),
        &format!("encoders/{name}.safetensors"),
    );
    let mut encoder = config.build(1, &Device::flex()).unwrap();
    let shortcuts = KeyRemapper::new()
        .add_pattern(r"downsample\.0", "downsample.conv")
        .unwrap()
        .add_pattern(r"downsample\.1", "downsample.bn")
        .unwrap();
    let mut store = SafetensorsStore::from_bytes(Some(std::fs::read(path).unwrap()))
        .with_from_adapter(PyTorchToBurnAdapter)
        .remap(shortcuts);
    let loaded = match &mut encoder {
        Encoder::ResNet(network) => network.load_from(&mut store),
        Encoder::EfficientNetLite(network) => network.load_from(&mut store),
        Encoder::UNet(network) => network.load_from(&mut store),
        Encoder::Vit(network) => network.load_from(&mut store),
    }
    .unwrap();
    assert!(
        loaded.missing.is_empty() && loaded.unused.is_empty(),
        "{loaded}"
    );
    assert!(!all[name].is_empty());
    let tolerance = Tolerance {
        relative: 1e-4,
        absolute: 1e-5,
    };
    for output in &all[name] {
        let input = || images(output.shape, &output.input);
        let features = encoder.forward(input()).into_data();
        let features = features.try_to_vec::<f32>().unwrap();
        assert_close(&features, &output.features, tolerance);
        let depths = encoder.depths(input());
        assert_eq!(depths.len(), output.depth_means.len());
        for (map, expected) in depths.into_iter().zip(&output.depth_means) {
            let means = mean_pool(map).into_data().try_to_vec::<f32>().unwrap();
            assert_close(&means, expected, tolerance);
        }
    }
}

fn small_resnet(block: ResNetBlock, blocks: usize, stem: Stem) -> EncoderConfig {
    EncoderConfig::ResNet(ResNetConfig {
        width: 4,
        stem,
        ..ResNetConfig::new(2, block, [blocks; 4])
    })
}

#[test]
fn resnet18_agrees_with_torchvision() {
    assert_alike(
        "resnet18",
        &small_resnet(ResNetBlock::Basic, 2, Stem::ImageNet),
    );
}

#[test]
fn bottlenecks_agree_with_torchvision() {
    assert_alike(
        "resnet50",
        &small_resnet(ResNetBlock::Bottleneck, 1, Stem::ImageNet),
    );
}

#[test]
fn the_small_stem_agrees_with_torchvision() {
    assert_alike(
        "resnet18_small",
        &small_resnet(ResNetBlock::Basic, 2, Stem::Small),
    );
}

#[test]
fn vit_agrees_with_timm_at_its_own_and_another_size() {
    let config = VitConfig {
        patch: 4,
        depth: 2,
        heads: 3,
        grid: 4,
        ..VitConfig::new(1, 24)
    };
    assert_alike("vit", &EncoderConfig::Vit(config));
}

#[test]
fn unet_agrees_with_pytorch() {
    let config = UNetConfig {
        width: 2,
        ..UNetConfig::new(1)
    };
    assert_alike("unet", &EncoderConfig::UNet(config));
}

#[test]
fn every_named_encoder_says_what_it_gives() {
    // The widths of the paper are what matters for the count of features.
    let expected = [
        ("resnet10", 512),
        ("resnet18", 512),
        ("resnet34", 512),
        ("resnet50", 2048),
        ("efficientnet-lite0", 1280),
        ("unet", 1024),
        ("vit-tiny", 192),
        ("vit-small", 384),
    ];
    assert_eq!(expected.map(|(name, _)| name), EncoderConfig::NAMES);
    for (name, features) in expected {
        let suffix = if name.starts_with("vit") { "-p8" } else { "" };
        let config = EncoderConfig::by_name(&format!("{name}{suffix}"), 3).unwrap();
        let encoder = config.build(1, &Device::flex()).unwrap();
        assert_eq!(encoder.features(), features, "{name}");
        assert_eq!(encoder.planes(), 3, "{name}");
        let side = encoder.granularity().max(32);
        let input = images([1, 3, side, side], &vec![0.5; 3 * side * side]);
        assert_eq!(
            encoder.forward(input.clone()).dims(),
            [1, features],
            "{name}"
        );
        let maps = encoder.depths(input.clone());
        let channels: Vec<usize> = maps.iter().map(|map| map.dims()[1]).collect();
        assert_eq!(channels, encoder.channels(), "{name}");
        for pooling in [Pooling::ALL, Pooling::LAST] {
            let pooled = encoder.pooled(input.clone(), pooling).dims();
            assert_eq!(pooled, [1, encoder.pooled_dim(pooling)], "{name}");
        }
        assert_eq!(encoder.pooled_dim(Pooling::LAST), features, "{name}");
    }
}

#[test]
fn pooling_keeps_mean_and_deviation_of_every_depth_or_the_last_mean() {
    let config = EncoderConfig::by_name("resnet10-w2", 1).unwrap();
    let encoder = config.build(1, &Device::flex()).unwrap();
    let values: Vec<f32> = (0..32 * 32)
        .map(|pixel| (pixel as f32 * 0.7).sin())
        .collect();
    let input = images([1, 1, 32, 32], &values);
    let kept = |pooling| {
        let kept = encoder.pooled(input.clone(), pooling).into_data();
        kept.try_to_vec::<f32>().unwrap()
    };
    let stem = encoder.depths(input.clone())[0].clone().into_data();
    let stem = stem.try_to_vec::<f32>().unwrap();
    let channel = &stem[..stem.len() / 2];
    let mean = channel.iter().sum::<f32>() / channel.len() as f32;
    let variance = channel.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / channel.len() as f32;
    let all = kept(Pooling::ALL);
    assert!((all[0] - mean).abs() < 1e-5 && (all[2] - variance.sqrt()).abs() < 1e-5);
    let last = encoder.forward(input.clone()).into_data();
    assert_eq!(kept(Pooling::LAST), last.try_to_vec::<f32>().unwrap());
}

#[test]
fn names_with_suffixes_set_what_they_say() {
    let resnet = EncoderConfig::by_name("resnet18-small-w16", 2).unwrap();
    let expected = ResNetConfig {
        width: 16,
        stem: Stem::Small,
        ..ResNetConfig::new(2, ResNetBlock::Basic, [2; 4])
    };
    assert_eq!(resnet, EncoderConfig::ResNet(expected));
    let vit = EncoderConfig::by_name("vit-tiny-p4-w96", 1).unwrap();
    let expected = VitConfig {
        patch: 4,
        ..VitConfig::new(1, 96)
    };
    assert_eq!(vit, EncoderConfig::Vit(expected));
    for wrong in [
        "vgg",
        "resnet",
        "resnet181",
        "resnet18-",
        "resnet18-w",
        "resnet18-p4",
        "unet-small",
        "vit-tiny-px",
        "vit-tiny-w8-small",
    ] {
        let error = EncoderConfig::by_name(wrong, 1).unwrap_err().to_string();
        assert!(error.contains("resnet10, resnet18"), "{wrong}: {error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for name in [
        "resnet18-w0",
        "resnet18-w5000",
        "unet-w0",
        "vit-tiny-p0",
        "vit-tiny-w0",
        "vit-tiny-w6",
        "vit-tiny-w130",
        "vit-tiny-w40000",
        "unet-w2000",
    ] {
        let config = EncoderConfig::by_name(name, 1).unwrap();
        assert!(config.build(1, &Device::flex()).is_err(), "{name}");
    }
    for planes in [0, 1 << 40] {
        for name in EncoderConfig::NAMES {
            let config = EncoderConfig::by_name(name, planes).unwrap();
            assert!(config.build(1, &Device::flex()).is_err(), "{name}");
        }
    }
}

#[test]
fn settings_survive_json() {
    for name in EncoderConfig::NAMES {
        let config = EncoderConfig::by_name(name, 1).unwrap();
        let json: Value = serde_json::to_value(&config).unwrap();
        assert_eq!(
            serde_json::from_value::<EncoderConfig>(json).unwrap(),
            config
        );
    }
}
