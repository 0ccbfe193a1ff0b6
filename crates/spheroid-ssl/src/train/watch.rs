//! Collects what a method made of the last images of an epoch, to measure its health.

use std::collections::VecDeque;

use burn::tensor::Tensor;
use ndarray::{Array2, Axis};

use crate::{collapse::Health, methods::Step};

/// Images that are measured; the rank takes the cube of it in time.
const IMAGES: usize = 256;

/// Rows of the first view and, where there is one, the second, oldest batch first.
#[derive(Default)]
pub(super) struct Watch {
    batches: VecDeque<Vec<Array2<f32>>>,
}

impl Watch {
    /// Takes in a step and lets go of what is not among the last images.
    pub(super) fn see(&mut self, step: &Step) {
        let rows = if step.embeddings.is_empty() {
            &step.features
        } else {
            &step.embeddings
        };
        self.batches
            .push_back(rows.iter().take(2).cloned().map(to_array).collect());
        let images = |batch: &Vec<Array2<f32>>| batch.first().map_or(0, Array2::nrows);
        let mut seen: usize = self.batches.iter().map(images).sum();
        while let Some(oldest) = self.batches.front()
            && seen - images(oldest) >= IMAGES
        {
            seen -= images(oldest);
            self.batches.pop_front();
        }
    }

    /// `None` when fewer than two images were seen.
    pub(super) fn health(&self) -> Option<Health> {
        let view = |index: usize| {
            let rows: Option<Vec<_>> = self
                .batches
                .iter()
                .map(|batch| batch.get(index).map(|rows| rows.view()))
                .collect();
            ndarray::concatenate(Axis(0), &rows?).ok()
        };
        let first = view(0)?;
        let second = view(1).filter(|second| second.dim() == first.dim());
        Health::measure(first.view(), second.as_ref().map(|rows| rows.view())).ok()
    }
}

fn to_array(rows: Tensor<2>) -> Array2<f32> {
    let shape = rows.dims();
    let values = rows.into_data().try_to_vec::<f32>();
    let values = values.expect("features are 32-bit floats");
    Array2::from_shape_vec(shape, values).expect("a tensor has as many values as its shape says")
}
