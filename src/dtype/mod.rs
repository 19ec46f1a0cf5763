//! Dtypes: which there are, what becomes of each, and what the averages of each are kept in.
//!
//! This is the only room that matches on a width; every other goes through `dispatch!`.

mod element;

pub use element::{Element, Param, Shadow};

use crate::error::Error;
use std::fmt;

macro_rules! dtypes {
    ($($name:ident $text:literal $size:literal $class:ident,)*) => {
        /// The dtype of a tensor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DType {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl DType {
            /// Every dtype, narrowest first within each family.
            pub const ALL: &'static [DType] = &[$(DType::$name,)*];

            /// The name that NumPy has for it.
            pub const fn name(self) -> &'static str {
                match self { $(DType::$name => $text,)* }
            }

            /// Bytes an element.
            pub const fn size(self) -> usize {
                match self { $(DType::$name => $size,)* }
            }

            /// Whether tensors of this dtype are averaged or copied.
            pub const fn class(self) -> Class {
                match self { $(DType::$name => Class::$class,)* }
            }
        }
    };
}

dtypes! {
    Bool "bool" 1 Copied,
    I8 "int8" 1 Copied,
    I16 "int16" 2 Copied,
    I32 "int32" 4 Copied,
    I64 "int64" 8 Copied,
    U8 "uint8" 1 Copied,
    U16 "uint16" 2 Copied,
    U32 "uint32" 4 Copied,
    U64 "uint64" 8 Copied,
    BF16 "bfloat16" 2 Averaged,
    F16 "float16" 2 Averaged,
    F32 "float32" 4 Averaged,
    F64 "float64" 8 Averaged,
}

impl DType {
    /// The dtype of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.name() == name)
    }

    /// Whether values of this dtype can be written as that one: the same bits, or an average as its parameter.
    pub const fn narrows_to(self, other: DType) -> bool {
        let average = matches!(self, DType::F32 | DType::F64) && matches!(other.class(), Class::Averaged);
        self as u8 == other as u8 || average && other.size() <= self.size()
    }
}

/// What becomes of a tensor in an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Floating-point parameters.
    Averaged,
    /// Integers and booleans: an average of them would be a truncated one, so the latest value is kept instead.
    Copied,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The dtype of the averages of floating-point parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShadowDType {
    /// 64 bits for every parameter, as the original does.
    #[default]
    F64,
    /// 32 bits for every parameter; refused for 64-bit parameters.
    F32,
    /// 32 bits for parameters of 32 and 16 bits, 64 bits for those of 64.
    Auto,
}

impl ShadowDType {
    /// Every choice.
    pub const ALL: [ShadowDType; 3] = [ShadowDType::F64, ShadowDType::F32, ShadowDType::Auto];

    /// The choice as text.
    pub const fn name(self) -> &'static str {
        match self {
            ShadowDType::F64 => "float64",
            ShadowDType::F32 => "float32",
            ShadowDType::Auto => "auto",
        }
    }

    /// The dtype of the average of a parameter of `dtype`; a copied one keeps its own.
    ///
    /// # Errors
    /// [`Error::DType`], for the parameter called `name`, if the average would be narrower than the parameter.
    pub fn of(self, dtype: DType, name: &str) -> Result<DType, Error> {
        match (dtype, self) {
            (dtype, _) if dtype.class() == Class::Copied => Ok(dtype),
            (DType::F64, ShadowDType::F32) => Err(Error::DType {
                name: name.to_owned(),
                found: dtype.name().to_owned(),
                valid: "at most float32 under shadow_dtype=\"float32\": an average is never narrower than its \
                        parameter"
                    .to_owned(),
            }),
            (DType::F64, _) | (_, ShadowDType::F64) => Ok(DType::F64),
            (_, ShadowDType::F32 | ShadowDType::Auto) => Ok(DType::F32),
        }
    }
}

/// Binds type names to dtypes and evaluates an expression with them: `average` for the pairs of a shadow and the
/// parameter it averages, `word` for the unsigned integer as wide as a dtype, through which bits are copied.
macro_rules! dispatch {
    (average ($shadow:expr, $param:expr) as ($S:ident, $P:ident) => $body:expr) => {{
        use $crate::dtype::DType;
        macro_rules! with {
            ($s:ty, $p:ty) => {{
                type $S = $s;
                type $P = $p;
                $body
            }};
        }
        match ($shadow, $param) {
            (DType::F32, DType::F32) => with!(f32, f32),
            (DType::F32, DType::F16) => with!(f32, half::f16),
            (DType::F32, DType::BF16) => with!(f32, half::bf16),
            (DType::F64, DType::F64) => with!(f64, f64),
            (DType::F64, DType::F32) => with!(f64, f32),
            (DType::F64, DType::F16) => with!(f64, half::f16),
            (DType::F64, DType::BF16) => with!(f64, half::bf16),
            (shadow, param) => unreachable!("a {shadow} average of a {param} parameter is never made"),
        }
    }};
    (word $dtype:expr => $W:ident => $body:expr) => {{
        macro_rules! with {
            ($w:ty) => {{
                type $W = $w;
                $body
            }};
        }
        match $dtype.size() {
            1 => with!(u8),
            2 => with!(u16),
            4 => with!(u32),
            8 => with!(u64),
            size => unreachable!("no dtype has {size} bytes"),
        }
    }};
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_is_never_narrower_than_its_parameter() {
        for &dtype in DType::ALL {
            for shadow in [ShadowDType::F64, ShadowDType::F32, ShadowDType::Auto] {
                match shadow.of(dtype, "w") {
                    Ok(wide) if dtype.class() == Class::Copied => assert_eq!(wide, dtype),
                    Ok(wide) => assert!(wide.size() >= dtype.size() && wide.size() >= 4),
                    Err(error) => {
                        assert_eq!((dtype, shadow), (DType::F64, ShadowDType::F32));
                        assert!(error.to_string().starts_with("parameter \"w\" is float64"));
                    }
                }
            }
        }
    }
}
