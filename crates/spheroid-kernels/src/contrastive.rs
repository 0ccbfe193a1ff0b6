//! The contrastive losses: one family, computed by one operation.
//!
//! [`NtXent`](crate::NtXent), [`SupCon`](crate::SupCon) and [`InfoNce`](crate::InfoNce) say what is compared
//! with what ([`task`]); `operation` computes it without ever holding the matrix of similarities, on a CPU
//! (`cpu`) and on what CubeCL runs on (`cube`). Backends without it get the tensor formula ([`formula`]).

#[cfg(any(feature = "flex", feature = "ndarray"))]
mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod formula;
#[cfg(any(feature = "flex", feature = "ndarray", feature = "cube"))]
mod operation;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use burn::tensor::{DType, Tensor, TensorData};
use spheroid_core::positive;
pub(crate) use task::{Arrangement, Task};

use crate::KernelError;

/// What a contrastive loss can take besides its rows.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// More negatives of every row, `[row, feature]`, which have no loss and get no gradient: a memory bank.
    pub bank: Option<Tensor<2>>,
    /// A temperature `[1]` in place of that of the settings; it gets a gradient when it asks for one.
    pub temperature: Option<Tensor<1>>,
}

impl Extras {
    /// Number of rows of the bank.
    ///
    /// # Errors
    /// When it has not as many features as the rows.
    pub(crate) fn bank_rows(&self, features: usize) -> Result<usize, KernelError> {
        match self.bank.as_ref().map(Tensor::dims) {
            None => Ok(0),
            Some([rows, given]) if given == features => Ok(rows),
            Some([_, given]) => Err(KernelError::Bank { given, features }),
        }
    }
}

/// Contrastive losses row by row, in single precision for rows of half floats.
#[derive(Debug, Clone)]
pub struct RowLosses {
    /// Loss of every row, `[row]`; 0 for a row without a positive.
    pub losses: Tensor<1>,
    /// 1 for every row with a positive that is nearer than all of its negatives, else 0; `[row]`, without a
    /// gradient.
    pub hits: Tensor<1>,
    /// Number of rows with a positive.
    pub anchors: usize,
}

impl RowLosses {
    /// Mean loss of the rows that have a positive, `[1]`.
    pub fn mean(self) -> Tensor<1> {
        self.losses.sum() / self.anchors as f64
    }

    /// Share of the rows with a positive that have it nearer than all of their negatives: the top-1
    /// accuracy of the contrastive task, `[1]`. It is 0 when all rows are alike.
    pub fn accuracy(&self) -> Tensor<1> {
        self.hits.clone().sum() / self.anchors as f64
    }
}

/// The losses of a task, whose rows are those of `z` and then those of the bank.
///
/// # Errors
/// When a row has no direction, the bank does not fit, or the temperature is not above 0.
pub(crate) fn contrast(
    z: Tensor<2>,
    temperature: f64,
    extras: Extras,
    task: Task,
) -> Result<RowLosses, KernelError> {
    let z = match extras.bank {
        Some(bank) => Tensor::cat(vec![z.clone(), bank.detach().cast(z.dtype())], 0),
        None => z,
    };
    let z = computable(z);
    let dtype = single_or_double(&z);
    let temperature = match extras.temperature {
        Some(temperature) => {
            let given = temperature.dims()[0];
            if given != 1 {
                return Err(KernelError::Temperature { given });
            }
            let temperature = temperature.cast(dtype);
            above_zero(temperature.clone().into_data())?;
            temperature
        }
        None => {
            let data = TensorData::from([temperature]).convert_dtype(dtype);
            above_zero(data.clone())?;
            Tensor::from_data(data, (&z.device(), dtype))
        }
    };
    let anchors = task.anchors();
    let (losses, hits, norms) = losses(z, temperature, task);
    refuse_without_direction(norms)?;
    Ok(RowLosses {
        losses,
        hits,
        anchors,
    })
}

/// Refuses a temperature that is not above 0 in the precision of the rows.
fn above_zero(temperature: TensorData) -> Result<(), KernelError> {
    let value = temperature.convert::<f64>();
    let value = value.as_slice::<f64>().unwrap_or_default();
    positive("temperature", value.first().copied().unwrap_or(f64::NAN))?;
    Ok(())
}

/// Whether the losses of these rows are computed as one operation, in memory linear in their number. If not, a
/// tensor formula holds all similarities.
pub fn is_fused(z: &Tensor<2>) -> bool {
    #[cfg(any(feature = "flex", feature = "ndarray", feature = "cube"))]
    return operation::takes(&computable(z.clone()));
    #[cfg(not(any(feature = "flex", feature = "ndarray", feature = "cube")))]
    return false;
}

/// Losses, hits and lengths of rows.
fn losses(z: Tensor<2>, temperature: Tensor<1>, task: Task) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    #[cfg(any(feature = "flex", feature = "ndarray", feature = "cube"))]
    if operation::takes(&z) {
        return operation::contrast(z, temperature, task);
    }
    formula::contrast(z, temperature, &task)
}

/// Half floats that no kernel reads become single ones.
fn computable(z: Tensor<2>) -> Tensor<2> {
    #[cfg(any(feature = "flex", feature = "ndarray", feature = "cube"))]
    if operation::takes(&z) {
        return z;
    }
    match z.dtype() {
        DType::F32 | DType::F64 => z,
        _ => z.cast(DType::F32),
    }
}

fn single_or_double(z: &Tensor<2>) -> DType {
    match z.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

fn refuse_without_direction(norms: Tensor<1>) -> Result<(), KernelError> {
    let norms = norms.into_data().convert::<f64>();
    let norms = norms.as_slice::<f64>().unwrap_or_default();
    for (row, norm) in norms.iter().enumerate() {
        if *norm == 0.0 {
            return Err(KernelError::ZeroRow { row });
        }
        if !norm.is_finite() {
            return Err(KernelError::NotFinite { row });
        }
    }
    Ok(())
}
