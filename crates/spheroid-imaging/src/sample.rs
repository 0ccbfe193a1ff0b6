use std::fmt;

use bytemuck::Pod;
use half::f16;
use ndarray::Array3;
use serde::{Deserialize, Serialize};

/// A type in which samples are stored; implemented for the types of [`Samples`] and no others.
pub trait Sample: Pod + PartialOrd + Send + Sync + fmt::Debug + sealed::Sealed {
    /// The type's name at run time.
    const TYPE: SampleType;

    /// The value, unchanged.
    fn to_f64(self) -> f64;

    /// Wraps samples of this type.
    fn wrap(array: Array3<Self>) -> Samples;

    /// The samples, if they are of this type.
    fn of(samples: &Samples) -> Option<&Array3<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! sample_types {
    ($($variant:ident($sample:ty) $name:literal $lowest:expr, $highest:expr, $doc:literal;)*) => {
        /// Samples of a focal stack in the type in which they were stored.
        ///
        /// # Shapes
        /// `[plane, row, column]`.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Samples {
            $(#[doc = $doc] $variant(Array3<$sample>),)*
        }

        /// Type of a stored sample.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum SampleType {
            $(#[doc = $doc] #[serde(rename = $name)] $variant,)*
        }

        impl SampleType {
            /// Number of bits of a sample.
            pub const fn bits(self) -> u32 {
                match self {
                    $(Self::$variant => 8 * size_of::<$sample>() as u32,)*
                }
            }

            /// Smallest and largest value that a sample can take; for floating point, whose images
            /// have no natural range, 0 and 1.
            pub fn range(self) -> (f64, f64) {
                match self {
                    $(Self::$variant => ($lowest, $highest),)*
                }
            }
        }

        impl fmt::Display for SampleType {
            /// Writes numpy's name of the type, such as `uint16`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)*
                })
            }
        }

        $(
            impl sealed::Sealed for $sample {}

            impl Sample for $sample {
                const TYPE: SampleType = SampleType::$variant;

                fn to_f64(self) -> f64 {
                    self.into()
                }

                fn wrap(array: Array3<Self>) -> Samples {
                    Samples::$variant(array)
                }

                fn of(samples: &Samples) -> Option<&Array3<Self>> {
                    match samples {
                        Samples::$variant(array) => Some(array),
                        _ => None,
                    }
                }
            }
        )*
    };
}

sample_types! {
    U8(u8) "uint8" 0.0, f64::from(u8::MAX), "8-bit unsigned integer.";
    I8(i8) "int8" f64::from(i8::MIN), f64::from(i8::MAX), "8-bit signed integer.";
    U16(u16) "uint16" 0.0, f64::from(u16::MAX),
        "16-bit unsigned integer, whatever the number of bits that the sensor filled.";
    I16(i16) "int16" f64::from(i16::MIN), f64::from(i16::MAX), "16-bit signed integer.";
    U32(u32) "uint32" 0.0, f64::from(u32::MAX), "32-bit unsigned integer.";
    I32(i32) "int32" f64::from(i32::MIN), f64::from(i32::MAX), "32-bit signed integer.";
    F16(f16) "float16" 0.0, 1.0, "16-bit floating point (IEEE 754 binary16).";
    F32(f32) "float32" 0.0, 1.0, "32-bit floating point.";
    F64(f64) "float64" 0.0, 1.0, "64-bit floating point.";
}

/// Evaluates an expression with the array inside of [`Samples`], whatever its type.
macro_rules! with_samples {
    ($samples:expr, $array:ident => $body:expr) => {
        match $samples {
            $crate::Samples::U8($array) => $body,
            $crate::Samples::I8($array) => $body,
            $crate::Samples::U16($array) => $body,
            $crate::Samples::I16($array) => $body,
            $crate::Samples::U32($array) => $body,
            $crate::Samples::I32($array) => $body,
            $crate::Samples::F16($array) => $body,
            $crate::Samples::F32($array) => $body,
            $crate::Samples::F64($array) => $body,
        }
    };
}

/// Evaluates an expression with the Rust type `$sample` of a [`SampleType`].
macro_rules! with_sample_type {
    ($sample_type:expr, $sample:ident => $body:expr) => {
        match $sample_type {
            $crate::SampleType::U8 => {
                type $sample = u8;
                $body
            }
            $crate::SampleType::I8 => {
                type $sample = i8;
                $body
            }
            $crate::SampleType::U16 => {
                type $sample = u16;
                $body
            }
            $crate::SampleType::I16 => {
                type $sample = i16;
                $body
            }
            $crate::SampleType::U32 => {
                type $sample = u32;
                $body
            }
            $crate::SampleType::I32 => {
                type $sample = i32;
                $body
            }
            $crate::SampleType::F16 => {
                type $sample = half::f16;
                $body
            }
            $crate::SampleType::F32 => {
                type $sample = f32;
                $body
            }
            $crate::SampleType::F64 => {
                type $sample = f64;
                $body
            }
        }
    };
}

pub(crate) use {with_sample_type, with_samples};

impl Samples {
    /// Type of the samples.
    pub fn sample_type(&self) -> SampleType {
        with_samples!(self, array => sample_type_of(array))
    }

    /// Number of planes, rows and columns.
    pub fn dim(&self) -> (usize, usize, usize) {
        with_samples!(self, array => array.dim())
    }
}

fn sample_type_of<T: Sample>(_: &Array3<T>) -> SampleType {
    T::TYPE
}
