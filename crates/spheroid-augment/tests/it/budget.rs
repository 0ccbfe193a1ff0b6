use std::collections::BTreeSet;

use ndarray::Array3;
use proptest::prelude::*;
use spheroid_augment::{Image, Pixel, ToneAudit, ToneBudget, Transform};
use spheroid_core::{DrawKey, StackSource};
use spheroid_imaging::{SampleType, Samples};
use spheroid_sim::PlateSimConfig;

fn distinct<T: Pixel>(image: &Image<'_, T>) -> usize {
    let tones: BTreeSet<u32> = image
        .samples()
        .iter()
        .map(|p| p.to_unit().to_bits())
        .collect();
    tones.len()
}

/// Largest share of the distinct values that any of `draws` draws loses.
fn worst_loss<T: Pixel>(budget: ToneBudget, samples: &Array3<T>, draws: u64) -> f64 {
    let built = budget.build().unwrap();
    let image = Image::new(samples).unwrap();
    let before = distinct(&image) as f64;
    let loss = |item| {
        let key = DrawKey {
            seed: 3,
            epoch: 0,
            item,
            view: 0,
        };
        let view = built.apply(image.view(), &built.draw(key)).unwrap();
        (before - distinct(&view) as f64) / before
    };
    (0..draws).map(loss).fold(f64::NEG_INFINITY, f64::max)
}

/// Pixels of random tones, some of them much more frequent than others.
fn pixels<T: Pixel>(tones: &[T], weights: &[u8]) -> Array3<T> {
    let repeated = tones.iter().zip(weights.iter().cycle());
    let pixels: Vec<T> = repeated
        .flat_map(|(tone, count)| vec![*tone; usize::from(*count % 9) + 1])
        .collect();
    Array3::from_shape_vec((1, 1, pixels.len()), pixels).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_draw_exceeds_the_budget_on_8_bits(
        tones in prop::collection::vec(any::<u8>(), 1..300),
        weights in prop::collection::vec(any::<u8>(), 1..50),
        share in 0.0..=1.0,
    ) {
        let budget = ToneBudget { share, brightness: 2.0, contrast: 3.0 };
        let loss = worst_loss(budget, &pixels(&tones, &weights), 40);
        prop_assert!(loss <= share + 1e-12, "{loss} of {share}");
    }

    #[test]
    fn no_draw_exceeds_the_budget_on_16_bits(
        (from, step) in (any::<u16>(), prop::sample::select(vec![1_u16, 2, 3, 16, 257])),
        offsets in prop::collection::vec(0_u16..400, 1..400),
        weights in prop::collection::vec(any::<u8>(), 1..50),
        share in 0.0..=1.0,
    ) {
        let tones: Vec<u16> =
            offsets.iter().map(|offset| from.saturating_add(offset.saturating_mul(step))).collect();
        let budget = ToneBudget { share, brightness: 1.0, contrast: 1.0 };
        let loss = worst_loss(budget, &pixels(&tones, &weights), 40);
        prop_assert!(loss <= share + 1e-12, "{loss} of {share}");
    }

    #[test]
    fn no_draw_exceeds_the_budget_on_floating_point(
        tones in prop::collection::vec(-0.5_f32..2.0, 1..300),
        near in prop::option::of(0.01_f32..1.0),
        weights in prop::collection::vec(any::<u8>(), 1..50),
        share in 0.0..=1.0,
    ) {
        // Tones of 16 bits, or as near to each other as numbers of `f32` can be.
        let tone = |tone: f32| near.map_or(tone, |near| near + tone * 1e-5);
        let tones: Vec<f32> = tones.into_iter().map(tone).collect();
        let budget = ToneBudget { share, brightness: 1.0, contrast: 1.0 };
        let loss = worst_loss(budget, &pixels(&tones, &weights), 40);
        prop_assert!(loss <= share + 1e-12, "{loss} of {share}");
    }
}

/// A dark spheroid on a bright ground, noisy, in true 16 bits or 12 bits in 16.
fn spheroid(widened: bool) -> Array3<u16> {
    Array3::from_shape_fn((2, 120, 120), |(p, r, c)| {
        let distance = (r as f64 - 60.0).hypot(c as f64 - 55.0);
        let body = 1800.0 - 900.0 / (1.0 + ((distance - 30.0) / 2.0).exp());
        let noise = ((p * 7919 + r * 104_729 + c * 1_299_709) % 401) as f64;
        let sensor = (body + noise) as u16;
        if widened {
            sensor << 4 | sensor >> 8
        } else {
            20_000 + sensor
        }
    })
}

#[test]
fn the_strength_that_remains_is_used_and_not_more() {
    let widened = spheroid(true);
    let deep = spheroid(false);
    let budget = ToneBudget::new(0.3);
    let strength = |samples: &Array3<u16>| budget.strength(&Image::new(samples).unwrap()).unwrap();
    // Twelve bits in sixteen leave a lot of room to darken; without a gap between tones three tenths
    // may be lost, so a slope of seven tenths is the least.
    let (wide, dense) = (strength(&widened), strength(&deep));
    assert!(
        wide.brightness.from < 0.1 && wide.contrast.from < 0.1,
        "{wide:?}"
    );
    assert!((dense.brightness.from - 0.7).abs() < 0.02, "{dense:?}");
    assert!((dense.contrast.from - 0.7).abs() < 0.02, "{dense:?}");
    for strength in [wide, dense] {
        assert!(
            strength.brightness.to > 1.3 && strength.contrast.to > 1.3,
            "{strength:?}"
        );
    }
    // A draw may use nearly all of the budget, and none exceeds it.
    for samples in [&widened, &deep] {
        let loss = worst_loss(budget, samples, 1000);
        assert!((0.25..=0.3).contains(&loss), "{loss}");
    }
}

#[test]
fn without_a_budget_nothing_is_lost() {
    let samples = spheroid(true);
    let budget = ToneBudget::new(0.0);
    assert!(worst_loss(budget, &samples, 200) <= 0.0);
    let strength = budget.strength(&Image::new(&samples).unwrap()).unwrap();
    assert!(strength.brightness.to > 1.2, "{strength:?}");
}

#[test]
fn less_is_drawn_when_less_is_wanted() {
    let samples = spheroid(true);
    let budget = ToneBudget {
        brightness: 0.1,
        contrast: 0.0,
        ..ToneBudget::new(0.3)
    };
    let strength = budget.strength(&Image::new(&samples).unwrap()).unwrap();
    assert_eq!(
        (strength.brightness.from, strength.brightness.to),
        (0.9, 1.1)
    );
    assert_eq!((strength.contrast.from, strength.contrast.to), (1.0, 1.0));
}

#[test]
fn what_is_no_number_is_refused() {
    let samples = ndarray::arr3(&[[[0.1, f32::INFINITY]]]);
    let image = Image::new(&samples).unwrap();
    assert!(ToneBudget::new(0.3).strength(&image).is_err());
}

/// Three thousand draws on an image, as it is, in 8 bits and in floating point.
fn keeps_the_budget(samples: &Array3<u16>) {
    let audit = ToneAudit {
        draws: 3000,
        seed: 11,
    };
    let built = ToneBudget::new(0.3).build().unwrap();
    let unit = samples.mapv(Pixel::to_unit);
    let bytes = samples.mapv(|sample| (sample >> 8) as u8);
    let reports = [
        audit
            .run(&built, &Image::new(samples).unwrap(), || ())
            .unwrap(),
        audit
            .run(&built, &Image::new(&unit).unwrap(), || ())
            .unwrap(),
        audit
            .run(&built, &Image::new(&bytes).unwrap(), || ())
            .unwrap(),
    ];
    for report in reports {
        let loss = report.loss(report.worst());
        // Floating point loses nothing by rounding, and an image in mid-range nothing by clamping.
        assert!(
            loss <= 0.3 && (loss > 0.1 || report.sample_type == SampleType::F32),
            "{loss}"
        );
        assert_eq!(report.breach(&built), None);
    }
}

#[test]
fn three_thousand_draws_keep_the_budget() {
    keeps_the_budget(&spheroid(true));
    keeps_the_budget(&spheroid(false));
}

#[test]
fn three_thousand_draws_keep_the_budget_on_simulated_plates() {
    let config = PlateSimConfig {
        rows: 160,
        columns: 160,
        ..PlateSimConfig::default()
    };
    let plate = config.build().unwrap();
    for index in (0..plate.len()).step_by(61) {
        let Samples::U16(samples) = plate.load(index).unwrap().into_samples() else {
            panic!("the simulator gives 16 bits");
        };
        keeps_the_budget(&samples);
    }
}
