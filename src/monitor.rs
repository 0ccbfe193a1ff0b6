use spheroid_ssl::train::Progress;

/// How a step of training went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learning {
    /// Loss of the step.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// Hears how far a long stage is.
///
/// The library prints nothing; a program that wants a progress bar implements this. `()` hears and
/// says nothing.
pub trait Monitor: Sync {
    /// A stage of `steps` steps begins.
    fn start(&self, stage: &str, steps: usize);

    /// One step is done, from any thread; while training with how it went.
    fn step(&self, learning: Option<Learning>);

    /// The stage is done.
    fn finish(&self);
}

impl Monitor for () {
    fn start(&self, _: &str, _: usize) {}

    fn step(&self, _: Option<Learning>) {}

    fn finish(&self) {}
}

/// Tells `monitor` what a training says of itself.
pub(crate) fn tell<M>(monitor: &dyn Monitor, stage: &str, progress: &Progress<'_, M>) {
    match *progress {
        Progress::Started { done, steps } => monitor.start(stage, steps - done),
        Progress::Step {
            loss,
            learning_rate,
        } => monitor.step(Some(Learning {
            loss,
            learning_rate,
        })),
        Progress::Epoch { .. } => {}
    }
}
