//! What classifiers read out of frozen features, beside raw pixels or morphology, untrained weights and a
//! network trained with the labels alone.
//!
//! `cargo run --release --example probe -- --data DIR --model model`
//! `cargo run --release --example probe -- --images DIR --model model --supervised-epochs 0`
//!
//! On a plate the classes are untreated, single dose and drug screened after the drug day, and a well is
//! either learned from or tested with. `--images` takes IDX files or a folder a class. Accuracies are
//! balanced: the mean over the classes. The last line holds that of the model by logistic regression on all
//! examples.

mod support;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use ndarray::Axis;
use spheroid::{
    augment::PolicyConfig,
    core::DrawKey,
    crops::Crops,
    embed::{Planes, embed},
    labelled::{LabelledImages, after_drug},
    pretrain::{ENCODER, METHOD, Model, PretrainConfig},
    ssl::{
        Device, FrozenEncoder,
        encoder::{EncoderConfig, Pooling},
        probe::{
            EvaluateConfig, Interval, Knn, LabelledFeatures, LogisticRegression, Probe, Probed,
            evaluate, split_by_group,
        },
        train::TrainConfig,
    },
    supervised::{SupervisedConfig, supervised},
    views::{Labels, ViewsConfig},
};

/// Probes the features of a model.
#[derive(Parser)]
struct Arguments {
    /// Folder of a plate: images.csv and plate_map.csv (or plate_map.toml).
    #[arg(long, required_unless_present = "images")]
    data: Option<PathBuf>,
    #[command(flatten)]
    plate: support::PlateArguments,
    /// Day on which the drugs were given, after the images of that day.
    #[arg(long, default_value = "7")]
    drug_day: spheroid::core::Day,
    /// Classes of a plate: group or treatment.
    #[arg(long, value_parser = support::named::<Labels>, default_value = "group")]
    labels: Labels,
    /// Folder of IDX files or of a folder of TIFF and PNG images a class, instead of a plate.
    #[arg(long, conflicts_with = "data")]
    images: Option<PathBuf>,
    /// Images a class of --images to learn from.
    #[arg(long, default_value_t = 500)]
    train_per_class: usize,
    /// Images a class of --images to test with.
    #[arg(long, default_value_t = 200)]
    test_per_class: usize,
    /// Folder that the example `pretrain` wrote; without one, only the baselines are probed.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Examples a class to learn from; all of them always come last.
    #[arg(long, value_delimiter = ',', default_value = "10,20,30")]
    per_class: Vec<usize>,
    /// Draws of examples and wells.
    #[arg(long, default_value_t = 20)]
    draws: usize,
    /// Epochs of the network that is trained with labels; 0 leaves it out.
    #[arg(long, default_value_t = 20)]
    supervised_epochs: usize,
    /// That network.
    #[arg(long, default_value = "resnet18")]
    supervised_encoder: String,
    /// How its training images are varied; without, as the policy `supervised` says on a plate, and as those
    /// of the model were on other images.
    #[arg(long)]
    supervised_policy: Option<String>,
    /// Fixes every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Backend: flex, ndarray, cpu, wgpu or cuda, as far as compiled in.
    #[arg(long, default_value = "flex")]
    device: String,
}

/// Features to probe, with those of the images to test with when these are given apart.
struct Features {
    name: &'static str,
    train: LabelledFeatures,
    test: Option<LabelledFeatures>,
}

fn main() -> ExitCode {
    support::run(|| probe(&Arguments::parse()))
}

fn probe(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let device = support::device(&arguments.device)?;
    let model = arguments.model.as_ref();
    let model = model
        .map(|folder| Model::load(folder, &device))
        .transpose()?;
    if let Some(model) = model
        .as_ref()
        .filter(|model| model.config.method.learns_from_labels())
    {
        eprintln!(
            "warning: {} was told the labels of all wells that it learned from, also of those to test with",
            model.config.method.name()
        );
    }
    let (features, classes, sides) = match (&arguments.images, &arguments.data) {
        (Some(folder), _) => of_images(arguments, folder, model.as_ref(), &device)?,
        (None, Some(folder)) => of_plate(arguments, folder, model.as_ref(), &device)?,
        (None, None) => return Err("give --data or --images".into()),
    };
    let mut last = None;
    for probe in [
        &LogisticRegression::default() as &dyn Probe,
        &Knn::default(),
    ] {
        println!(
            "\n{}, balanced accuracy over {} draws",
            probe.name(),
            arguments.draws
        );
        println!(
            "{:<22} {:>9}  {:>6}  95 % of draws",
            "features", "per class", "mean"
        );
        for Features { name, train, test } in &features {
            let counts = arguments.per_class.iter().copied().map(Some);
            for per_class in counts.chain([None]) {
                // All examples of given images are the same in every draw.
                let once = per_class.is_none() && test.is_some();
                let config = EvaluateConfig {
                    per_class,
                    draws: if once { 1 } else { arguments.draws },
                    seed: arguments.seed,
                };
                let probed = evaluate(train, test.as_ref(), probe, &config)?;
                print_row(name, per_class, &probed);
                if per_class.is_none() && probe.name() == LogisticRegression::default().name() {
                    last = Some((*name, probed));
                }
            }
        }
    }
    if let Some([train, test]) = sides {
        with_labels(arguments, model.as_ref(), &train, &test, &device)?;
    }
    let (name, probed) = last.ok_or("there are no features")?;
    println!(
        "\n{name}, logistic regression on all examples: rows are classes, columns what they were taken for"
    );
    for (class, row) in classes.iter().zip(probed.confusion.counts.rows()) {
        let cells: Vec<String> = row.iter().map(|count| format!("{count:>6}")).collect();
        println!("{class:<22} {}", cells.join(" "));
    }
    let mean = Interval::of(&probed.balanced).map_or(f64::NAN, |interval| interval.mean);
    println!("balanced accuracy of {name}: {mean:.4}");
    Ok(())
}

fn print_row(name: &str, per_class: Option<usize>, probed: &Probed) {
    let per_class = per_class.map_or("all".to_owned(), |count| count.to_string());
    if let Some(Interval { mean, low, high }) = Interval::of(&probed.balanced) {
        println!("{name:<22} {per_class:>9}  {mean:>6.4}  {low:.4} – {high:.4}");
    }
}

/// Features, names of the classes, and images for the baseline unless it is left out.
type Probable = (Vec<Features>, Vec<String>, Option<[LabelledImages; 2]>);

/// The untrained encoder of a model, or of the main job.
fn untrained(
    arguments: &Arguments,
    model: Option<&Model>,
    device: &Device,
) -> Result<FrozenEncoder, Box<dyn Error>> {
    let config = match model {
        Some(model) => model.config.clone(),
        None => PretrainConfig::by_name(ENCODER, METHOD, 0, arguments.seed)?,
    };
    let encoder = config.encoder.build(config.train.seed, device)?;
    let normalize = config.policy.normalize;
    Ok(FrozenEncoder::new(&encoder, Pooling::ALL, device).with_normalize(normalize))
}

fn of_images(
    arguments: &Arguments,
    folder: &Path,
    model: Option<&Model>,
    device: &Device,
) -> Result<Probable, Box<dyn Error>> {
    let bars = support::Bars::default();
    let (train, test) = LabelledImages::open(folder)?;
    let test = test.ok_or("there are no images to test with: put them into `train` and `test`")?;
    let train = train.first_of_class(arguments.train_per_class)?;
    let test = test.first_of_class(arguments.test_per_class)?;
    // Every image is a group of its own.
    let labelled = |images: &LabelledImages, features| {
        let labels = images.labels().to_vec();
        LabelledFeatures::new(features, labels, (0..images.len()).collect())
    };
    let mut features = vec![Features {
        name: "raw pixels",
        train: labelled(&train, train.pixels())?,
        test: Some(labelled(&test, test.pixels())?),
    }];
    let untrained = Some(("untrained encoder", untrained(arguments, model, device)?));
    let learned = model.map(|model| ("model", model.freeze(device)));
    for (name, encoder) in untrained.into_iter().chain(learned) {
        features.push(Features {
            name,
            train: labelled(&train, train.embed(&encoder, &bars)?)?,
            test: Some(labelled(&test, test.embed(&encoder, &bars)?)?),
        });
    }
    let classes = train.classes().to_vec();
    let sides = (arguments.supervised_epochs > 0).then_some([train, test]);
    Ok((features, classes, sides))
}

fn of_plate(
    arguments: &Arguments,
    folder: &Path,
    model: Option<&Model>,
    device: &Device,
) -> Result<Probable, Box<dyn Error>> {
    let bars = support::Bars::default();
    let plate = arguments.plate.open(folder)?;
    let config = match model {
        Some(model) => model.config.prepare,
        None => PretrainConfig::by_name(ENCODER, METHOD, 0, arguments.seed)?.prepare,
    };
    let beside = arguments.model.as_deref().unwrap_or(folder).join("crops");
    let crops = Crops::prepare(&plate, &beside, &config, &bars)?;
    let views = ViewsConfig {
        labels: arguments.labels,
        drug_day: arguments.drug_day,
        ..ViewsConfig::default()
    };
    let rows = after_drug(&crops, plate.map(), views)?;
    let labelled =
        |name, values: ndarray::ArrayView2<'_, f32>| -> Result<Features, Box<dyn Error>> {
            let values = values.select(Axis(0), &rows.items);
            Ok(Features {
                name,
                train: LabelledFeatures::new(values, rows.labels.clone(), rows.wells.clone())?,
                test: None,
            })
        };
    let mut features = vec![labelled("morphology", crops.morphology()?.values().view())?];
    let untrained = untrained(arguments, model, device)?;
    features.push(labelled(
        "untrained encoder",
        embed(&crops, &untrained, Planes::Mean, &bars)?
            .values()
            .view(),
    )?);
    if let Some(model) = model {
        let learned = embed(&crops, &model.freeze(device), Planes::Mean, &bars)?;
        features.push(labelled("model", learned.values().view())?);
    }
    if arguments.supervised_epochs == 0 {
        return Ok((features, rows.classes, None));
    }
    let (images, wells) = LabelledImages::of_plate(&crops, plate.map(), views)?;
    let key = DrawKey {
        seed: arguments.seed,
        epoch: 0,
        item: 0,
        view: 0,
    };
    let [train, test] = split_by_group(images.labels(), &wells, key)?;
    let sides = [images.select(&train)?, images.select(&test)?];
    Ok((features, rows.classes, Some(sides)))
}

/// Trains the baseline and prints how it does while it learns.
fn with_labels(
    arguments: &Arguments,
    model: Option<&Model>,
    train: &LabelledImages,
    test: &LabelledImages,
    device: &Device,
) -> Result<(), Box<dyn Error>> {
    let policy = match (&arguments.supervised_policy, model) {
        (Some(name), _) => PolicyConfig::by_name_or_path(name)?,
        (None, Some(model)) if arguments.images.is_some() => model.config.policy.clone(),
        _ => PolicyConfig::preset("supervised")?,
    };
    let mut training = TrainConfig::new(arguments.supervised_epochs, arguments.seed);
    training.batch = 32.min(train.len());
    training.learning_rate = 1e-3;
    let config = SupervisedConfig {
        encoder: EncoderConfig::by_name(&arguments.supervised_encoder, train.images()[0].dim().0)?,
        policy,
        train: training,
        validate_every: 2,
    };
    println!(
        "\n{} from random weights with all labels: {} images to learn from, {} to test with",
        arguments.supervised_encoder,
        train.len(),
        test.len()
    );
    println!("epoch    loss  accuracy  balanced");
    for validation in supervised(train, test, &config, device, &support::Bars::default())? {
        let confusion = &validation.confusion;
        println!(
            "{:>5}  {:>6.3}    {:>6.4}    {:>6.4}",
            validation.epoch,
            validation.loss,
            confusion.accuracy().unwrap_or(f64::NAN),
            confusion.balanced_accuracy().unwrap_or(f64::NAN)
        );
    }
    Ok(())
}
