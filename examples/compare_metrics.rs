//! Which metric orders treatments best, on simulated plates whose truth is known.
//!
//! `cargo run --release --example compare_metrics -- --seeds 1-10`
//!
//! The untreated wells, which every order has at its end, take no part. Of every metric three figures are printed, each the median over the plates:
//!
//! * tau: Kendall's τ-b between the scores of treatments and the truth;
//! * stability: Kendall's τ-b between the scores and those without one well of every treatment, the mean of 50 choices
//!   of it;
//! * separation: SSMD of the single-dose wells and the untreated ones, on logarithms of scores.
//!
//! Metrics between sets of wells have no score of a well, hence no separation.

mod support;

use std::{collections::BTreeMap, error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rand::seq::IndexedRandom;
use spheroid::{
    core::{DrawKey, Group, PlateMap},
    embed::{Planes, embed},
    job::{kendall_tau, rank_features},
    pretrain::{ENCODER, EPOCHS, METHOD, PretrainConfig},
    rank::{
        RankError, Scale, Similarity, WellScore, energy_distance, mean_average_precision, median,
        plate_quality, rank_average, squared_mmd, standardize_features,
    },
    ranking::{Deviations, FeatureSet, RankConfig, morphology_baseline, rank},
};
use support::{Settings, simulated::SimulatedPlate};

/// Those that weigh features by how untreated wells scatter come first.
const DISCREPANCIES: [&str; 7] = [
    "mahalanobis",
    "standardized_l2",
    "nearest_neighbours",
    "one_class_svm",
    "l1",
    "l2",
    "cosine",
];
/// Choices of the wells that are left out.
const CHOICES: u64 = 50;

/// Compares the metrics on simulated plates.
#[derive(Parser)]
struct Arguments {
    /// Seeds of the plates, first and last.
    #[arg(long, default_value = "1-10")]
    seeds: String,
    /// What the plates are like.
    #[arg(long, value_enum, default_value = "plain")]
    settings: Settings,
    /// Where the plates are kept.
    #[arg(long, default_value = "out/compare_metrics")]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::run(|| compare(&Arguments::parse()))
}

fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let device = support::device("flex")?;
    let bars = support::Bars::default();
    let (first, last) = support::seeds(&arguments.seeds)?;
    let mut found: Vec<(String, Vec<Figures>)> = Vec::new();
    spheroid::Monitor::start(&bars, "plates", (last + 1 - first) as usize);
    for seed in first..=last {
        let plate = SimulatedPlate::new(seed, arguments.settings, &arguments.out)?;
        let config = PretrainConfig::by_name(ENCODER, METHOD, EPOCHS, seed)?;
        let crops = plate.crops(&config.prepare)?;
        let model = plate.train(&crops, config, &device)?;
        let learned = embed(&crops, &model.freeze(&device), Planes::Mean, &())?;
        for (index, (name, figures)) in of_plate(&plate, &learned)?.into_iter().enumerate() {
            if found.len() == index {
                found.push((name, Vec::new()));
            }
            found[index].1.push(figures);
        }
        spheroid::Monitor::step(&bars, None);
    }
    spheroid::Monitor::finish(&bars);
    println!("| metric | tau | stability | separation |\n|---|---|---|---|");
    for (name, figures) in found {
        let middle = |of: fn(&Figures) -> Option<f64>| -> Result<String, RankError> {
            let values: Vec<f64> = figures.iter().filter_map(of).collect();
            if values.is_empty() {
                return Ok("–".to_owned());
            }
            Ok(format!("{:.3}", median(&values)?))
        };
        println!(
            "| {name} | {} | {} | {} |",
            middle(|of| Some(of.tau))?,
            middle(|of| of.stability)?,
            middle(|of| of.separation)?
        );
    }
    Ok(())
}

struct Figures {
    tau: f64,
    stability: Option<f64>,
    separation: Option<f64>,
}

type Scores = BTreeMap<String, f64>;

fn of_plate(
    plate: &SimulatedPlate,
    learned: &spheroid::core::Embeddings,
) -> Result<Vec<(String, Figures)>, Box<dyn Error>> {
    let (map, morphology) = (plate.plate.map(), &plate.morphology);
    let mut found = Vec::new();
    let mut wells_of = Vec::new();
    for metric in DISCREPANCIES {
        let mut config = RankConfig::default();
        metric.clone_into(&mut config.metric);
        let wells = rank_features(learned, morphology, map, &config)?.wells;
        found.push((metric.to_owned(), of_wells(&wells, &plate.truth)?));
        wells_of.push(wells);
    }
    for (name, count) in [("the first four", 4), ("all seven", 7)] {
        let lists: Vec<Vec<f64>> = wells_of[..count]
            .iter()
            .map(|wells| wells.iter().map(|well| well.score).collect())
            .collect();
        let lists: Vec<&[f64]> = lists.iter().map(Vec::as_slice).collect();
        let mut averaged: Vec<WellScore> = wells_of[0].clone();
        for (well, mean_rank) in averaged.iter_mut().zip(rank_average(&lists)?) {
            well.score = mean_rank;
        }
        let name = format!("mean rank by {name}");
        found.push((name, of_wells(&averaged, &plate.truth)?));
    }
    for (name, set) in [("learned features", learned), ("morphology", morphology)] {
        let wells = rank(&[FeatureSet::new(name, set)], map, &RankConfig::default())?.wells;
        let name = format!("mahalanobis, {name} alone");
        found.push((name, of_wells(&wells, &plate.truth)?));
    }

    let sets = [
        (learned, 1.0),
        (morphology, spheroid::job::MORPHOLOGY_WEIGHT),
    ];
    let (residuals, treatments) = joined_residuals(&sets, map)?;
    let by_sets: [(&str, Between); 3] = [
        ("energy distance", |a, b| {
            Ok(energy_distance(a, b)?.statistic)
        }),
        ("squared MMD", |a, b| Ok(squared_mmd(a, b)?.statistic)),
        ("mean average precision", |a, b| {
            Ok(mean_average_precision(a, b, Similarity::Euclidean)?
                .test
                .statistic)
        }),
    ];
    for (name, between) in by_sets {
        let scores =
            |left_out: Option<u64>| between_sets(&residuals, &treatments, between, left_out);
        found.push((name.to_owned(), figures(scores, &plate.truth, None)?));
    }
    let mut baseline = morphology_baseline(morphology, map, &RankConfig::default())?;
    baseline.retain(|name, _| map.treatments()[name].group != Group::Untreated);
    let by_hand = Figures {
        tau: kendall_tau(&baseline, &plate.truth)?,
        stability: None,
        separation: None,
    };
    found.push(("area, circularity and darkness".to_owned(), by_hand));
    Ok(found)
}

/// The group of every treatment, and the rows of its wells.
type Treatments = BTreeMap<String, (Group, Vec<usize>)>;

/// A measure between the wells of a treatment and the untreated ones.
type Between = fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> Result<f64, RankError>;

fn of_wells(wells: &[WellScore], truth: &Scores) -> Result<Figures, Box<dyn Error>> {
    let mut of_treatments: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let treated = wells
        .iter()
        .filter(|well| well.treatment.group != Group::Untreated);
    for well in treated {
        let scores = of_treatments.entry(&well.treatment.name).or_default();
        scores.push(well.score.ln());
    }
    let scores = |left_out: Option<u64>| {
        let scores = of_treatments
            .iter()
            .enumerate()
            .map(|(place, (name, all))| {
                let kept: Vec<f64> = kept(all.len(), place, left_out)
                    .map(|well| all[well])
                    .collect();
                Ok(((*name).to_owned(), median(&kept)?))
            });
        scores.collect()
    };
    let separation = plate_quality(wells, Scale::Log)?[0].ssmd;
    figures(scores, truth, separation)
}

/// `scores` are those of treatments, of all wells or in one choice of those that are left out.
fn figures(
    scores: impl Fn(Option<u64>) -> Result<Scores, RankError>,
    truth: &Scores,
    separation: Option<f64>,
) -> Result<Figures, Box<dyn Error>> {
    let all = scores(None)?;
    let mut sum = 0.0;
    for choice in 0..CHOICES {
        sum += kendall_tau(&scores(Some(choice))?, &all)?;
    }
    Ok(Figures {
        tau: kendall_tau(&all, truth)?,
        stability: Some(sum / CHOICES as f64),
        separation,
    })
}

/// The wells of a treatment without the one that this choice leaves out.
fn kept(wells: usize, place: usize, left_out: Option<u64>) -> impl Iterator<Item = usize> {
    let out = left_out.and_then(|choice| {
        let key = DrawKey {
            seed: 0,
            epoch: choice,
            item: place as u64,
            view: 0,
        };
        let all: Vec<usize> = (0..wells).collect();
        all.choose(&mut key.rng()).copied()
    });
    (0..wells).filter(move |well| Some(*well) != out)
}

/// Standardised residuals of several sets of features, each weighing as it should, and the wells of every treatment.
fn joined_residuals(
    sets: &[(&spheroid::core::Embeddings, f64)],
    map: &PlateMap,
) -> Result<(Array2<f32>, Treatments), Box<dyn Error>> {
    let mut treatments = Treatments::new();
    let mut parts = Vec::new();
    for (set, weight) in sets {
        let deviations = Deviations::new(set, map, RankConfig::default().drug_day)?;
        let residuals = deviations.residuals();
        // A unit that never fires says nothing and has no scale.
        let varies: Vec<usize> = (0..residuals.ncols())
            .filter(|&feature| {
                let of_untreated = residuals
                    .column(feature)
                    .select(Axis(0), &deviations.untreated);
                let mut values = of_untreated.to_vec();
                values.sort_unstable_by(f32::total_cmp);
                values.dedup();
                values.len() > deviations.untreated.len() / 2
            })
            .collect();
        let residuals = residuals.select(Axis(1), &varies);
        let standard =
            standardize_features(residuals.view(), &deviations.wells, &deviations.untreated)?;
        parts.push(standard * (weight / varies.len() as f64).sqrt() as f32);
        if treatments.is_empty() {
            for (row, well) in deviations.wells.iter().enumerate() {
                if let Some(of) = map.treatment_of(well) {
                    let known = treatments.entry(of.name.clone());
                    known.or_insert((of.group, Vec::new())).1.push(row);
                }
            }
        }
    }
    let parts: Vec<_> = parts.iter().map(|part| part.view()).collect();
    Ok((concatenate(Axis(1), &parts)?, treatments))
}

fn between_sets(
    residuals: &Array2<f32>,
    treatments: &Treatments,
    between: Between,
    left_out: Option<u64>,
) -> Result<Scores, RankError> {
    let rows = |place: usize, wells: &[usize]| {
        let kept: Vec<usize> = kept(wells.len(), place, left_out)
            .map(|well| wells[well])
            .collect();
        residuals.select(Axis(0), &kept)
    };
    let untreated = treatments
        .values()
        .enumerate()
        .find(|(_, (group, _))| *group == Group::Untreated);
    let (place, (_, wells)) = untreated.ok_or(RankError::NoWells)?;
    let untreated = rows(place, wells);
    treatments
        .iter()
        .enumerate()
        .filter(|(_, (_, (group, _)))| *group != Group::Untreated)
        .map(|(place, (name, (_, wells)))| {
            let score = between(rows(place, wells).view(), untreated.view())?;
            Ok((name.clone(), score))
        })
        .collect()
}
