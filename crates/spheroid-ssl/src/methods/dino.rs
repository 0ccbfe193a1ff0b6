use burn::{
    module::{Initializer, Module, Param, RunningState},
    tensor::{
        Tensor,
        activation::{gelu, log_softmax, softmax},
    },
};
use serde::{Deserialize, Serialize};
use spheroid_core::{at_least, fraction, positive};
use spheroid_kernels::normalize_rows;

use super::{
    Batch, Method, Step, Targets, encode,
    momentum::{cosine_schedule, follow, target_of},
};
use crate::{
    SslError,
    encoder::{Encoder, bounded},
    init::{draw_weights, linear},
};

/// Settings of [`Dino`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DinoConfig {
    /// Features inside the head; 2048 in the paper.
    pub hidden: usize,
    /// Features that are compared with the prototypes; 256 in the paper.
    pub bottleneck: usize,
    /// Prototypes; 65,536 in the paper.
    pub prototypes: usize,
    /// Temperature of the student; above 0.
    pub student_temperature: f64,
    /// Temperature of the teacher, lower to sharpen it; above 0.
    pub teacher_temperature: f64,
    /// Share of itself that the centre keeps in a step, 0 to 1.
    pub center_momentum: f64,
    /// Share of itself that the teacher keeps in a step at the start, 0 to 1; it rises to 1 along half a
    /// cosine. 0.996 in the paper; shorter training wants less.
    pub momentum: f64,
}

impl Default for DinoConfig {
    fn default() -> Self {
        Self {
            hidden: 256,
            bottleneck: 64,
            prototypes: 1024,
            student_temperature: 0.1,
            teacher_temperature: 0.04,
            center_momentum: 0.9,
            momentum: 0.95,
        }
    }
}

impl DinoConfig {
    pub(super) fn build(&self, encoder: Encoder, _: &Targets, seed: u64) -> Result<Dino, SslError> {
        at_least("hidden", self.hidden, 1, "at least 1")?;
        at_least("bottleneck", self.bottleneck, 1, "at least 1")?;
        at_least("prototypes", self.prototypes, 2, "at least 2")?;
        bounded("prototypes", self.prototypes, &[self.bottleneck])?;
        bounded("hidden", self.hidden, &[self.hidden.max(self.bottleneck)])?;
        let device = encoder.device();
        let head = DinoHead {
            mlp1: linear(encoder.features(), self.hidden, &device),
            mlp2: linear(self.hidden, self.hidden, &device),
            mlp3: linear(self.hidden, self.bottleneck, &device),
            prototypes: Initializer::Zeros.init([self.bottleneck, self.prototypes], &device),
        };
        let student = Network {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
        };
        Ok(Dino {
            teacher: target_of(&student),
            student,
            center: RunningState::new(Tensor::zeros([self.prototypes], &device)),
            student_temperature: positive("student_temperature", self.student_temperature)?,
            teacher_temperature: positive("teacher_temperature", self.teacher_temperature)?,
            center_momentum: fraction("center_momentum", self.center_momentum)?,
            momentum: fraction("momentum", self.momentum)?,
        })
    }
}

/// DINO: a student that sees any view gives the same answer as its slowly following teacher on a large
/// view, where answers are shares of prototypes.
///
/// The first two views are the large ones, which the teacher sees too; further ones may be smaller (`dino`
/// policy). The teacher is what is used after training.
///
/// # Source
/// Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers", arXiv 2104.14294,
/// equations 2 to 4 and algorithm 1. **Differs**: the teacher's temperature has no warm-up, and the
/// prototypes learn from the first step on; their length is fixed at 1, as there.
#[derive(Module, Debug)]
pub struct Dino {
    student: Network,
    teacher: Network,
    center: RunningState<Tensor<1>>,
    student_temperature: f64,
    teacher_temperature: f64,
    center_momentum: f64,
    momentum: f64,
}

#[derive(Module, Debug)]
struct Network {
    encoder: Encoder,
    head: DinoHead,
}

#[derive(Module, Debug)]
struct DinoHead {
    mlp1: burn::nn::Linear,
    mlp2: burn::nn::Linear,
    mlp3: burn::nn::Linear,
    prototypes: Param<Tensor<2>>,
}

impl DinoHead {
    /// Rows on the unit sphere, before the prototypes.
    fn bottleneck(&self, features: Tensor<2>) -> Tensor<2> {
        let hidden = gelu(self.mlp1.forward(features));
        let hidden = gelu(self.mlp2.forward(hidden));
        normalize_rows(self.mlp3.forward(hidden))
    }

    /// Cosines with every prototype.
    fn answers(&self, bottleneck: Tensor<2>) -> Tensor<2> {
        let prototypes = normalize_rows(self.prototypes.val().transpose()).transpose();
        bottleneck.matmul(prototypes)
    }
}

impl Method for Dino {
    fn encoder(&self) -> &Encoder {
        &self.teacher.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.images("DINO", 1, 2)?;
        let features = encode(&self.student.encoder, &batch.views);
        let embeddings = self
            .student
            .head
            .bottleneck(Tensor::cat(features.clone(), 0));
        let student = self.student.head.answers(embeddings.clone());
        let large = encode(&self.teacher.encoder, &batch.views[..2]);
        let teacher = self.teacher.head.bottleneck(Tensor::cat(large, 0));
        let teacher = self.teacher.head.answers(teacher).detach();
        let center = self.center.value_sync();
        let loss = dino(
            student.split(images, 0),
            teacher.clone().split(images, 0),
            center.clone(),
            [self.student_temperature, self.teacher_temperature],
        );
        self.center
            .update(next_center(center, teacher, self.center_momentum));
        Ok(Step {
            loss,
            features,
            embeddings: embeddings.split(images, 0),
        })
    }

    fn after_step(self, progress: f64) -> Self {
        let momentum = cosine_schedule(self.momentum, progress);
        Self {
            teacher: follow(self.teacher, &self.student, momentum),
            ..self
        }
    }
}

#[cfg(test)]
impl Dino {
    pub(super) fn sides(&self) -> (&Encoder, &Encoder) {
        (&self.student.encoder, &self.teacher.encoder)
    }
}

/// Mean cross entropy over all pairs of a teacher's and a student's view that are not the same view.
pub(super) fn dino(
    student: Vec<Tensor<2>>,
    teacher: Vec<Tensor<2>>,
    center: Tensor<1>,
    [student_temperature, teacher_temperature]: [f64; 2],
) -> Tensor<1> {
    let pairs = teacher.len() * (student.len() - 1);
    let student: Vec<_> = student
        .into_iter()
        .map(|view| log_softmax(view / student_temperature, 1))
        .collect();
    let terms = teacher.into_iter().enumerate().flat_map(|(t, view)| {
        let [images, _] = view.dims();
        let wanted = softmax((view - center.clone().unsqueeze()) / teacher_temperature, 1);
        let others = student.iter().enumerate().filter(move |(s, _)| *s != t);
        others.map(move |(_, view)| (wanted.clone() * view.clone()).sum() / images as f64)
    });
    let sum = terms.reduce(|a, b| a + b);
    sum.expect("there are two views").neg() / pairs as f64
}

/// The centre after a step in which the teacher gave `answers`.
pub(super) fn next_center(center: Tensor<1>, answers: Tensor<2>, momentum: f64) -> Tensor<1> {
    let mean = answers.mean_dim(0).squeeze_dim::<1>(0);
    (center * momentum + mean * (1.0 - momentum)).detach()
}
