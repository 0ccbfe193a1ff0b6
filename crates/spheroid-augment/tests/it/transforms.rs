use ndarray::{Array2, Array3};
use spheroid_augment::{
    Affine, AnyDraw, AnyTransform, AugmentError, BackgroundJitter, Border, Brightness, Built,
    CenterCrop, Clahe, ColorJitter, Contrast, Cutout, Defocus, EdgeShading, Elastic, Equalize,
    Gain, Gamma, GaussianBlur, GaussianNoise, Grayscale, HorizontalFlip, Hue, IlluminationGradient,
    Image, Interpolation, Median, Pixel, PlaneDropout, PlaneSampling, QuarterTurn,
    RandomResizedCrop, Range, ReadNoise, Resize, Sampling, Saturation, ShotNoise, Solarize,
    SpheroidCrop, ToneAudit, ToneBudget, ToneContract, ToneCurve, ToneEffect, Transform, Unsharp,
    VerticalFlip,
};
use spheroid_core::DrawKey;
use spheroid_imaging::SampleType;
use spheroid_testkit::conformance;

/// Settings of every transform, strong enough to do harm, and whether it is for RGB images alone.
fn all() -> Vec<(AnyTransform, bool)> {
    let jitter = ColorJitter {
        brightness: 1.0,
        contrast: 1.0,
        ..ColorJitter::default()
    };
    let nearest = Affine {
        sampling: Sampling::Nearest,
        border: Border::Value(0.5),
        shift: 0.2,
        ..Affine::default()
    };
    let bicubic = RandomResizedCrop {
        interpolation: Interpolation::Bicubic,
        ..RandomResizedCrop::new(17, 13)
    };
    let spheroid = SpheroidCrop {
        rows: 16,
        columns: 16,
        side: Range::new(0.3, 0.9),
        shift: 0.3,
        interpolation: Interpolation::Bilinear,
    };
    let grey: Vec<AnyTransform> = vec![
        Affine::default().into(),
        nearest.into(),
        BackgroundJitter {
            jitter,
            softness: 4.0,
        }
        .into(),
        Brightness { strength: 1.0 }.into(),
        CenterCrop {
            rows: 20,
            columns: 11,
        }
        .into(),
        Clahe {
            tiles: [3, 4],
            clip_limit: Range::new(500.0, 5000.0),
        }
        .into(),
        jitter.into(),
        Contrast { strength: 2.0 }.into(),
        Cutout {
            fill: 0.3,
            ..Cutout::default()
        }
        .into(),
        Defocus {
            radius: Range::new(0.6, 3.0),
        }
        .into(),
        EdgeShading::default().into(),
        Elastic {
            strength: Range::new(5.0, 50.0),
            ..Elastic::default()
        }
        .into(),
        Equalize {}.into(),
        Gain { spread: 0.5 }.into(),
        Gamma {
            gamma: Range::new(0.2, 5.0),
        }
        .into(),
        GaussianBlur::new(0.3, 3.0).into(),
        GaussianNoise {
            deviation: Range::new(0.0, 0.2),
        }
        .into(),
        HorizontalFlip {}.into(),
        IlluminationGradient {
            strength: Range::new(0.1, 0.9),
        }
        .into(),
        Median { radius: [1, 2] }.into(),
        PlaneDropout {
            probability: 0.5,
            fill: 0.2,
        }
        .into(),
        PlaneSampling { planes: 2 }.into(),
        QuarterTurn {}.into(),
        RandomResizedCrop::new(13, 40).into(),
        bicubic.into(),
        ReadNoise {
            electrons: Range::new(0.0, 50.0),
            full_well: 1000.0,
        }
        .into(),
        Resize {
            rows: 9,
            columns: 50,
            interpolation: Interpolation::Bilinear,
        }
        .into(),
        ShotNoise {
            full_well: Range::new(20.0, 1000.0),
        }
        .into(),
        Solarize {
            threshold: Range::new(0.0, 1.0),
        }
        .into(),
        spheroid.into(),
        ToneBudget::new(0.25).into(),
        ToneCurve::default().into(),
        Unsharp {
            sigma: Range::new(0.5, 2.0),
            amount: Range::new(0.5, 3.0),
        }
        .into(),
        VerticalFlip {}.into(),
    ];
    let coloured: Vec<AnyTransform> = vec![
        ColorJitter {
            saturation: 1.0,
            hue: 0.5,
            ..jitter
        }
        .into(),
        Grayscale {}.into(),
        Hue { strength: 0.5 }.into(),
        Saturation { strength: 1.0 }.into(),
    ];
    let grey = grey.into_iter().map(|transform| (transform, false));
    grey.chain(coloured.into_iter().map(|transform| (transform, true)))
        .collect()
}

/// A spheroid in noise, three planes, 12 bits in 16, no pixel at an end of the range.
fn stack() -> Array3<u16> {
    Array3::from_shape_fn((3, 31, 27), |(p, r, c)| {
        let distance = ((r as f64 - 14.0).powi(2) + (c as f64 - 12.0).powi(2)).sqrt();
        let body = 2600.0 - 1300.0 / (1.0 + (distance - 8.0).exp());
        let noise = ((p * 7919 + r * 104_729 + c * 1_299_709) % 211) as f64;
        let sensor = (body + 2.0 * noise - 10.0 * p as f64) as u16;
        sensor << 4 | sensor >> 8
    })
}

fn mask() -> Array2<bool> {
    Array2::from_shape_fn((31, 27), |(r, c)| {
        (r as f64 - 14.0).hypot(c as f64 - 12.0) < 8.0
    })
}

fn image<'a, T: Pixel>(samples: &'a Array3<T>, mask: &'a Array2<bool>, rgb: bool) -> Image<'a, T> {
    let image = Image::new(samples).unwrap().with_mask(mask).unwrap();
    if rgb { image.as_rgb().unwrap() } else { image }
}

fn key(item: u64) -> DrawKey {
    DrawKey {
        seed: 9,
        epoch: 0,
        item,
        view: 0,
    }
}

/// Whether every view looks alike.
fn draws_nothing(transform: &AnyTransform) -> bool {
    matches!(
        transform,
        AnyTransform::CenterCrop(_)
            | AnyTransform::Equalize(_)
            | AnyTransform::Grayscale(_)
            | AnyTransform::HorizontalFlip(_)
            | AnyTransform::Resize(_)
            | AnyTransform::VerticalFlip(_)
    )
}

/// The promise of a transform, told from every pixel before and after.
fn keeps_its_contract<T: Pixel>(
    contract: ToneContract,
    before: &Image<'_, T>,
    after: &Image<'_, T>,
) -> Result<(), String> {
    use std::collections::{BTreeMap, BTreeSet};
    let bits = |pixel: &T| pixel.to_unit().to_bits();
    let tones =
        |image: &Image<'_, T>| -> BTreeSet<u32> { image.samples().iter().map(bits).collect() };
    let (had, has) = (tones(before), tones(after));
    let pointwise = || -> Result<(), String> {
        let mut map = BTreeMap::new();
        for (a, b) in before.samples().iter().zip(after.samples()) {
            if *map.entry(bits(a)).or_insert(bits(b)) != bits(b) {
                return Err("one tone became several".to_owned());
            }
        }
        Ok(())
    };
    match contract.tones {
        ToneEffect::Selected { added } => {
            let new = has.difference(&had).count();
            if new > added {
                return Err(format!("{new} values are new"));
            }
        }
        ToneEffect::OneToOne => {
            pointwise()?;
            if has.len() != had.len() {
                return Err(format!("{} values became {}", had.len(), has.len()));
            }
        }
        ToneEffect::Merged { most_lost } => {
            pointwise()?;
            let lost = had.len().saturating_sub(has.len());
            if has.len() > had.len() || lost as f64 > most_lost * had.len() as f64 {
                return Err(format!("{} values became {}", had.len(), has.len()));
            }
        }
        ToneEffect::Mixed => {}
    }
    let at_end = |pixel: &T| pixel.to_unit() <= 0.0 || pixel.to_unit() >= 1.0;
    if !contract.clips && after.samples().iter().any(at_end) {
        return Err("pixels were clipped".to_owned());
    }
    Ok(())
}

fn check_all<T: Pixel>(samples: &Array3<T>) {
    let mask = mask();
    for (transform, rgb) in all() {
        let name = transform.name();
        let image = image(samples, &mask, rgb);
        let built: Built<AnyTransform> = transform.clone().build().unwrap();
        let contract = transform.tone_contract(T::TYPE);
        let mut views = Vec::new();
        for item in 0..60 {
            let draw = built.draw(key(item));
            let stored = serde_json::to_string(&draw).unwrap();
            assert_eq!(
                serde_json::from_str::<AnyDraw>(&stored).unwrap(),
                draw,
                "{name}"
            );
            let view = built.apply(image.view(), &draw).unwrap();
            assert!(
                view.samples()
                    .iter()
                    .all(|pixel| pixel.to_unit().is_finite()),
                "{name}"
            );
            let (_, rows, columns) = view.dim();
            assert_eq!(view.mask().unwrap().dim(), (rows, columns), "{name}");
            if let Err(breach) = keeps_its_contract(contract, &image, &view) {
                panic!("{name} of {}, {draw:?}: {breach}", T::TYPE);
            }
            views.push(view);
        }
        let differ = views.iter().any(|view| *view != views[0]);
        // Limits that make a difference at 65,536 places make none at 256.
        let out_of_reach = matches!(transform, AnyTransform::Clahe(_)) && T::TYPE == SampleType::U8;
        assert_eq!(
            differ,
            !draws_nothing(&transform) && !out_of_reach,
            "{name}"
        );
        let audit = ToneAudit { draws: 60, seed: 9 };
        let report = audit.run(&built, &image, || ()).unwrap();
        assert_eq!(report.breach(&built), None, "{name} of {}", T::TYPE);
        let json = serde_json::to_string(&transform).unwrap();
        assert_eq!(
            serde_json::from_str::<AnyTransform>(&json).unwrap(),
            transform
        );
        assert!(json.starts_with(&format!("{{\"{name}\"")), "{json}");
    }
}

#[test]
fn every_transform_keeps_its_contract_on_16_bits() {
    check_all(&stack());
}

#[test]
fn every_transform_keeps_its_contract_on_8_bits() {
    check_all(&stack().mapv(|sample| (sample >> 8) as u8));
}

#[test]
fn every_transform_keeps_its_contract_on_floating_point() {
    check_all(&stack().mapv(Pixel::to_unit));
}

#[test]
fn every_transform_is_in_the_list() {
    let names: std::collections::BTreeSet<&str> = all().iter().map(|(t, _)| t.name()).collect();
    // One a variant of `AnyTransform`; a new one has to be added above.
    let error = serde_json::from_str::<AnyTransform>(r#"{"none": {}}"#)
        .unwrap_err()
        .to_string();
    let known = error
        .split('`')
        .skip(3)
        .step_by(2)
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names, known);
}

#[test]
fn integers_are_what_rounding_the_exact_result_gives() {
    let (stack, mask) = (stack(), mask());
    let unit = stack.mapv(Pixel::to_unit);
    for (transform, rgb) in all() {
        // Its bounds depend on whether results are rounded.
        if matches!(transform, AnyTransform::ToneBudget(_)) {
            continue;
        }
        let built = transform.clone().build().unwrap();
        let (mut same, mut pixels) = (0, 0);
        for item in 0..10 {
            let draw = built.draw(key(item));
            let stored = built.apply(image(&stack, &mask, rgb), &draw).unwrap();
            let exact = built.apply(image(&unit, &mask, rgb), &draw).unwrap();
            assert_eq!(stored.mask(), exact.mask());
            for (stored, exact) in stored.samples().iter().zip(exact.samples()) {
                let rounded = u16::from_unit(*exact);
                assert!(
                    stored.abs_diff(rounded) <= 1,
                    "{} {stored} {exact}",
                    transform.name()
                );
                same += usize::from(*stored == rounded);
                pixels += 1;
            }
        }
        // What differs lies so near to a half that `f32` cannot tell on which side, or, in CLAHE, at a half.
        assert!(
            same as f64 >= 0.97 * f64::from(pixels),
            "{} {same} {pixels}",
            transform.name()
        );
    }
}

#[test]
fn focal_planes_are_never_mixed() {
    let (stack, mask) = (stack(), mask());
    let alone = stack.slice(ndarray::s![1..2, .., ..]).to_owned();
    for (transform, rgb) in all() {
        let name = transform.name();
        let built = transform.clone().build().unwrap();
        let draw = built.draw(key(3));
        if rgb {
            let found = built.apply(image(&stack, &mask, false), &draw);
            assert!(found.is_err(), "{name} coloured a focal stack");
            continue;
        }
        // These look at all planes together, or choose among them; noise differs from plane to plane.
        if matches!(
            transform,
            AnyTransform::PlaneSampling(_)
                | AnyTransform::PlaneDropout(_)
                | AnyTransform::GaussianNoise(_)
                | AnyTransform::ReadNoise(_)
                | AnyTransform::ShotNoise(_)
                | AnyTransform::BackgroundJitter(_)
                | AnyTransform::ColorJitter(_)
                | AnyTransform::Contrast(_)
                | AnyTransform::Clahe(_)
                | AnyTransform::Equalize(_)
                | AnyTransform::ToneBudget(_)
        ) {
            continue;
        }
        let of_all = built.apply(image(&stack, &mask, false), &draw).unwrap();
        let of_one = built.apply(image(&alone, &mask, false), &draw).unwrap();
        assert_eq!(
            of_all.samples().index_axis(ndarray::Axis(0), 1),
            of_one.samples().index_axis(ndarray::Axis(0), 0),
            "{name}"
        );
    }
}

#[test]
fn the_trait_of_the_core_is_fulfilled() {
    let stack = stack();
    let image = Image::new(&stack).unwrap();
    conformance::augment(&GaussianBlur::new(0.3, 3.0).build().unwrap(), &image);
    conformance::augment(&ToneBudget::new(0.3).build().unwrap(), &image);
    for name in spheroid_augment::PolicyConfig::PRESETS {
        let policy = spheroid_augment::PolicyConfig::preset(name)
            .unwrap()
            .build()
            .unwrap();
        if policy.view_count(3) > 1 {
            conformance::augment(&policy, &image);
        }
    }
}

#[test]
fn a_draw_of_another_transform_is_refused() {
    let stack = stack();
    let flip: Built<AnyTransform> = AnyTransform::from(HorizontalFlip {}).build().unwrap();
    let blur: Built<AnyTransform> = AnyTransform::from(GaussianBlur::new(0.0, 1.0))
        .build()
        .unwrap();
    let draw = blur.draw(key(0));
    let error = flip.apply(Image::new(&stack).unwrap(), &draw).unwrap_err();
    assert!(error.to_string().contains("horizontal_flip"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let nan = f64::NAN;
    let wrong: Vec<AnyTransform> = vec![
        Affine {
            scale: Range::new(0.0, 1.0),
            ..Affine::default()
        }
        .into(),
        Affine {
            shift: 1.1,
            ..Affine::default()
        }
        .into(),
        Affine {
            rotation_degrees: Range::new(1.0, nan),
            ..Affine::default()
        }
        .into(),
        Affine {
            border: Border::Value(f32::NAN),
            ..Affine::default()
        }
        .into(),
        Affine {
            shear_degrees: Range::new(-90.0, 0.0),
            ..Affine::default()
        }
        .into(),
        Brightness { strength: -0.1 }.into(),
        Brightness { strength: nan }.into(),
        CenterCrop {
            rows: 0,
            columns: 1,
        }
        .into(),
        Clahe {
            tiles: [0, 1],
            ..Clahe::default()
        }
        .into(),
        Clahe {
            clip_limit: Range::only(0.0),
            ..Clahe::default()
        }
        .into(),
        ColorJitter {
            hue: 0.6,
            ..ColorJitter::default()
        }
        .into(),
        ColorJitter {
            saturation: nan,
            ..ColorJitter::default()
        }
        .into(),
        Contrast {
            strength: f64::INFINITY,
        }
        .into(),
        Cutout {
            fill: f32::INFINITY,
            ..Cutout::default()
        }
        .into(),
        Cutout {
            area: Range::new(0.0, 0.5),
            ..Cutout::default()
        }
        .into(),
        Defocus {
            radius: Range::new(0.0, 1e9),
        }
        .into(),
        EdgeShading {
            radius: Range::only(0.0),
            ..EdgeShading::default()
        }
        .into(),
        Elastic {
            sigma: Range::only(0.0),
            ..Elastic::default()
        }
        .into(),
        Elastic {
            strength: Range::new(2.0, 1.0),
            ..Elastic::default()
        }
        .into(),
        Gain { spread: 1.0 }.into(),
        Gamma {
            gamma: Range::only(0.0),
        }
        .into(),
        GaussianNoise {
            deviation: Range::new(-0.1, 0.1),
        }
        .into(),
        IlluminationGradient {
            strength: Range::only(1.1),
        }
        .into(),
        Median { radius: [2, 1] }.into(),
        Median { radius: [0, 16] }.into(),
        PlaneDropout {
            probability: 1.5,
            fill: 0.0,
        }
        .into(),
        PlaneSampling { planes: 0 }.into(),
        RandomResizedCrop {
            area: Range::new(0.5, 1.5),
            ..RandomResizedCrop::new(8, 8)
        }
        .into(),
        RandomResizedCrop {
            ratio: Range::only(0.0),
            ..RandomResizedCrop::new(8, 8)
        }
        .into(),
        RandomResizedCrop::new(0, 8).into(),
        RandomResizedCrop::new(8, 1 << 20).into(),
        ReadNoise {
            electrons: Range::only(2.0),
            full_well: 1.0,
        }
        .into(),
        PlaneSampling { planes: usize::MAX }.into(),
        ReadNoise {
            electrons: Range::only(1.0),
            full_well: 0.0,
        }
        .into(),
        Saturation { strength: nan }.into(),
        ShotNoise {
            full_well: Range::only(0.0),
        }
        .into(),
        Solarize {
            threshold: Range::only(nan),
        }
        .into(),
        SpheroidCrop {
            rows: 8,
            columns: 8,
            side: Range::only(0.0),
            shift: 0.0,
            interpolation: Interpolation::Bilinear,
        }
        .into(),
        ToneBudget {
            contrast: nan,
            ..ToneBudget::new(0.3)
        }
        .into(),
        ToneBudget::new(1.1).into(),
        ToneCurve {
            knots: 2,
            ..ToneCurve::default()
        }
        .into(),
        ToneCurve {
            strength: 0.6,
            ..ToneCurve::default()
        }
        .into(),
        Unsharp {
            sigma: Range::only(0.0),
            amount: Range::only(1.0),
        }
        .into(),
    ];
    for transform in wrong {
        assert!(transform.clone().build().is_err(), "{transform:?}");
    }
}

#[test]
fn draws_and_views_do_not_depend_on_threads() {
    let (stack, mask) = (stack(), mask());
    for (transform, rgb) in all() {
        let built = transform.build().unwrap();
        let image = image(&stack, &mask, rgb);
        let view = |item: u64| built.apply(image.view(), &built.draw(key(item))).unwrap();
        let forwards: Vec<_> = (0..6).map(view).collect();
        let threads: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .rev()
                .map(|item| scope.spawn(move || view(item)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            forwards.iter().eq(threads.iter().rev()),
            "{}",
            built.settings().name()
        );
    }
}

/// `build` and `apply` must agree on what is allowed.
#[test]
fn settings_at_their_limits_draw_what_can_be_applied() {
    let (stack, mask) = (stack(), mask());
    let crop = |ratio| RandomResizedCrop {
        ratio: Range::only(ratio),
        ..RandomResizedCrop::new(8, 8)
    };
    let at_limits: Vec<AnyTransform> = vec![
        ShotNoise {
            full_well: Range::only(1e7),
        }
        .into(),
        ShotNoise {
            full_well: Range::only(10.0),
        }
        .into(),
        Gamma {
            gamma: Range::only(0.1),
        }
        .into(),
        Gamma {
            gamma: Range::only(5.0),
        }
        .into(),
        crop(0.01).into(),
        crop(100.0).into(),
        Brightness { strength: 1000.0 }.into(),
        Contrast { strength: 1000.0 }.into(),
        Gain { spread: 0.999 }.into(),
        Affine {
            scale: Range::only(0.01),
            shift: 1.0,
            shear_degrees: Range::only(80.0),
            rotation_degrees: Range::only(-360.0),
            ..Affine::default()
        }
        .into(),
    ];
    for transform in at_limits {
        let built = transform.build().unwrap();
        for item in 0..20 {
            let image = image(&stack, &mask, false).view().into_owned();
            let found = built.apply(image, &built.draw(key(item)));
            assert!(found.is_ok(), "{}: {found:?}", built.settings().name());
        }
    }
}

#[test]
fn draws_that_no_setting_could_give_are_refused() {
    let samples = Array3::<f32>::zeros((1, 8, 8));
    let json = |text: &str| serde_json::from_str::<AnyDraw>(text).unwrap();
    let crop = |area: &str| {
        format!(
            r#"{{"random_resized_crop": {{"area": {area}, "ratio": 1, "down": 0, "right": 0}}}}"#
        )
    };
    let affine = |scale: &str, shift: &str| {
        format!(
            r#"{{"affine": {{"rotation_degrees": 0, "scale": {scale}, "shear_degrees": [0, 0],
            "shift_rows": {shift}, "shift_columns": 0}}}}"#
        )
    };
    let unsharp = Unsharp {
        sigma: Range::only(1.0),
        amount: Range::only(1.0),
    };
    let hostile: Vec<(AnyTransform, String)> = vec![
        (
            Brightness { strength: 0.1 }.into(),
            r#"{"brightness": {"factor": 1e39}}"#.to_owned(),
        ),
        (
            Contrast { strength: 0.1 }.into(),
            r#"{"contrast": {"factor": -1}}"#.to_owned(),
        ),
        (
            Gain { spread: 0.1 }.into(),
            r#"{"gain": {"factor": 1e39}}"#.to_owned(),
        ),
        (
            unsharp.into(),
            r#"{"unsharp": {"sigma": 1, "amount": 1e39}}"#.to_owned(),
        ),
        (Affine::default().into(), affine("1e-310", "0")),
        (Affine::default().into(), affine("1", "1e308")),
        (
            ColorJitter::default().into(),
            r#"{"color_jitter": {"order": ["hue", "hue", "hue", "hue"], "brightness": 1, "contrast": 1,
            "saturation": 1, "hue": 0}}"#
                .to_owned(),
        ),
        (
            PlaneSampling { planes: 1 }.into(),
            r#"{"plane_sampling": {"depths": [0.1, 0.2]}}"#.to_owned(),
        ),
        (RandomResizedCrop::new(4, 4).into(), crop("0")),
        (RandomResizedCrop::new(4, 4).into(), crop("1.5")),
    ];
    for (transform, draw) in hostile {
        let found = transform.apply(Image::new(&samples).unwrap(), &json(&draw));
        assert!(matches!(found, Err(AugmentError::Param(_))), "{draw}");
    }
    assert!(Brightness { strength: 1e300 }.build().is_err());
}

#[test]
fn a_black_border_is_declared() {
    let samples = stack().mapv(Pixel::to_unit);
    let affine = Affine {
        border: Border::Value(0.0),
        ..Affine::default()
    };
    let built = affine.build().unwrap();
    let audit = ToneAudit { draws: 20, seed: 1 };
    let report = audit
        .run(&built, &Image::new(&samples).unwrap(), || ())
        .unwrap();
    assert!(report.worst().at_ends > 0.0);
    assert_eq!(report.breach(&built), None);
    // A dark fill that 8 bits store as black.
    let cutout = Cutout {
        fill: 0.001,
        ..Cutout::default()
    };
    assert!(cutout.tone_contract(SampleType::U8).clips);
    assert!(!cutout.tone_contract(SampleType::U16).clips);
}
