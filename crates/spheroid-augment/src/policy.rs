use std::{cell::OnceCell, path::Path};

use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey, ParamError, at_least, atomic, fraction, positive, within};
use spheroid_imaging::sharpest_of;

use crate::{AnyDraw, AnyTransform, AugmentError, Image, Pixel, Transform};

/// How views are made of a focal stack, as data: which planes, and which transforms in which order.
///
/// Steps run in the order in which they stand. The stored samples are read at full depth; from the first
/// step that calculates on, values are floating point on the unit scale and never rounded.
/// [`Normalize`] comes last, since every transform of tones is defined on the range from 0 to 1.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_augment::{Image, PolicyConfig};
///
/// let config = PolicyConfig::preset("simclr")?;
/// let json = serde_json::to_string(&config)?;
/// assert_eq!(serde_json::from_str::<PolicyConfig>(&json)?, config);
///
/// let stack = Array3::from_shape_fn((3, 200, 300), |(p, r, c)| (p + 7 * r + c) as u16);
/// let views = config.build()?.views(&Image::new(&stack)?, 1, 0, 0)?.views;
/// assert_eq!(views.len(), 2);
/// assert_eq!(views[0].dim(), (1, 96, 96));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A picture that stands apart from the views, for methods that compare views with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<ViewGroup>,
    /// The views, group after group.
    pub views: Vec<ViewGroup>,
    /// What happens to every view, and to the anchor, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
}

/// Views that are made alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewGroup {
    /// What of the stack is seen.
    #[serde(default)]
    pub planes: PlaneChoice,
    /// Number of views, 1 to 1,000; of `others`, number of views of each plane.
    #[serde(default = "one_view")]
    pub count: usize,
    /// What happens, from first to last.
    pub steps: Vec<Step>,
}

impl ViewGroup {
    /// Accepts what can be applied; `name` is how an error calls the group.
    fn check(&self, name: &str) -> Result<(), AugmentError> {
        within("count", self.count, 1, 1000, "from 1 to 1000")?;
        for (index, step) in self.steps.iter().enumerate() {
            let check = fraction("probability", step.probability);
            let check = check.and_then(|_| step.transform.check());
            check.map_err(|source| AugmentError::Step {
                group: name.to_owned(),
                step: index + 1,
                transform: step.transform.name(),
                source,
            })?;
        }
        Ok(())
    }
}

fn one_view() -> usize {
    1
}

/// What of a focal stack a view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaneChoice {
    /// All planes, which go through every step with one draw.
    #[default]
    All,
    /// Three planes, declared red, green and blue, so that transforms of colours work on them.
    Rgb,
    /// The plane with the largest mean gradient.
    Sharpest,
    /// Every plane but the sharpest, each as a view of its own.
    Others,
}

/// A transform that is applied with a probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What is applied.
    pub transform: AnyTransform,
    /// How often, 0 to 1.
    #[serde(default = "always", skip_serializing_if = "is_always")]
    pub probability: f64,
}

fn always() -> f64 {
    1.0
}

fn is_always(probability: &f64) -> bool {
    *probability == 1.0
}

impl Step {
    /// Applies `transform` always.
    pub fn always(transform: impl Into<AnyTransform>) -> Self {
        Self::sometimes(1.0, transform)
    }

    /// Applies `transform` with a probability.
    pub fn sometimes(probability: f64, transform: impl Into<AnyTransform>) -> Self {
        Self {
            transform: transform.into(),
            probability,
        }
    }
}

/// Subtracts a mean and divides by a deviation, plane by plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// On the unit scale: one number for all planes, or one a plane.
    pub mean: Vec<f32>,
    /// On the unit scale, above 0: one number for all planes, or one a plane.
    pub deviation: Vec<f32>,
}

impl Normalize {
    fn check(&self) -> Result<(), ParamError> {
        at_least("mean", self.mean.len(), 1, "one number or one a plane")?;
        at_least(
            "deviation",
            self.deviation.len(),
            1,
            "one number or one a plane",
        )?;
        if let Some(mean) = self.mean.iter().find(|mean| !mean.is_finite()) {
            return Err(ParamError::new("mean", mean, "finite"));
        }
        for &deviation in &self.deviation {
            positive("deviation", deviation.into())?;
        }
        Ok(())
    }

    /// Normalises every plane, on the unit scale.
    ///
    /// # Errors
    /// When there is neither one number nor one a plane.
    pub fn apply<'a>(&self, image: Image<'a, f32>) -> Result<Image<'a, f32>, AugmentError> {
        let planes = image.dim().0;
        for (what, numbers) in [("mean", &self.mean), ("deviation", &self.deviation)] {
            if numbers.len() != 1 && numbers.len() != planes {
                let rule = "one number or one a plane";
                return Err(
                    ParamError::new(what, format!("{} numbers", numbers.len()), rule).into(),
                );
            }
        }
        let of = |numbers: &[f32], plane: usize| numbers[plane.min(numbers.len() - 1)];
        Ok(image.change_unit(|samples| {
            for (index, mut plane) in samples.outer_iter_mut().enumerate() {
                let (mean, deviation) = (of(&self.mean, index), of(&self.deviation, index));
                plane.mapv_inplace(|value| (value - mean) / deviation);
            }
        }))
    }
}

macro_rules! presets {
    ($($name:literal),*) => {
        /// Names of the presets.
        pub const PRESETS: &'static [&'static str] = &[$($name),*];

        /// The JSON of a preset.
        fn preset_json(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../presets/", $name, ".json"))),)*
                _ => None,
            }
        }
    };
}

impl PolicyConfig {
    presets!(
        "spheroid",
        "rgb_planes",
        "rgb_planes_4_views",
        "other_planes",
        "anchor_and_planes",
        "simclr",
        "byol",
        "dino",
        "supervised",
        "small_grey"
    );

    /// A named policy.
    ///
    /// | name | views |
    /// |---|---|
    /// | `spheroid` | the project's default: 2 of one plane each; position, orientation, focus, lamp and camera vary, what a drug changes stays |
    /// | `rgb_planes` | the thesis's first variation: three planes as RGB, 2 views by the SimCLR recipe |
    /// | `rgb_planes_4_views` | its third: 4 such views |
    /// | `other_planes` | its second: the sharpest plane is the anchor, every other plane a view |
    /// | `anchor_and_planes` | its fourth: the sharpest plane is a view as well |
    /// | `simclr` | SimCLR, arXiv:2002.05709, on grey: 2 views |
    /// | `byol` | BYOL, arXiv:2006.07733, on grey: 2 views made differently |
    /// | `dino` | DINO, arXiv:2104.14294, on grey: 2 global and 6 local crops |
    /// | `supervised` | 1 view, cropped to 80 to 100 % |
    /// | `small_grey` | 2 of 28 px for small images on a dark ground, such as MNIST and its kin |
    ///
    /// On grey means that a view shows one plane, drawn at random, and that saturation, hue and grayscale are
    /// left out, which grey images do not have. Sizes are for small encoders: 96 px, and 48 for local
    /// crops, where the papers have 224 and 96.
    ///
    /// # Errors
    /// When there is no such policy; the message lists the names.
    pub fn preset(name: &str) -> Result<Self, AugmentError> {
        let json = Self::preset_json(name).ok_or_else(|| AugmentError::UnknownPolicy {
            name: name.to_owned(),
            names: Self::PRESETS.join(", "),
        })?;
        Ok(serde_json::from_str(json).expect("a test reads every preset"))
    }

    /// A preset by its name, or a policy from the JSON file at that path.
    ///
    /// # Errors
    /// When there is neither, or the file holds no policy.
    pub fn by_name_or_path(name_or_path: &str) -> Result<Self, AugmentError> {
        if Self::preset_json(name_or_path).is_none() && name_or_path.ends_with(".json") {
            return Self::read(Path::new(name_or_path));
        }
        Self::preset(name_or_path)
    }

    /// Reads a JSON file.
    ///
    /// # Errors
    /// When it cannot be read or holds no policy.
    pub fn read(path: &Path) -> Result<Self, AugmentError> {
        let text = std::fs::read_to_string(path).map_err(|source| AugmentError::Io {
            path: path.to_owned(),
            action: "read",
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| AugmentError::Json {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes a JSON file.
    ///
    /// # Errors
    /// When it cannot be written; what was at `path` before is left.
    pub fn write(&self, path: &Path) -> Result<(), AugmentError> {
        let json = serde_json::to_string_pretty(self).map_err(|source| AugmentError::Json {
            path: path.to_owned(),
            source,
        })?;
        Ok(atomic::write_bytes(path, format!("{json}\n").as_bytes())?)
    }

    /// Checks the settings of every step.
    ///
    /// # Errors
    /// When there is no view, a number is outside what is allowed, or `others` is not the last group.
    pub fn build(self) -> Result<Policy, AugmentError> {
        at_least("views", self.views.len(), 1, "one group or more")?;
        for (index, group) in self.views.iter().enumerate() {
            group.check(&format!("view group {}", index + 1))?;
        }
        if let Some(anchor) = &self.anchor {
            anchor.check("the anchor")?;
            if anchor.count != 1 {
                return Err(ParamError::new("anchor.count", anchor.count, "1").into());
            }
        }
        let others = |group: &ViewGroup| group.planes == PlaneChoice::Others;
        let all_but_last = &self.views[..self.views.len() - 1];
        if all_but_last.iter().chain(&self.anchor).any(others) {
            let rule = "the planes of the last group of views alone";
            return Err(ParamError::new("planes", "others", rule).into());
        }
        if let Some(normalize) = &self.normalize {
            normalize.check()?;
        }
        Ok(Policy { config: self })
    }
}

/// A checked [`PolicyConfig`]: makes views.
///
/// Each view has a draw of its own, which the key (seed, epoch, item, view) fixes.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    config: PolicyConfig,
}

/// Everything random about one view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewDraw {
    /// Number of the view, from 0, or [`Policy::ANCHOR`].
    pub view: u64,
    /// What every step drew; nothing where it was left out.
    pub steps: Vec<Option<AnyDraw>>,
}

/// What a policy makes of a focal stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    /// The picture that stands apart, where the policy has one.
    pub anchor: Option<Image<'static, f32>>,
    /// The views.
    pub views: Vec<Image<'static, f32>>,
}

impl Policy {
    /// The number of the view that is the anchor.
    pub const ANCHOR: u64 = u64::MAX;

    /// The settings.
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Number of views, without the anchor, of a stack of `planes` planes.
    pub fn view_count(&self, planes: usize) -> usize {
        let of_group = |group: &ViewGroup| match group.planes {
            PlaneChoice::Others => group.count * planes.saturating_sub(1),
            _ => group.count,
        };
        self.config.views.iter().map(of_group).sum()
    }

    /// Chooses the parameters of the view that `key` names.
    pub fn draw(&self, key: DrawKey) -> ViewDraw {
        let mut rng = key.rng();
        let steps = self
            .group(key.view)
            .map_or(&[][..], |(group, _)| &group.steps);
        let draw = |step: &Step| {
            use rand::RngExt;
            // The parameters are drawn all the same, so that later steps draw the same whether this one is
            // applied or not.
            let applied = rng.random_bool(step.probability);
            let draw = step.transform.draw(&mut rng);
            applied.then_some(draw)
        };
        ViewDraw {
            view: key.view,
            steps: steps.iter().map(draw).collect(),
        }
    }

    /// Makes the view of `draw`.
    ///
    /// # Errors
    /// When the image has not the planes that the view needs, a step cannot be applied, or the draw is of
    /// another policy.
    pub fn apply<T: Pixel>(
        &self,
        image: &Image<'_, T>,
        draw: &ViewDraw,
    ) -> Result<Image<'static, f32>, AugmentError> {
        self.view(image, draw, &OnceCell::new())
    }

    /// Makes all views of item `item` in epoch `epoch`.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn views<T: Pixel>(
        &self,
        image: &Image<'_, T>,
        seed: u64,
        epoch: u64,
        item: u64,
    ) -> Result<Views, AugmentError> {
        let sharpest = OnceCell::new();
        let make = |view| {
            let key = DrawKey {
                seed,
                epoch,
                item,
                view,
            };
            self.view(image, &self.draw(key), &sharpest)
        };
        let anchor = self
            .config
            .anchor
            .as_ref()
            .map(|_| make(Self::ANCHOR))
            .transpose()?;
        let count = self.view_count(image.dim().0) as u64;
        if count == 0 {
            return Err(AugmentError::Planes {
                what: "a view of every plane but the sharpest",
                planes: image.dim().0,
                rule: "2 or more",
            });
        }
        Ok(Views {
            anchor,
            views: (0..count).map(make).collect::<Result<_, _>>()?,
        })
    }

    fn view<T: Pixel>(
        &self,
        image: &Image<'_, T>,
        draw: &ViewDraw,
        sharpest: &OnceCell<usize>,
    ) -> Result<Image<'static, f32>, AugmentError> {
        let foreign = || AugmentError::ForeignDraw {
            transform: "policy",
            draw: format!("view {} of {} steps", draw.view, draw.steps.len()),
        };
        let (group, index) = self.group(draw.view).ok_or_else(foreign)?;
        if group.steps.len() != draw.steps.len() {
            return Err(foreign());
        }
        let mut view = Stage::Stored(seen(image, group, index, sharpest)?);
        for (step, draw) in group.steps.iter().zip(&draw.steps) {
            if let Some(draw) = draw {
                view = view.apply(&step.transform, draw)?;
            }
        }
        let view = match view {
            Stage::Stored(image) => image.into_unit(),
            Stage::Unit(image) => image,
        };
        let view = match &self.config.normalize {
            Some(normalize) => normalize.apply(view)?,
            None => view,
        };
        Ok(view.into_owned())
    }

    /// The group of a view, and the view's number within it.
    fn group(&self, view: u64) -> Option<(&ViewGroup, usize)> {
        if view == Self::ANCHOR {
            return self.config.anchor.as_ref().map(|group| (group, 0));
        }
        let mut index = usize::try_from(view).ok()?;
        for group in &self.config.views {
            if group.planes == PlaneChoice::Others || index < group.count {
                return Some((group, index));
            }
            index -= group.count;
        }
        None
    }
}

impl<'a, T: Pixel> Augment<Image<'a, T>> for Policy {
    type Draw = ViewDraw;
    type View = Image<'static, f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> ViewDraw {
        self.draw(key)
    }

    fn apply(
        &self,
        image: &Image<'a, T>,
        draw: &ViewDraw,
    ) -> Result<Image<'static, f32>, AugmentError> {
        self.apply(image, draw)
    }
}

/// A view on its way: as it was stored until a step calculates.
enum Stage<'a, T> {
    Stored(Image<'a, T>),
    Unit(Image<'a, f32>),
}

impl<T: Pixel> Stage<'_, T> {
    fn apply(self, transform: &AnyTransform, draw: &AnyDraw) -> Result<Self, AugmentError> {
        Ok(match self {
            Self::Stored(image) if transform.only_moves_pixels() => {
                Self::Stored(transform.apply(image, draw)?)
            }
            Self::Stored(image) => Self::Unit(transform.apply_to_unit(image, draw)?),
            Self::Unit(image) => Self::Unit(transform.apply(image, draw)?),
        })
    }
}

/// What view number `index` of a group sees.
fn seen<'b, T: Pixel>(
    image: &'b Image<'_, T>,
    group: &ViewGroup,
    index: usize,
    sharpest: &OnceCell<usize>,
) -> Result<Image<'b, T>, AugmentError> {
    let planes = image.dim().0;
    let sharpest = || match sharpest.get() {
        Some(&plane) => Ok(plane),
        None => sharpest_of(image.samples())
            .map(|plane| *sharpest.get_or_init(|| plane))
            .map_err(AugmentError::Focus),
    };
    let plane = match group.planes {
        PlaneChoice::All => return Ok(image.view()),
        PlaneChoice::Rgb => return image.view().as_rgb(),
        PlaneChoice::Sharpest => sharpest()?,
        PlaneChoice::Others => {
            let other = index / group.count;
            if other + 1 >= planes {
                return Err(AugmentError::Planes {
                    what: "a view of every plane but the sharpest",
                    planes,
                    rule: "2 or more",
                });
            }
            other + usize::from(other >= sharpest()?)
        }
    };
    Ok(image.view().select_planes(&[plane]))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{CenterCrop, HorizontalFlip, reference::cases};

    #[derive(Deserialize)]
    struct Numbers {
        mean: Vec<f32>,
        std: Vec<f32>,
    }

    #[test]
    fn normalizing_agrees_with_torchvision() {
        for case in cases::<Numbers>("torchvision.json", "normalize") {
            let normalize = Normalize {
                mean: case.params.mean.clone(),
                deviation: case.params.std.clone(),
            };
            case.check_samples(&normalize.apply(case.image()).unwrap().into_samples());
        }
    }

    fn stack() -> Array3<u16> {
        // The second plane is the sharpest.
        Array3::from_shape_fn((3, 120, 100), |(p, r, c)| {
            let grain = [3, 40, 9][p] * ((r * 7 + c * 13) % 50);
            (20_000 + 5000 * p + grain) as u16
        })
    }

    fn group(planes: PlaneChoice, count: usize) -> ViewGroup {
        ViewGroup {
            planes,
            count,
            steps: Vec::new(),
        }
    }

    fn policy(views: Vec<ViewGroup>) -> Policy {
        let config = PolicyConfig {
            anchor: None,
            views,
            normalize: None,
        };
        config.build().unwrap()
    }

    /// Number of the plane that a view shows.
    fn plane(view: &Image<'_, f32>) -> usize {
        let first = u16::from_unit(view.samples()[[0, 0, 0]]);
        usize::from((first - 20_000) / 5000)
    }

    #[test]
    fn every_preset_is_read_and_makes_its_views() {
        let stack = stack();
        let image = Image::new(&stack).unwrap();
        for (name, views, sizes) in [
            ("spheroid", 2, vec![(1, 120, 100)]),
            ("rgb_planes", 2, vec![(3, 96, 96)]),
            ("rgb_planes_4_views", 4, vec![(3, 96, 96)]),
            ("other_planes", 2, vec![(1, 96, 96)]),
            ("anchor_and_planes", 3, vec![(1, 96, 96)]),
            ("simclr", 2, vec![(1, 96, 96)]),
            ("byol", 2, vec![(1, 96, 96)]),
            ("dino", 8, vec![(1, 96, 96), (1, 96, 96), (1, 48, 48)]),
            ("supervised", 1, vec![(1, 96, 96)]),
            ("small_grey", 2, vec![(1, 28, 28)]),
        ] {
            let config = PolicyConfig::preset(name).unwrap();
            let again: PolicyConfig =
                serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
            assert_eq!(again, config);
            let policy = config.build().unwrap();
            let found = policy.views(&image, 1, 0, 5).unwrap();
            assert_eq!(found.views.len(), views, "{name}");
            assert_eq!(policy.view_count(3), views);
            assert_eq!(found.anchor.is_some(), name == "other_planes");
            for (index, view) in found.views.iter().enumerate() {
                assert_eq!(view.dim(), sizes[index.min(sizes.len() - 1)], "{name}");
                assert!(view.samples().iter().all(|value| value.is_finite()));
            }
            assert!(views == 1 || found.views[0] != found.views[1], "{name}");
        }
        assert_eq!(PolicyConfig::PRESETS.len(), 10);
        let error = PolicyConfig::by_name_or_path("simclrr").unwrap_err();
        assert!(error.to_string().contains("anchor_and_planes"), "{error}");
    }

    #[test]
    fn views_show_the_planes_that_they_should() {
        let stack = stack();
        let image = Image::new(&stack).unwrap();
        let planes = |policy: &Policy| -> Vec<usize> {
            policy
                .views(&image, 0, 0, 0)
                .unwrap()
                .views
                .iter()
                .map(plane)
                .collect()
        };
        assert_eq!(planes(&policy(vec![group(PlaneChoice::Others, 1)])), [0, 2]);
        assert_eq!(
            planes(&policy(vec![group(PlaneChoice::Others, 2)])),
            [0, 0, 2, 2]
        );
        let both = vec![
            group(PlaneChoice::Sharpest, 1),
            group(PlaneChoice::Others, 1),
        ];
        assert_eq!(planes(&policy(both)), [1, 0, 2]);
        let rgb = policy(vec![group(PlaneChoice::Rgb, 1)])
            .views(&image, 0, 0, 0)
            .unwrap();
        assert!(rgb.views[0].is_rgb());
        let one = Image::new(stack.slice(ndarray::s![..1, .., ..])).unwrap();
        for planes in [PlaneChoice::Others, PlaneChoice::Rgb] {
            let found = policy(vec![group(planes, 1)]).views(&one, 0, 0, 0);
            assert!(matches!(found, Err(AugmentError::Planes { planes: 1, .. })));
        }
    }

    #[test]
    fn a_stored_draw_gives_the_same_view_and_a_foreign_one_none() {
        let stack = stack();
        let image = Image::new(&stack).unwrap();
        for name in PolicyConfig::PRESETS {
            let policy = PolicyConfig::preset(name).unwrap().build().unwrap();
            let key = DrawKey {
                seed: 1,
                epoch: 2,
                item: 3,
                view: 0,
            };
            let draw = policy.draw(key);
            let stored = serde_json::to_string(&draw).unwrap();
            let read: ViewDraw = serde_json::from_str(&stored).unwrap();
            assert_eq!(read, draw);
            let view = policy.apply(&image, &draw).unwrap();
            assert_eq!(policy.apply(&image, &read).unwrap(), view);
            assert_eq!(policy.views(&image, 1, 2, 3).unwrap().views[0], view);
            let foreign = ViewDraw {
                steps: vec![None; 99],
                ..draw.clone()
            };
            assert!(matches!(
                policy.apply(&image, &foreign),
                Err(AugmentError::ForeignDraw { .. })
            ));
            let beyond = ViewDraw { view: 1000, ..draw };
            let found = policy.apply(&image, &beyond);
            assert!(found.is_err());
        }
    }

    #[test]
    fn what_only_moves_pixels_reads_the_stored_samples() {
        let stack = stack();
        let mask = ndarray::Array2::from_shape_fn((120, 100), |(r, c)| r > 60 && c > 70);
        let image = Image::new(&stack).unwrap().with_mask(&mask).unwrap();
        let steps = vec![
            Step::always(HorizontalFlip {}),
            Step::always(CenterCrop {
                rows: 100,
                columns: 60,
            }),
        ];
        let group = ViewGroup {
            steps,
            ..group(PlaneChoice::All, 1)
        };
        let view = policy(vec![group])
            .views(&image, 0, 0, 0)
            .unwrap()
            .views
            .remove(0);
        assert_eq!(
            u16::from_unit(view.samples()[[2, 0, 0]]),
            stack[[2, 10, 79]]
        );
        let mask_of_view = view.mask().unwrap();
        assert!(
            mask_of_view
                .indexed_iter()
                .all(|((r, c), inside)| { *inside == mask[[r + 10, 79 - c]] })
        );
    }

    #[test]
    fn policies_that_make_no_sense_are_refused_by_step() {
        let blur = crate::GaussianBlur::new(2.0, 1.0);
        let config = PolicyConfig {
            anchor: None,
            views: vec![ViewGroup {
                steps: vec![Step::always(HorizontalFlip {}), Step::always(blur)],
                ..group(PlaneChoice::All, 1)
            }],
            normalize: None,
        };
        let error = config.build().unwrap_err();
        assert_eq!(
            error.to_string(),
            "step 2 of view group 1 (`gaussian_blur`)"
        );
        let build = |views, normalize| {
            PolicyConfig {
                anchor: None,
                views,
                normalize,
            }
            .build()
        };
        assert!(build(Vec::new(), None).is_err());
        assert!(build(vec![group(PlaneChoice::All, 0)], None).is_err());
        let early = vec![group(PlaneChoice::Others, 1), group(PlaneChoice::All, 1)];
        assert!(build(early, None).is_err());
        for (mean, deviation) in [(0.5, 0.0), (f32::NAN, 1.0)] {
            let normalize = Normalize {
                mean: vec![mean],
                deviation: vec![deviation],
            };
            assert!(build(vec![group(PlaneChoice::All, 1)], Some(normalize)).is_err());
        }
        let unknown = r#"{"views": [{"steps": [{"transform": {"blurr": {}}}]}]}"#;
        assert!(serde_json::from_str::<PolicyConfig>(unknown).is_err());
        let misspelt =
            r#"{"views": [{"steps": [{"transform": {"grayscale": {}}, "probabilty": 0.1}]}]}"#;
        assert!(serde_json::from_str::<PolicyConfig>(misspelt).is_err());
    }

    #[test]
    fn a_policy_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        let config = PolicyConfig::preset("dino").unwrap();
        config.write(&path).unwrap();
        assert_eq!(
            PolicyConfig::by_name_or_path(path.to_str().unwrap()).unwrap(),
            config
        );
        std::fs::write(&path, "{").unwrap();
        let found = PolicyConfig::read(&path);
        assert!(matches!(found, Err(AugmentError::Json { .. })));
    }
}
