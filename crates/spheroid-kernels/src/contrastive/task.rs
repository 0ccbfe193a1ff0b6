use std::{collections::HashMap, ops::Range, sync::Arc};

use crate::{Denominator, Placement};

/// What is compared with what: all that the loss of a row depends on besides the rows and the temperature.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) arrangement: Arrangement,
    pub(crate) denominator: Denominator,
    pub(crate) placement: Placement,
    /// The group of every row, [`NO_GROUP`] in a bank.
    groups: Arc<[u32]>,
    /// 1 by the number of positives of every row that has a loss; 0 for none.
    shares: Arc<[f32]>,
}

/// How the rows of a tensor meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// Every row meets all others. The last `bank` rows are only met: they have no loss and no gradient.
    Within { bank: usize },
    /// The first half of the rows meets the second half, and the other way round.
    Between,
}

/// The group of rows that belong to no other.
pub(crate) const NO_GROUP: u32 = u32::MAX;

impl Task {
    /// `groups` are those of the rows that are not of a bank; of one side when two sides meet.
    pub(crate) fn new(
        arrangement: Arrangement,
        denominator: Denominator,
        placement: Placement,
        groups: &[usize],
    ) -> Self {
        let mut ids = HashMap::new();
        let mut counts = Vec::new();
        let mut compact = Vec::with_capacity(groups.len());
        for group in groups {
            let id = *ids.entry(*group).or_insert(counts.len());
            if id == counts.len() {
                counts.push(0u32);
            }
            counts[id] += 1;
            compact.push(id as u32);
        }
        let itself = u32::from(arrangement != Arrangement::Between);
        let shares = compact
            .iter()
            .map(|id| match counts[*id as usize] - itself {
                0 => 0.0,
                positives => 1.0 / positives as f32,
            });
        let mut shares: Vec<f32> = shares.collect();
        match arrangement {
            Arrangement::Within { bank } => compact.resize(groups.len() + bank, NO_GROUP),
            Arrangement::Between => {
                compact.extend_from_within(..);
                shares.extend_from_within(..);
            }
        }
        Self {
            arrangement,
            denominator,
            placement,
            groups: compact.into(),
            shares: shares.into(),
        }
    }

    pub(crate) fn groups(&self) -> &[u32] {
        &self.groups
    }

    pub(crate) fn shares(&self) -> &[f32] {
        &self.shares
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.groups.len()
    }

    /// Number of rows that have a loss: the first ones.
    pub(crate) fn losses(&self) -> usize {
        self.shares.len()
    }

    /// Number of rows whose loss counts: those with a positive.
    pub(crate) fn anchors(&self) -> usize {
        self.shares.iter().filter(|share| **share > 0.0).count()
    }

    /// The two parts of the rows that differ in what they meet; the second is empty without a bank.
    pub(crate) fn parts(&self) -> [Range<usize>; 2] {
        let first = match self.arrangement {
            Arrangement::Within { bank } => self.rows() - bank,
            Arrangement::Between => self.rows() / 2,
        };
        [0..first, first..self.rows()]
    }
}
