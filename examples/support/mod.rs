//! What the examples share: progress bars, errors and the choice of the device.

#![allow(dead_code, unreachable_pub, reason = "every example uses a part of it")]

use std::{error::Error, io::Write, path::Path, process::ExitCode, sync::Mutex};

use indicatif::{ProgressBar, ProgressStyle};
use spheroid::{
    Monitor,
    core::{CoreError, StackSource, atomic},
    sim::PlateSimConfig,
    ssl,
};

/// Runs `main`; an error is printed with its causes and gives exit code 2.
pub fn run(main: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

/// The device of that name, after it was seen to work.
pub fn device(name: &str) -> Result<ssl::Device, ssl::SslError> {
    ssl::device(ssl::Backend::by_name(name)?)
}

/// A progress bar for each stage, on standard error.
#[derive(Default)]
pub struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

impl Monitor for Bars {
    fn start(&self, stage: &str, steps: usize) {
        let style = "{msg:24} [{bar:30}] {pos}/{len} {elapsed} (left {eta}) {prefix}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        let bar = ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "));
        bar.set_message(stage.to_owned());
        *self.bar.lock().expect("no thread panics with the bar") = Some(bar);
    }

    fn step(&self, loss: Option<f64>) {
        if let Some(bar) = &*self.bar.lock().expect("no thread panics with the bar") {
            bar.inc(1);
            if let Some(loss) = loss {
                bar.set_prefix(format!("loss {loss:.3}"));
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = self
            .bar
            .lock()
            .expect("no thread panics with the bar")
            .take()
        {
            bar.finish();
        }
    }
}

/// Writes a simulated plate, or leaves the one that the same settings wrote.
pub fn simulate(
    config: PlateSimConfig,
    folder: &Path,
    monitor: &Bars,
) -> Result<(), Box<dyn Error>> {
    let settings = serde_json::to_string_pretty(&config)?;
    let stamp = folder.join("simulation.json");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == settings) {
        return Ok(());
    }
    let plate = config.build()?;
    monitor.start("simulating the plate", plate.len());
    plate.write(folder, |_, _| monitor.step(None))?;
    // Last, so that a half-written plate is not taken for a whole one.
    atomic::write_file(&stamp, |file| {
        let path = stamp.clone();
        file.write_all(settings.as_bytes())
            .map_err(|source| CoreError::Io {
                path,
                action: "write",
                source,
            })
    })?;
    Ok(())
}
