/// Hears how far a long stage is.
///
/// The library prints nothing; a program that wants a progress bar implements this. `()` hears and
/// says nothing.
pub trait Monitor: Sync {
    /// A stage of `steps` steps begins.
    fn start(&self, stage: &str, steps: usize);

    /// One step is done, from any thread; `loss` while training.
    fn step(&self, loss: Option<f64>);

    /// The stage is done.
    fn finish(&self);
}

impl Monitor for () {
    fn start(&self, _: &str, _: usize) {}

    fn step(&self, _: Option<f64>) {}

    fn finish(&self) {}
}
