//! Element types: what a parameter may be, what a shadow may be, and the exact conversions between the two.

use super::DType;
use bytemuck::Pod;
use half::{bf16, f16};
use std::fmt;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a tensor's elements can have.
pub trait Element: Pod + Send + Sync + fmt::Debug + sealed::Sealed {
    /// Its dtype.
    const DTYPE: DType;
}

/// A Rust type that a parameter's elements can have and that is averaged.
pub trait Param: Element {
    /// The value in 32 bits; exact for all but `f64`.
    fn to_f32(self) -> f32;
    /// The value in 64 bits, exact.
    fn to_f64(self) -> f64;
    /// The nearest value, ties to even.
    fn from_f32(value: f32) -> Self;
    /// The nearest value, ties to even, rounded once.
    fn from_f64(value: f64) -> Self;
}

/// A Rust type that an average's elements can have.
pub trait Shadow:
    Param + PartialEq + std::ops::Add<Output = Self> + std::ops::Sub<Output = Self> + std::ops::Mul<Output = Self>
{
    /// A parameter's value, exact for every pair that `dispatch!` lets through.
    fn widen<P: Param>(param: P) -> Self;
    /// The nearest value that the parameter's dtype has.
    fn narrow<P: Param>(self) -> P;
    /// The nearest value to a weight.
    fn weight(value: f64) -> Self;
    /// Whether the value is neither infinite nor NaN.
    fn finite(self) -> bool;
}

macro_rules! elements {
    ($($type:ty => $name:ident,)*) => {
        $(
            impl sealed::Sealed for $type {}
            impl Element for $type {
                const DTYPE: DType = DType::$name;
            }
        )*
    };
}

elements! {
    i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    bf16 => BF16, f16 => F16, f32 => F32, f64 => F64,
}

macro_rules! shadows {
    ($($type:ty, $widen:ident, $narrow:ident;)*) => {
        $(impl Shadow for $type {
            #[inline(always)]
            fn widen<P: Param>(param: P) -> Self {
                param.$widen()
            }
            #[inline(always)]
            fn narrow<P: Param>(self) -> P {
                P::$narrow(self)
            }
            #[inline(always)]
            fn weight(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn finite(self) -> bool {
                self.is_finite()
            }
        })*
    };
}

shadows! {
    f32, to_f32, from_f32;
    f64, to_f64, from_f64;
}

impl Param for f64 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
}

impl Param for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Param for bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(Param::to_f32(self))
    }
    /// As below for `f16`, by hand so that a loop over it is vectorised.
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        // Half of the last digit that stays, less one where that digit is even.
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        let quiet = bits >> 16 | 0x40;
        bf16::from_bits(if value.is_nan() { quiet } else { rounded } as u16)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Param::from_f32(to_odd(value))
    }
}

impl Param for f16 {
    /// Bit tricks rather than `half`'s own conversion: that one asks for the processor's features at every element,
    /// which keeps a loop over it from being vectorised.
    #[inline(always)]
    fn to_f32(self) -> f32 {
        const REBIAS: f32 = f32::from_bits((254 - 15) << 23);
        const INFINITE: f32 = 65536.0;
        let bits = u32::from(self.to_bits());
        let magnitude = f32::from_bits((bits & 0x7fff) << 13) * REBIAS;
        let special = if magnitude >= INFINITE { 0xff << 23 } else { 0 };
        f32::from_bits(magnitude.to_bits() | special | (bits & 0x8000) << 16)
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(Param::to_f32(self))
    }
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        const INFINITE: u32 = 0x7c00;
        let sign = value.to_bits() >> 16 & 0x8000;
        let bits = value.to_bits() & 0x7fff_ffff;
        // Above the least normal number: the exponent is biased by 112 less, and 13 digits go.
        let normal = bits.wrapping_sub(112 << 23).wrapping_add(0xfff + (bits >> 13 & 1)) >> 13;
        // Below it: adding ½ leaves just the digits that stay, rounded by the processor.
        let subnormal = (f32::from_bits(bits) + 0.5).to_bits().wrapping_sub(0.5_f32.to_bits());
        let quiet = INFINITE | 0x200 | bits >> 13 & 0x3ff;
        let magnitude = if bits < 113 << 23 { subnormal } else { normal.min(INFINITE) };
        let magnitude = if value.is_nan() { quiet } else { magnitude };
        f16::from_bits((sign | magnitude) as u16)
    }
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        Param::from_f32(to_odd(value))
    }
}

/// `value` in 32 bits, rounded to odd: a later rounding to 16 bits then gives what rounding once would have given
/// (Boldo and Melquiond 2008: 24 bits are at least two more than the 11 or 8 that follow).
#[inline(always)]
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() {
        return nearest;
    }
    let bits = nearest.to_bits();
    if bits & 1 == 1 {
        return nearest;
    }
    // The odd neighbour is on the side of the exact value; the bits of a float order as its magnitude does.
    let outward = value.abs() > back.abs();
    f32::from_bits(if outward { bits + 1 } else { bits - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_as_half_says() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let (ours, theirs) = (Param::to_f32(value), half::f16::to_f32_const(value));
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#06x}");
        }
    }

    #[test]
    fn every_bf16_widens_as_half_says() {
        for bits in 0..=u16::MAX {
            let value = bf16::from_bits(bits);
            let (ours, theirs) = (Param::to_f32(value), value.to_f32_const());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#06x}");
        }
    }

    /// Around every number of 16 bits, every middle between two, and every power of two, with both signs.
    fn near(value_of: impl Fn(u16) -> f32) -> impl Iterator<Item = f32> {
        let numbers = (0..0x8000_u16).map(value_of);
        let powers = (0..0xff_u32).map(|exponent| f32::from_bits(exponent << 23));
        numbers.chain(powers).flat_map(|x| {
            let bits = x.to_bits();
            let steps = [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x7fff, 0x8000, 0x8001, 0xffff];
            let around = steps.map(|step| [bits.wrapping_add(step), bits.wrapping_sub(step)]);
            around.into_iter().flatten().flat_map(|bits| [bits, bits | 1 << 31]).map(f32::from_bits)
        })
    }

    #[test]
    fn f32_rounds_to_16_bits_as_half_says() {
        for x in near(|bits| half::f16::from_bits(bits).to_f32_const()) {
            assert_eq!(<f16 as Param>::from_f32(x).to_bits(), half::f16::from_f32_const(x).to_bits(), "{x:e}");
        }
        for x in near(|bits| half::bf16::from_bits(bits).to_f32_const()) {
            assert_eq!(<bf16 as Param>::from_f32(x).to_bits(), half::bf16::from_f32_const(x).to_bits(), "{x:e}");
        }
    }

    /// For every pair of neighbours: the middle goes to the even one, and the least step off the middle decides.
    /// Rounding through 32 bits, as conversions commonly do, loses that step.
    fn rounds_once<T: Param + PartialEq>(from_bits: impl Fn(u16) -> T, largest: u16) {
        for bits in 0..largest {
            let (low, high) = (from_bits(bits), from_bits(bits + 1));
            let middle = (low.to_f64() + high.to_f64()) / 2.0;
            let even = if bits % 2 == 0 { low } else { high };
            for sign in [1.0, -1.0] {
                let of = |value: f64| T::from_f64(sign * value).to_f64() * sign;
                assert_eq!(of(middle), even.to_f64());
                assert_eq!(of(middle.next_down()), low.to_f64());
                assert_eq!(of(middle.next_up()), high.to_f64());
                assert_eq!(of(low.to_f64()), low.to_f64());
            }
        }
    }

    #[test]
    fn f64_rounds_to_f16_once() {
        rounds_once(f16::from_bits, f16::MAX.to_bits());
    }

    #[test]
    fn f64_rounds_to_bf16_once() {
        rounds_once(bf16::from_bits, bf16::MAX.to_bits());
    }

    #[test]
    fn special_values_stay_special() {
        assert_eq!(f16::from_f64(1e300), f16::INFINITY);
        assert_eq!(bf16::from_f64(f64::NEG_INFINITY), bf16::NEG_INFINITY);
        assert!(f16::from_f64(f64::NAN).is_nan() && bf16::from_f64(f64::NAN).is_nan());
        assert_eq!(<f16 as Param>::from_f64(1e-300).to_bits(), 0);
        assert_eq!(<f16 as Param>::from_f64(-1e-300).to_bits(), 0x8000);
    }
}
