//! What colour jitter does to the tones of an image, over many draws: with 8 and 16 bits, one plane and
//! three planes as colours, and within a budget of tones.
//!
//! `cargo run --release --example tone_audit -- [FILE…] --draws 3000`
//!
//! Without a file, a stack of 2054 × 2456 px with 12 bits in 16 is simulated (3000 draws take about six minutes
//! on two cores, most of it for the three planes as colours). Prints a table an image and
//! leaves JSON and an SVG picture in the folder that the last line names.

mod support;

use std::{collections::BTreeSet, error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use ndarray::{Array3, s};
use serde_json::{Value, json};
use spheroid::{
    Monitor,
    augment::{Built, ColorJitter, Image, Pixel, ToneAudit, ToneBudget, ToneReading, Transform},
    core::{StackSource, atomic},
    imaging::{
        FocalStack, Histogram, Limits, SampleType, Samples, effective_depth, read_stack,
        sharpest_plane,
    },
    report::{ToneAuditPanel, tone_audit_svg},
    sim::PlateSimConfig,
};

/// Measures what colour jitter does to tones.
#[derive(Parser)]
struct Arguments {
    /// Files of 8 or 16 bits, each a focal stack.
    files: Vec<PathBuf>,
    /// Draws of every augmentation.
    #[arg(long, default_value_t = 3000)]
    draws: usize,
    /// Fixes every draw, and the simulated stack.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Largest share of the distinct values that the budget allows to lose.
    #[arg(long, default_value_t = 0.3)]
    budget: f64,
    /// Folder for JSON and pictures.
    #[arg(long, default_value = "tone_audit")]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::run(|| {
        let arguments = Arguments::parse();
        if arguments.files.is_empty() {
            let config = PlateSimConfig {
                seed: arguments.seed,
                rows: 2054,
                columns: 2456,
                ..PlateSimConfig::default()
            };
            audit(&arguments, "simulated", &dimmed(&config.build()?.load(0)?)?)?;
        }
        // Before hours of work: equal names would share their results.
        let mut names = BTreeSet::new();
        for file in &arguments.files {
            if !names.insert(file.file_stem().ok_or("a file has no name")?) {
                let file = file.display();
                return Err(format!("{file}: another file has this name; audit it apart").into());
            }
        }
        for (file, name) in arguments
            .files
            .iter()
            .filter_map(|file| Some((file, file.file_stem()?)))
        {
            let stack = read_stack(std::slice::from_ref(file), &Limits::default())?;
            audit(&arguments, &name.to_string_lossy(), &stack)
                .map_err(|error| format!("{}: {error}", file.display()))?;
        }
        println!("JSON and pictures in {}", arguments.out.display());
        Ok(())
    })
}

/// The stack with less light, still of 12 bits in 16.
///
/// At the simulator's exposure the mean tone is above one half of full scale, and a low contrast followed by
/// double the brightness sends every pixel to full scale. The thesis's image cannot have been so bright.
fn dimmed(stack: &FocalStack) -> Result<FocalStack, Box<dyn Error>> {
    const LIGHT: f64 = 0.7;
    let Samples::U16(samples) = stack.samples() else {
        return Err("the simulator gives 16 bits".into());
    };
    let dim = samples.mapv(|sample| {
        let sensor = (f64::from(sample >> 4) * LIGHT).round() as u16;
        sensor << 4 | sensor >> 8
    });
    Ok(FocalStack::new(Samples::U16(dim))?)
}

/// The jitter of the thesis (section 6.1); a single plane has no saturation.
fn jitter(saturation: f64) -> ColorJitter {
    ColorJitter {
        brightness: 1.0,
        contrast: 1.0,
        saturation,
        hue: 0.0,
    }
}

fn audit(arguments: &Arguments, name: &str, stack: &FocalStack) -> Result<(), Box<dyn Error>> {
    let deep = match stack.samples() {
        Samples::U16(samples) => samples.clone(),
        Samples::U8(samples) => samples.mapv(|sample| u16::from(sample) * 257),
        _ => return Err("only images of 8 and 16 bits are audited".into()),
    };
    let shallow = deep.mapv(|sample| (sample >> 8) as u8);
    let is_deep = stack.sample_type() == SampleType::U16;
    let unit = deep.mapv(Pixel::to_unit);
    let sharpest = sharpest_plane(stack)?;
    let depth = effective_depth(stack);
    println!(
        "{name}: {} planes of {} × {} px, {} bits of {}",
        stack.planes(),
        stack.rows(),
        stack.columns(),
        depth.effective_bits,
        depth.container_bits,
    );
    println!(
        "{:34} {:>9} {:>9} {:>10} {:>10} {:>13} {:>15} {:>15}",
        "", "distinct", "least", "most", "median", "range", "at ends", "distance"
    );
    let mut audits = Audits {
        arguments,
        rows: Vec::new(),
        panels: Vec::new(),
    };
    let plain = jitter(0.0).build()?;
    let budget = ToneBudget::new(arguments.budget).build()?;
    if stack.planes() >= 3 {
        audits.run(
            "8 bits, three planes as RGB",
            &jitter(1.0).build()?,
            rgb(&shallow)?,
        )?;
    }
    audits.run("8 bits, one plane", &plain, one(&shallow, sharpest)?)?;
    if is_deep {
        audits.run("16 bits, one plane", &plain, one(&unit, sharpest)?)?;
        audits.run("16 bits, one plane, rounded", &plain, one(&deep, sharpest)?)?;
        if stack.planes() >= 3 {
            audits.run(
                "16 bits, three planes as RGB",
                &jitter(1.0).build()?,
                rgb(&unit)?,
            )?;
        }
        audits.run("16 bits, focal stack", &plain, Image::new(&unit)?)?;
    }
    audits.run("8 bits, within the budget", &budget, Image::new(&shallow)?)?;
    if is_deep {
        audits.run("16 bits, within the budget", &budget, Image::new(&deep)?)?;
        audits.run(
            "16 bits, float, within the budget",
            &budget,
            Image::new(&unit)?,
        )?;
        strength("16 bits", budget.settings(), &Image::new(&deep)?)?;
    }
    strength("8 bits", budget.settings(), &Image::new(&shallow)?)?;
    println!();
    let ToneAudit { draws, seed } = audits.settings();
    let tones = Histogram::of_stack(stack).distinct();
    let report = json!({
        "image": name, "depth": depth, "distinct": tones, "draws": draws, "seed": seed,
        "audits": audits.rows,
    });
    let path = |extension: &str| arguments.out.join(format!("{name}.{extension}"));
    atomic::write_bytes(&path("json"), &serde_json::to_vec_pretty(&report)?)?;
    atomic::write_bytes(&path("svg"), tone_audit_svg(&audits.panels).as_bytes())?;
    Ok(())
}

fn rgb<T: Pixel>(samples: &Array3<T>) -> Result<Image<'_, T>, Box<dyn Error>> {
    Ok(Image::new(samples.slice(s![..3, .., ..]))?.as_rgb()?)
}

fn one<T: Pixel>(samples: &Array3<T>, plane: usize) -> Result<Image<'_, T>, Box<dyn Error>> {
    Ok(Image::new(samples.slice(s![plane..=plane, .., ..]))?)
}

fn strength<T: Pixel>(
    title: &str,
    budget: &ToneBudget,
    image: &Image<'_, T>,
) -> Result<(), Box<dyn Error>> {
    let strength = budget.strength(image)?;
    println!(
        "within {:.0} % of the distinct values, {title} leave brightness {:.3} to {:.3} and contrast \
         {:.3} to {:.3}",
        100.0 * budget.share,
        strength.brightness.from,
        strength.brightness.to,
        strength.contrast.from,
        strength.contrast.to,
    );
    Ok(())
}

/// The audits of one image.
struct Audits<'a> {
    arguments: &'a Arguments,
    rows: Vec<Value>,
    panels: Vec<ToneAuditPanel>,
}

impl Audits<'_> {
    fn settings(&self) -> ToneAudit {
        ToneAudit {
            draws: self.arguments.draws,
            seed: self.arguments.seed,
        }
    }

    fn run<X: Transform, T: Pixel>(
        &mut self,
        title: &str,
        transform: &Built<X>,
        image: Image<'_, T>,
    ) -> Result<(), Box<dyn Error>> {
        let bars = support::Bars::default();
        bars.start(title, self.arguments.draws);
        let report = self.settings().run(transform, &image, || bars.step(None))?;
        bars.finish();
        if let Some(breach) = report.breach(transform) {
            return Err(format!("{title}: the contract is broken: {breach}").into());
        }
        let (before, least, most) = (report.before, report.worst(), report.most());
        // Without the sign of a zero.
        let percent = |reading: ToneReading| 0.0 - 100.0 * report.loss(reading);
        let worst = |value: fn(ToneReading) -> f64| {
            report
                .after
                .iter()
                .map(|reading| value(*reading))
                .fold(0.0, f64::max)
        };
        let pair = |value: fn(ToneReading) -> f64| {
            format!(
                "{:.2} / {:.2} %",
                100.0 * worst(value),
                100.0 * report.median(value)
            )
        };
        println!(
            "{title:34} {:>9} {:>+8.2}% {:>+9.1}% {:>+9.2}% {:>5.3} to {:.3} {:>15} {:>15}",
            before.distinct,
            percent(least),
            percent(most),
            report.median(percent),
            least.min,
            least.max,
            pair(|reading| reading.at_ends),
            pair(|reading| reading.distance),
        );
        self.rows.push(json!({
            "title": title,
            "transform": transform.settings(),
            "sample_type": report.sample_type,
            "before": before,
            "least": {"draw": report.worst, "parameters": report.worst_draw, "after": least},
            "most": {"draw": report.most, "after": most},
            "median": {
                "change": report.median(|reading| -report.loss(reading)),
                "at_ends": report.median(|reading| reading.at_ends),
                "distance": report.median(|reading| reading.distance),
            },
            "largest": {
                "at_ends": worst(|reading| reading.at_ends),
                "distance": worst(|reading| reading.distance),
            },
        }));
        // Where every draw invents tones, the worst is the one that invents most.
        let worst = if report.loss(least) < 0.0 {
            report.most
        } else {
            report.worst
        };
        let draw = transform.draw(self.settings().key(worst));
        let after = transform.apply(image.view(), &draw)?;
        self.panels.push(ToneAuditPanel {
            title: title.to_owned(),
            before: histogram(&image),
            after: histogram(&after),
            kept: report
                .after
                .iter()
                .map(|reading| 1.0 - report.loss(*reading))
                .collect(),
        });
        Ok(())
    }
}

/// Share of the pixels in 128 bins from black to full scale.
fn histogram<T: Pixel>(image: &Image<'_, T>) -> Vec<f64> {
    const BINS: usize = 128;
    let mut counts = vec![0_usize; BINS];
    for pixel in image.samples() {
        counts[((pixel.to_unit() * BINS as f32) as usize).min(BINS - 1)] += 1;
    }
    let pixels = image.samples().len() as f64;
    counts
        .into_iter()
        .map(|count| count as f64 / pixels)
        .collect()
}
