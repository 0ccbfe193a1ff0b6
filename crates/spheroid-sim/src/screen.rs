use std::collections::BTreeSet;

use rand::{Rng, RngExt, seq::SliceRandom};
use rand_distr::{Distribution, Exp1};
use spheroid_core::{Dose, Group, ParamError, Treatment, at_least, non_negative};

use crate::{Drug, EffectMix, Hill, Screen, TreatmentPlan, bliss, stream::Stream};

/// Name of the treatment that is none.
pub(crate) const UNTREATED: &str = "untreated";
/// Unit of the concentrations of a drawn screen.
const UNIT: &str = "uM";

/// A treatment with what follows from its drugs.
#[derive(Debug, Clone)]
pub(crate) struct Regimen {
    pub(crate) treatment: Treatment,
    /// Kill once the effect is complete, 0 to 1.
    pub(crate) kill: f64,
    pub(crate) mix: EffectMix,
    pub(crate) wells: usize,
}

impl Regimen {
    pub(crate) fn untreated(wells: usize) -> Self {
        let treatment = Treatment {
            name: UNTREATED.to_owned(),
            group: Group::Untreated,
            doses: Vec::new(),
        };
        Self {
            treatment,
            kill: 0.0,
            mix: EffectMix::NONE,
            wells,
        }
    }

    fn of(plan: &TreatmentPlan, drugs: &[Drug]) -> Self {
        let parts: Vec<(f64, EffectMix)> = plan
            .doses
            .iter()
            .filter_map(|dose| {
                let drug = drugs.iter().find(|drug| drug.name == dose.drug)?;
                Some((drug.hill.kill(dose.concentration), drug.mix))
            })
            .collect();
        let mut doses = plan.doses.clone();
        doses.sort_by(|a, b| a.drug.cmp(&b.drug));
        Self {
            treatment: Treatment {
                name: plan.name.clone(),
                group: plan.group,
                doses,
            },
            kill: bliss(parts.iter().map(|(kill, _)| *kill)),
            mix: EffectMix::combined(&parts),
            wells: plan.wells,
        }
    }
}

/// The treatments of a checked screen.
pub(crate) fn regimens(screen: &Screen, seed: u64) -> Vec<Regimen> {
    let drawn;
    let (drugs, plans) = match screen {
        Screen::Given { drugs, treatments } => (drugs, treatments),
        &Screen::Drawn {
            single_dose_wells,
            drug_screened_wells,
            replicates,
        } => {
            let rng = &mut Stream::Screen.of_plate(seed);
            drawn = draw(single_dose_wells, drug_screened_wells, replicates, rng);
            (&drawn.0, &drawn.1)
        }
    };
    plans.iter().map(|plan| Regimen::of(plan, drugs)).collect()
}

pub(crate) fn check(screen: &Screen) -> Result<(), ParamError> {
    match screen {
        Screen::Drawn { replicates, .. } => {
            at_least("replicates", *replicates, 1, "at least 1").map(drop)
        }
        Screen::Given { drugs, treatments } => {
            let mut names = BTreeSet::new();
            for drug in drugs {
                drug.hill.check()?;
                drug.mix.check()?;
                if !names.insert(drug.name.as_str()) || drug.name.trim().is_empty() {
                    let got = format!("`{}`", drug.name);
                    return Err(ParamError::new("drugs", got, "named, each name once"));
                }
            }
            let mut treatment_names = BTreeSet::from([UNTREATED]);
            treatments
                .iter()
                .try_for_each(|plan| check_plan(plan, &names, &mut treatment_names))
        }
    }
}

fn check_plan<'a>(
    plan: &'a TreatmentPlan,
    drugs: &BTreeSet<&str>,
    seen: &mut BTreeSet<&'a str>,
) -> Result<(), ParamError> {
    let wrong = |rule| {
        Err(ParamError::new(
            "treatments",
            format!("`{}`", plan.name),
            rule,
        ))
    };
    if !seen.insert(&plan.name) || plan.name.trim().is_empty() {
        return wrong("named, each name once and none of them `untreated`");
    }
    if plan.group == Group::Untreated {
        return wrong("single_dose or drug_screened; untreated wells have their own count");
    }
    at_least("wells", plan.wells, 1, "at least 1 for every treatment")?;
    let mut given = BTreeSet::new();
    for dose in &plan.doses {
        non_negative("concentration", dose.concentration)?;
        if !drugs.contains(dose.drug.as_str()) || !given.insert(&dose.drug) {
            return wrong("made of drugs of the list, each at most once");
        }
    }
    if given.is_empty() {
        wrong("made of at least one dose")
    } else {
        Ok(())
    }
}

/// Drugs of a drawn screen, besides the reference: each kind of effect leads in two of the first
/// eight, the others are even mixes of two kinds.
const DRUGS: usize = 10;
/// Range of the kills that the screened treatments cover.
const KILLS: (f64, f64) = (0.04, 0.9);
/// Every third screened treatment is a combination.
const COMBINATION_EVERY: usize = 3;

fn draw(
    single_dose_wells: usize,
    screened_wells: usize,
    replicates: usize,
    rng: &mut impl Rng,
) -> (Vec<Drug>, Vec<TreatmentPlan>) {
    let mut kinds = [0, 1, 2, 3];
    kinds.shuffle(rng);
    let mut drugs: Vec<Drug> = (0..DRUGS)
        .map(|i| {
            let second = (i >= 8).then(|| kinds[(i + 1 + i % 2) % 4]);
            draw_drug(format!("D{:02}", i + 1), kinds[i % 4], second, rng)
        })
        .collect();
    drugs.shuffle(rng);
    let reference = draw_drug("REF".to_owned(), kinds[rng.random_range(0..4)], None, rng);

    let mut plans = Vec::new();
    if single_dose_wells > 0 {
        let dose = dose_for(&reference, rng.random_range(0.4..0.7));
        plans.push(plan(vec![dose], Group::SingleDose, single_dose_wells));
    }
    let count = match screened_wells {
        0 => 0,
        wells => (wells / replicates).max(1),
    };
    let (low, high) = KILLS;
    let mut targets: Vec<f64> = (0..count)
        .map(|i| low + (high - low) * (i as f64 + rng.random::<f64>()) / count as f64)
        .collect();
    targets.shuffle(rng);
    let mut names = BTreeSet::new();
    let mut next = 0;
    for (i, &target) in targets.iter().enumerate() {
        let parts = if i % COMBINATION_EVERY == COMBINATION_EVERY - 1 {
            2
        } else {
            1
        };
        // Equal shares of the Bliss survival.
        let share = 1.0 - (1.0 - target).powf(1.0 / parts as f64);
        let mut doses: Vec<Dose> = (next..next + parts)
            .map(|k| dose_for(&drugs[k % DRUGS], share))
            .collect();
        next += parts;
        doses.sort_by(|a, b| a.drug.cmp(&b.drug));
        let wells = screened_wells / count + usize::from(i < screened_wells % count);
        let mut plan_ = plan(doses.clone(), Group::DrugScreened, wells);
        while !names.insert(plan_.name.clone()) {
            doses[0].concentration = two_digits(1.1 * doses[0].concentration);
            plan_ = plan(doses.clone(), Group::DrugScreened, wells);
        }
        plans.push(plan_);
    }
    drugs.push(reference);
    (drugs, plans)
}

fn draw_drug(name: String, kind: usize, second: Option<usize>, rng: &mut impl Rng) -> Drug {
    let hill = Hill {
        emax: rng.random_range(0.92..1.0),
        ec50: two_digits(10f64.powf(rng.random_range(-1.5..1.5))),
        slope: rng.random_range(0.9..2.5),
    };
    let lead = rng.random_range(0.5..0.75);
    let mut weights = [(); 4].map(|()| Distribution::<f64>::sample(&Exp1, rng));
    let rest: f64 = weights.iter().sum();
    weights
        .iter_mut()
        .for_each(|weight| *weight *= (1.0 - lead) / rest);
    match second {
        Some(second) => {
            weights[kind] += lead / 2.0;
            weights[second] += lead / 2.0;
        }
        None => weights[kind] += lead,
    }
    Drug {
        name,
        hill,
        mix: EffectMix::from_array(weights),
    }
}

fn dose_for(drug: &Drug, kill: f64) -> Dose {
    let reachable = kill.min(0.98 * drug.hill.emax);
    Dose {
        drug: drug.name.clone(),
        concentration: two_digits(drug.hill.concentration(reachable)),
        unit: UNIT.to_owned(),
    }
}

fn plan(doses: Vec<Dose>, group: Group, wells: usize) -> TreatmentPlan {
    let parts: Vec<String> = doses
        .iter()
        .map(|dose| format!("{} {} {}", dose.drug, dose.concentration, dose.unit))
        .collect();
    TreatmentPlan {
        name: parts.join(" + "),
        group,
        doses,
        wells,
    }
}

/// `value` to two significant digits, as concentrations are pipetted.
fn two_digits(value: f64) -> f64 {
    let scale = 10f64.powf(1.0 - value.log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64) -> Vec<Regimen> {
        regimens(&Screen::default(), seed)
    }

    #[test]
    fn a_drawn_screen_has_the_asked_wells_and_spreads_the_kills() {
        for seed in 0..50 {
            let regimens = drawn(seed);
            assert_eq!(regimens.len(), 14);
            assert_eq!(regimens[0].wells, 6);
            assert_eq!(regimens[0].treatment.group, Group::SingleDose);
            assert_eq!(regimens[1..].iter().map(|r| r.wells).sum::<usize>(), 40);
            assert!(regimens.iter().all(|r| (0.0..1.0).contains(&r.kill)));
            let weak = regimens.iter().filter(|r| r.kill < 0.3).count();
            let strong = regimens.iter().filter(|r| r.kill > 0.6).count();
            assert!(
                weak >= 3 && strong >= 3,
                "seed {seed}: {weak} weak, {strong} strong"
            );
            assert!(regimens.iter().any(|r| r.treatment.doses.len() == 2));
        }
    }

    #[test]
    fn every_kind_of_effect_leads_somewhere() {
        for seed in 0..50 {
            let regimens = drawn(seed);
            for kind in 0..4 {
                let leads = |r: &&Regimen| r.mix.to_array()[kind] > 0.5;
                assert!(
                    regimens.iter().any(|r| leads(&r)),
                    "seed {seed}, kind {kind}"
                );
            }
        }
    }

    #[test]
    fn names_are_unique_even_with_many_treatments_of_few_drugs() {
        let screen = Screen::Drawn {
            single_dose_wells: 0,
            drug_screened_wells: 59,
            replicates: 1,
        };
        let regimens = regimens(&screen, 3);
        let names: BTreeSet<_> = regimens.iter().map(|r| &r.treatment.name).collect();
        assert_eq!((regimens.len(), names.len()), (59, 59));
    }

    #[test]
    fn a_combination_kills_by_bliss() {
        let drug = |name: &str, emax| Drug {
            name: name.to_owned(),
            hill: Hill {
                emax,
                ec50: 1.0,
                slope: 1.0,
            },
            mix: EffectMix {
                shrink: 1.0,
                scatter: 0.0,
                necrosis: 0.0,
                coarsen: 0.0,
            },
        };
        let dose = |drug: &str, concentration| Dose {
            drug: drug.to_owned(),
            concentration,
            unit: "uM".to_owned(),
        };
        let pair = plan(vec![dose("b", 1.0), dose("a", 3.0)], Group::DrugScreened, 1);
        // 1 - (1 - 0.8/2) (1 - 3/4)
        let regimen = Regimen::of(&pair, &[drug("a", 1.0), drug("b", 0.8)]);
        assert!((regimen.kill - 0.85).abs() < 1e-12);
        assert_eq!(regimen.treatment.doses[0].drug, "a");
    }

    #[test]
    fn two_digits_by_hand() {
        assert_eq!(
            [0.0123, 9.96, 1.25, 347.0].map(two_digits),
            [0.012, 10.0, 1.3, 350.0]
        );
    }
}
