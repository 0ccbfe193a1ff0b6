//! What every step sees: which images, in which views, made ahead on other threads.

use std::sync::mpsc;

use ndarray::Array3;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use spheroid_core::DrawKey;

use super::TrainConfig;
use crate::{SslError, methods::Targets};

/// Augmented views of a collection of images, and what is known of each.
///
/// Views are made on several threads while the previous step is computed; equal `(seed, epoch, item)`
/// must give equal views.
pub trait Views: Sync {
    /// Why a view could not be made.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The views of one image in one epoch, each `[plane, row, column]`; every image has as many.
    ///
    /// # Errors
    /// When the image cannot be loaded or augmented.
    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, Self::Error>;

    /// Class of an image, for methods that learn from labels; all images have one or none has.
    fn label(&self, item: usize) -> Option<usize> {
        let _ = item;
        None
    }

    /// What was done to what the image shows, for methods that learn from it; as many numbers for every
    /// image.
    fn description(&self, item: usize) -> Option<Vec<f32>> {
        let _ = item;
        None
    }

    /// Images of one stratum (a day, a plate) stand in the same batches as far as they fill them, so that
    /// what is the same for all of them tells none apart.
    fn stratum(&self, item: usize) -> usize {
        let _ = item;
        0
    }

    /// Sizes of what a method may learn from beside the images.
    fn targets(&self) -> Targets {
        let classes = (0..self.len()).filter_map(|item| self.label(item)).max();
        let description = (0..self.len()).find_map(|item| self.description(item));
        Targets {
            classes: classes.map_or(0, |last| last + 1),
            description: description.map_or(0, |description| description.len()),
        }
    }
}

/// What one forward pass gets, still on the host.
pub(super) struct HostBatch {
    /// Numbers of the images.
    pub(super) items: Vec<usize>,
    /// Outer index the view.
    pub(super) views: Vec<Vec<Array3<f32>>>,
    pub(super) labels: Option<Vec<usize>>,
    /// Row-major `[image, feature]`.
    pub(super) descriptions: Option<Vec<f32>>,
    pub(super) key: DrawKey,
}

/// The images of every batch of an epoch, in an order that seed and epoch fix.
pub(super) fn batches<V: Views>(views: &V, config: &TrainConfig, epoch: usize) -> Vec<Vec<usize>> {
    let mut rng = DrawKey {
        seed: config.seed,
        epoch: epoch as u64,
        item: u64::MAX,
        view: 0,
    }
    .rng();
    let mut order: Vec<usize> = (0..views.len()).collect();
    order.shuffle(&mut rng);
    order.sort_by_key(|item| views.stratum(*item));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut left_over = Vec::new();
    for stratum in order.chunk_by(|a, b| views.stratum(*a) == views.stratum(*b)) {
        let chunks = stratum.chunks_exact(config.batch);
        left_over.extend_from_slice(chunks.remainder());
        batches.extend(chunks.map(<[usize]>::to_vec));
    }
    left_over.shuffle(&mut rng);
    batches.extend(left_over.chunks_exact(config.batch).map(<[usize]>::to_vec));
    batches.shuffle(&mut rng);
    batches
}

/// Makes every batch of the epochs from `first` on and sends them, as far ahead as the channel holds.
pub(super) fn make_batches<V: Views>(
    views: &V,
    config: &TrainConfig,
    first: usize,
    sender: &mpsc::SyncSender<Result<HostBatch, SslError>>,
) {
    for epoch in first..config.epochs {
        for (index, batch) in batches(views, config, epoch).into_iter().enumerate() {
            let key = DrawKey {
                seed: config.seed,
                epoch: epoch as u64,
                item: u64::MAX - 1 - index as u64,
                view: 0,
            };
            let made = make_batch(views, &batch, key);
            let failed = made.is_err();
            // The receiver is gone when a step has failed.
            if sender.send(made).is_err() || failed {
                return;
            }
        }
    }
}

pub(super) fn make_batch<V: Views>(
    views: &V,
    batch: &[usize],
    key: DrawKey,
) -> Result<HostBatch, SslError> {
    let made = batch.par_iter().map(|&index| {
        let made = views.views(key.seed, key.epoch, index);
        made.map_err(|source| SslError::View {
            index,
            source: Box::new(source),
        })
    });
    let images = made.collect::<Result<Vec<_>, _>>()?;
    let count = images.first().map_or(0, Vec::len);
    if let Some(other) = images.iter().position(|views| views.len() != count) {
        return Err(SslError::Image {
            index: batch[other],
            found: format!("of {} views", images[other].len()),
            expected: format!("{count} views, as of image {}", batch[0]),
        });
    }
    let mut by_view: Vec<Vec<Array3<f32>>> = vec![Vec::new(); count];
    for views in images {
        for (view, image) in views.into_iter().enumerate() {
            by_view[view].push(image);
        }
    }
    let labels = batch.iter().map(|item| views.label(*item)).collect();
    let descriptions: Option<Vec<Vec<f32>>> =
        batch.iter().map(|item| views.description(*item)).collect();
    if let Some(rows) = &descriptions
        && let Some(other) = rows.iter().position(|row| row.len() != rows[0].len())
    {
        return Err(SslError::Image {
            index: batch[other],
            found: format!("described by {} numbers", rows[other].len()),
            expected: format!("{} numbers, as of image {}", rows[0].len(), batch[0]),
        });
    }
    Ok(HostBatch {
        items: batch.to_vec(),
        views: by_view,
        labels,
        descriptions: descriptions.map(|rows| rows.concat()),
        key,
    })
}
