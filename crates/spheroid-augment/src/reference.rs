//! Fixtures that other libraries made.

use ndarray::Array3;
use serde::{Deserialize, de::DeserializeOwned};
use spheroid_testkit::{Tolerance, assert_close, json_fixture};

use crate::{Image, Transform};

/// An image, what was done to it, and what came out.
pub(crate) struct Case<P> {
    pub(crate) params: P,
    pub(crate) image: Array3<f32>,
    pub(crate) out: Array3<f32>,
}

#[derive(Deserialize)]
struct Stored {
    name: String,
    params: serde_json::Value,
    image: Samples,
    out: Samples,
}

#[derive(Deserialize)]
struct Samples {
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Samples {
    fn array(self) -> Array3<f32> {
        Array3::from_shape_vec(self.shape, self.values).unwrap()
    }
}

/// All cases of `name` in a fixture; at least one.
pub(crate) fn cases<P: DeserializeOwned>(file: &str, name: &str) -> Vec<Case<P>> {
    let stored: Vec<Stored> = json_fixture(env!("CARGO_MANIFEST_DIR"), file);
    let cases: Vec<Case<P>> = stored
        .into_iter()
        .filter(|case| case.name == name)
        .map(|case| Case {
            params: serde_json::from_value(case.params).unwrap(),
            image: case.image.array(),
            out: case.out.array(),
        })
        .collect();
    assert!(!cases.is_empty(), "{file} has no case `{name}`");
    cases
}

impl<P> Case<P> {
    /// The image, as RGB where it has three planes.
    pub(crate) fn image(&self) -> Image<'_, f32> {
        let image = Image::new(&self.image).unwrap();
        if self.image.dim().0 == 3 {
            image.as_rgb().unwrap()
        } else {
            image
        }
    }

    /// Compares what came out with what `transform` makes of the image.
    pub(crate) fn check<X: Transform>(&self, transform: &X, draw: &X::Draw) {
        let found = transform.apply(self.image(), draw).unwrap().into_samples();
        self.check_samples(&found);
    }

    pub(crate) fn check_samples(&self, found: &Array3<f32>) {
        assert_eq!(found.dim(), self.out.dim());
        assert_close(
            found.as_slice().unwrap(),
            self.out.as_slice().unwrap(),
            Tolerance::F32,
        );
    }
}
