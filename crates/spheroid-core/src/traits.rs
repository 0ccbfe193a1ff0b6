use ndarray::{Array1, Array2, ArrayView2, ArrayView3};

use crate::{Day, DrawKey, StackKey};

/// Settings that learn something from data.
///
/// `Data` may be labelled or not; what comes back is ready for use and holds no reference to it.
pub trait Fit<Data: ?Sized> {
    /// What was learned.
    type Fitted;
    /// Why it could not be.
    type Error;

    /// Learns from `data`.
    ///
    /// # Errors
    /// When `data` is too small, not finite or does not fit the settings.
    fn fit(&self, data: &Data) -> Result<Self::Fitted, Self::Error>;
}

/// A collection of focal stacks that are loaded one at a time.
///
/// Loading is repeatable and may happen from several threads, so callers need never hold more than
/// the stacks that they are working on.
pub trait StackSource: Sync {
    /// One focal stack.
    type Stack;
    /// Why a stack could not be loaded.
    type Error;

    /// Number of stacks.
    fn len(&self) -> usize;

    /// Whether there is no stack.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Plate, well and day of stack `index`.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    fn key(&self, index: usize) -> &StackKey;

    /// Loads stack `index`.
    ///
    /// # Errors
    /// When the stack cannot be read or is not what was expected.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    fn load(&self, index: usize) -> Result<Self::Stack, Self::Error>;
}

/// A random transform whose choice of parameters is apart from their use.
///
/// A draw can be logged, replayed and applied alike to several planes or to an image and its mask.
pub trait Augment<Image: ?Sized> {
    /// Everything random about one view.
    type Draw;
    /// What applying gives.
    type View;
    /// Why a draw could not be applied.
    type Error;

    /// Chooses the parameters that `key` fixes.
    fn draw(&self, key: DrawKey) -> Self::Draw;

    /// Applies `draw`; deterministic.
    ///
    /// # Errors
    /// When `image` is not what the transform works on, such as an empty one.
    fn apply(&self, image: &Image, draw: &Self::Draw) -> Result<Self::View, Self::Error>;
}

/// Turns items into rows of features.
pub trait Embed {
    /// What is embedded.
    type Item;
    /// Why it could not be.
    type Error;

    /// Number of features.
    fn dim(&self) -> usize;

    /// Features of `items`.
    ///
    /// # Shapes
    /// Output `[items.len(), dim()]`; row `i` depends on `items[i]` alone.
    ///
    /// # Errors
    /// When an item is not what the embedder works on.
    fn embed(&self, items: &[Self::Item]) -> Result<Array2<f32>, Self::Error>;
}

/// Predicts an embedding from the same well's earlier ones.
pub trait Forecast {
    /// Why it could not.
    type Error;

    /// Name in tables, such as `persistence`.
    fn name(&self) -> &str;

    /// Predicts the embeddings at `target`.
    ///
    /// # Shapes
    /// `past` `[well, day, feature]` with the second axis as in `days`; output `[well, feature]`.
    ///
    /// # Errors
    /// When the shapes do not fit each other or what was fitted, or `days` is empty.
    fn forecast(
        &self,
        days: &[Day],
        past: ArrayView3<'_, f32>,
        target: Day,
    ) -> Result<Array2<f32>, Self::Error>;
}

/// How far an actual embedding lies from its prediction: larger is farther.
///
/// Object safe, so that a table of metrics is a `Vec<Box<dyn Discrepancy<Error = E>>>`.
pub trait Discrepancy: Send + Sync {
    /// Why no score could be given.
    type Error;

    /// Name in tables and on the command line, such as `mahalanobis`.
    fn name(&self) -> &str;

    /// One score a row, finite and not negative.
    ///
    /// `reference` holds residuals (actual − predicted) of untreated wells that the predictor did
    /// not see; metrics that need no scale ignore it.
    ///
    /// # Shapes
    /// `reference` `[untreated, feature]`, `predicted` and `actual` `[row, feature]`.
    ///
    /// # Errors
    /// When the shapes differ, a value is not finite, or `reference` is too small for the metric.
    fn score(
        &self,
        reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, Self::Error>;
}

/// Which end of a metric's range is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A larger value is better.
    HigherIsBetter,
    /// A smaller value is better.
    LowerIsBetter,
}

/// How well an ordering agrees with the truth.
pub trait RankMetric: Send + Sync {
    /// Why the value is undefined.
    type Error;

    /// Name in tables, such as `kendall_tau_b`.
    fn name(&self) -> &str;

    /// Which end of the range is good.
    fn direction(&self) -> Direction;

    /// Agreement of `scores` with `truth`, both larger for a stronger effect; NaN when one of them is.
    ///
    /// # Errors
    /// When the lengths differ, or the metric is undefined for these values (one item, all tied): never
    /// NaN, never 0 in its place.
    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, Self::Error>;
}
