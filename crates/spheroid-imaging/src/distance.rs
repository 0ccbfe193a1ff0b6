use ndarray::{Array1, Array2, ArrayViewMut1, Axis};

/// Squared Euclidean distance of every pixel's centre to that of the nearest true pixel, in
/// pixels²; infinite where there is none.
///
/// # Source
/// Felzenszwalb, Huttenlocher, *Distance transforms of sampled functions*, Theory of Computing 8
/// (2012), doi:10.4086/toc.2012.v008a019: exact, in two passes of lower envelopes of parabolas.
pub fn squared_distances(target: &Array2<bool>) -> Array2<f64> {
    let mut squared = target.mapv(|hit| if hit { 0.0 } else { f64::INFINITY });
    for axis in [Axis(0), Axis(1)] {
        let mut envelope = Vec::new();
        for line in squared.lanes_mut(axis) {
            along(line, &mut envelope);
        }
    }
    squared
}

/// A parabola with its apex at `apex`, the lowest from `from` on.
struct Piece {
    apex: f64,
    height: f64,
    from: f64,
}

/// Replaces `f(p)` by the least `f(q) + (p − q)²` over the line.
fn along(mut line: ArrayViewMut1<'_, f64>, envelope: &mut Vec<Piece>) {
    envelope.clear();
    for (apex, &height) in line.iter().enumerate().filter(|(_, f)| f.is_finite()) {
        let apex = apex as f64;
        let mut from = f64::NEG_INFINITY;
        while let Some(last) = envelope.last() {
            let gap = apex - last.apex;
            let meet = 0.5 * (apex + last.apex) + 0.5 * (height - last.height) / gap;
            if meet > last.from {
                from = meet;
                break;
            }
            envelope.pop();
        }
        envelope.push(Piece { apex, height, from });
    }
    if envelope.is_empty() {
        return;
    }
    let mut piece = 0;
    let lowest = Array1::from_shape_fn(line.len(), |p| {
        while envelope
            .get(piece + 1)
            .is_some_and(|next| next.from < p as f64)
        {
            piece += 1;
        }
        let Piece { apex, height, .. } = envelope[piece];
        height + (p as f64 - apex).powi(2)
    });
    line.assign(&lowest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_search(target: &Array2<bool>) -> Array2<f64> {
        Array2::from_shape_fn(target.dim(), |(row, column)| {
            target
                .indexed_iter()
                .filter(|&(_, &hit)| hit)
                .map(|((r, c), _)| (r.abs_diff(row).pow(2) + c.abs_diff(column).pow(2)) as f64)
                .fold(f64::INFINITY, f64::min)
        })
    }

    proptest! {
        #[test]
        fn every_distance_is_the_shortest(
            rows in 1..14_usize,
            columns in 1..14_usize,
            hits in prop::collection::vec(prop::bool::weighted(0.07), 169),
        ) {
            let target = Array2::from_shape_fn((rows, columns), |(r, c)| hits[r * 13 + c]);
            prop_assert_eq!(squared_distances(&target), by_search(&target));
        }
    }

    #[test]
    fn lines_and_planes_without_a_target() {
        assert!(
            squared_distances(&Array2::default((2, 3)))
                .iter()
                .all(|d| d.is_infinite())
        );
        assert_eq!(squared_distances(&Array2::default((0, 3))).dim(), (0, 3));
        assert_eq!(
            squared_distances(&Array2::from_elem((1, 1), true))[(0, 0)],
            0.0
        );
    }
}
