use burn::tensor::{Device, Tensor};

use crate::SslError;

/// A backend by the name of its cargo feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// burn-flex: pure Rust on the CPU, the default.
    Flex,
    /// burn-ndarray: deprecated by burn and far slower than flex on convolutions.
    NdArray,
    /// CubeCL on the CPU.
    Cpu,
    /// CubeCL on Vulkan, Metal or WebGPU.
    Wgpu,
    /// CubeCL on NVIDIA GPUs.
    Cuda,
}

impl Backend {
    /// Every backend, compiled in or not.
    pub const ALL: [Self; 5] = [Self::Flex, Self::NdArray, Self::Cpu, Self::Wgpu, Self::Cuda];

    /// Name on the command line, which is also the cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::NdArray => "ndarray",
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
        }
    }

    /// The backend of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn by_name(name: &str) -> Result<Self, SslError> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == name)
            .ok_or_else(|| SslError::Unknown {
                what: "device",
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }

    /// burn's device, `None` when the feature is off.
    fn compiled(self) -> Option<Device> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Some(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[expect(
                deprecated,
                reason = "burn deprecates ndarray; users of this crate ask for it"
            )]
            Self::NdArray => Some(Device::ndarray()),
            #[cfg(feature = "cpu")]
            Self::Cpu => Some(Device::cpu()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Some(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(Device::cuda(0)),
            #[allow(
                unreachable_patterns,
                reason = "no arm is left when every feature is on"
            )]
            _ => None,
        }
    }
}

/// The device of a backend, after a first operation has shown that it works.
///
/// CubeCL creates a CUDA device without a driver and panics at its first operation, so that panic is
/// caught here, where it can be named.
///
/// # Errors
/// When the backend was not compiled in (the error names the cargo feature) or does not work here.
pub fn device(backend: Backend) -> Result<Device, SslError> {
    let name = backend.name();
    let device = backend
        .compiled()
        .ok_or(SslError::NotCompiled { device: name })?;
    let probe = device.clone();
    let sum =
        std::panic::catch_unwind(move || Tensor::<1>::ones([2], &probe).sum().into_scalar::<f32>());
    match sum {
        Ok(2.0) => Ok(device),
        Ok(sum) => {
            let reason = format!("1 + 1 gave {sum}");
            Err(SslError::DeviceUnusable {
                device: name,
                reason,
            })
        }
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied());
            let reason = text.unwrap_or("its first operation failed").to_owned();
            Err(SslError::DeviceUnusable {
                device: name,
                reason,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_backend() {
        for backend in Backend::ALL {
            assert_eq!(Backend::by_name(backend.name()).unwrap(), backend);
        }
        let error = Backend::by_name("tpu").unwrap_err().to_string();
        assert_eq!(
            error,
            "device `tpu` is unknown: use one of flex, ndarray, cpu, wgpu, cuda"
        );
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_missing_backend_names_its_feature() {
        let error = device(Backend::Cuda).unwrap_err().to_string();
        assert_eq!(
            error,
            "device `cuda` was not compiled in: build with `--features cuda`"
        );
    }
}
