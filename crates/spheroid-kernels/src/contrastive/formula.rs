//! The losses as tensor formulas, for backends without an operation of their own: they hold the matrix of
//! all similarities, and burn differentiates them.

use burn::tensor::{Device, Tensor, TensorData};

use super::task::{Arrangement, Task};
use crate::{
    Denominator, Placement,
    normalize::{normalize_rows, row_norms},
};

/// Takes an entry out of a sum of exponentials: exp(−1e9) is 0 in every float.
const MASKED: f64 = -1e9;

/// Losses and hits of every row that has a loss, and the lengths of all rows.
pub(super) fn contrast(
    z: Tensor<2>,
    temperature: Tensor<1>,
    task: &Task,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let norms = row_norms(z.clone()).detach().squeeze_dim::<1>(1);
    let z = normalize_rows(z);
    let [first, second] = task.parts();
    let part = |rows: &std::ops::Range<usize>| z.clone().slice([rows.clone()]);
    let (losses, hits) = match task.arrangement {
        Arrangement::Within { .. } => {
            let all = 0..task.rows();
            direction(part(&first), z.clone(), [first, all], temperature, task)
        }
        Arrangement::Between => {
            let sides = [part(&first), part(&second)];
            let [a, b] = sides.clone();
            let ranges = [first.clone(), second.clone()];
            let (losses, hits) = direction(a, b, ranges, temperature.clone(), task);
            let [a, b] = sides;
            let (others, other_hits) = direction(b, a, [second, first], temperature, task);
            (
                Tensor::cat(vec![losses, others], 0),
                Tensor::cat(vec![hits, other_hits], 0),
            )
        }
    };
    (losses, hits, norms)
}

/// Losses of the rows of the first range, which meet those of the second.
fn direction(
    x: Tensor<2>,
    y: Tensor<2>,
    [rows, columns]: [std::ops::Range<usize>; 2],
    temperature: Tensor<1>,
    task: &Task,
) -> (Tensor<1>, Tensor<1>) {
    let device = x.device();
    let mask = |holds: &dyn Fn(usize, usize) -> bool| {
        let cells = rows
            .clone()
            .flat_map(|i| columns.clone().map(move |j| (i, j)));
        let values: Vec<f32> = cells
            .map(|(i, j)| f32::from(u8::from(holds(i, j))))
            .collect();
        floats(values, [rows.len(), columns.len()], &device).cast(x.dtype())
    };
    let groups = task.groups();
    let positive = mask(&|i, j| i != j && groups[i] == groups[j]);
    let itself = mask(&|i, j| i == j);
    let shares = task.shares()[rows.clone()].to_vec();
    let shares = floats(shares, [rows.len(), 1], &device).cast(x.dtype());
    let anchor = shares.clone().greater_elem(0.0).float().cast(x.dtype());

    let similarity = x.matmul(y.transpose()) / temperature.unsqueeze::<2>();
    let not_positive = positive.clone() * -1.0 + 1.0;
    let negatives = similarity.clone() + (positive.clone() + itself.clone()) * MASKED;
    let positives = similarity.clone() + not_positive * MASKED;
    let denominator = match task.denominator {
        Denominator::All => log_sum_exp(similarity.clone() + itself * MASKED),
        Denominator::Negatives => log_sum_exp(negatives.clone()),
    };
    let wanted = match task.placement {
        Placement::Outside => (similarity * positive).sum_dim(1) * shares,
        // A row without a positive takes 1 for its share, and no part.
        Placement::Inside => {
            let share = shares.clone() + (anchor.clone() * -1.0 + 1.0);
            log_sum_exp(positives.clone()) + share.log()
        }
    };
    let losses = (denominator - wanted) * anchor.clone();
    let nearer = positives.max_dim(1).greater(negatives.max_dim(1));
    let hits = (nearer.float().cast(anchor.dtype()) * anchor).detach();
    (losses.squeeze_dim(1), hits.squeeze_dim(1))
}

fn floats(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Logarithm of the sum of exponentials of every row, `[row, 1]`.
fn log_sum_exp(z: Tensor<2>) -> Tensor<2> {
    // Taking the largest entry out keeps the sum above 0 for small temperatures.
    let largest = z.clone().max_dim(1).detach();
    (z - largest.clone()).exp().sum_dim(1).log() + largest
}
