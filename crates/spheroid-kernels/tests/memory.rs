//! The contrastive loss takes memory in proportion to its rows, forward and backward.
//!
//! One test, and a binary of its own: what is counted is all that the process allocates.

use burn::tensor::{Device, Distribution, Tensor};
use peak_alloc::PeakAlloc;
use spheroid_kernels::NtXentConfig;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Bytes that forward and backward take at their peak, those of the rows not counted.
fn taken(rows: usize, features: usize) -> usize {
    let device = Device::flex().autodiff();
    let z = Tensor::<2>::random([rows, features], Distribution::Normal(0.0, 1.0), &device);
    let z = z.require_grad();
    let nt_xent = NtXentConfig::new(0.2)
        .build()
        .expect("a temperature above 0");
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let loss = nt_xent
        .forward(z.clone())
        .expect("rows that have a direction");
    let gradient = z.grad(&loss.backward()).expect("a gradient was asked for");
    assert_eq!(gradient.dims(), [rows, features]);
    HEAP.peak_usage() - before
}

#[test]
fn memory_is_linear_in_the_rows() {
    // Every thread has a tile of its own.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.expect("two threads").install(compare);
}

fn compare() {
    let features = 64;
    // What the first call makes for good is not counted.
    taken(512, features);
    let [small, large] = [2048, 16_384].map(|rows| taken(rows, features));
    let rows_alone = 16_384 * features * size_of::<f32>();
    assert!(large < 9 * small, "{small} and {large} bytes");
    assert!(
        large < 7 * rows_alone,
        "{large} bytes for {rows_alone} of rows"
    );
    // A matrix of similarities would have 1 GiB.
    assert!(large < (1 << 30) / 30, "{large} bytes");
}
