//! The arithmetic of one element, written once: every instruction set and every oracle has to give these bits.

use crate::dtype::Shadow;
use crate::nonfinite::NonFinite;

/// The weights of one update, rounded from 64 bits to the shadow's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Blend<S> {
    /// α = 0: the average stays, the parameter is not read.
    Keep,
    /// α < ½: start at the average and go towards the parameter.
    Near {
        /// α.
        a: S,
        /// 1 - α, for an element whose difference overflows.
        d: S,
    },
    /// α ≥ ½: start at the parameter and go back towards the average.
    Far {
        /// 1 - α.
        b: S,
        /// α, for an element whose difference overflows.
        a: S,
    },
    /// α = 1: the parameter.
    Copy,
}

impl<S: Shadow> Blend<S> {
    /// The weights for `alpha`.
    ///
    /// # Panics
    /// Unless `alpha` is in [0, 1].
    pub fn new(alpha: f64) -> Self {
        assert!((0.0..=1.0).contains(&alpha), "α = {alpha} is outside [0, 1]");
        // The branch looks at the 64-bit α, so that both shadow types take the same one.
        if alpha == 0.0 {
            Blend::Keep
        } else if alpha == 1.0 {
            Blend::Copy
        } else if alpha < 0.5 {
            Blend::Near { a: S::weight(alpha), d: S::weight(1.0 - alpha) }
        } else {
            Blend::Far { b: S::weight(1.0 - alpha), a: S::weight(alpha) }
        }
    }
}

impl Blend<f64> {
    /// The weights rounded to the type of an average.
    #[inline]
    pub fn rounded<S: Shadow>(self) -> Blend<S> {
        match self {
            Blend::Keep => Blend::Keep,
            Blend::Near { a, d } => Blend::Near { a: S::weight(a), d: S::weight(d) },
            Blend::Far { b, a } => Blend::Far { b: S::weight(b), a: S::weight(a) },
            Blend::Copy => Blend::Copy,
        }
    }
}

/// `s + a(p - s)`: multiplied and added in two roundings, so that every machine gives the same bits.
#[inline(always)]
pub fn near<S: Shadow>(s: S, p: S, a: S) -> S {
    s + a * (p - s)
}

/// `p - b(p - s)`.
#[inline(always)]
pub fn far<S: Shadow>(s: S, p: S, b: S) -> S {
    p - b * (p - s)
}

/// The new average of one element, and whether the element was refused.
pub fn element<S: Shadow>(s: S, p: S, blend: Blend<S>, on: NonFinite) -> (S, bool) {
    let value = match blend {
        Blend::Keep => return (s, false),
        Blend::Near { a, .. } => near(s, p, a),
        Blend::Far { b, .. } => far(s, p, b),
        Blend::Copy => p,
    };
    if value.finite() {
        return (value, false);
    }
    // Infinities: for finite ones the value would have been finite. So the sign of a zero never depends on its
    // neighbours, which decide whether a block comes here.
    if s == p {
        return (s, false);
    }
    let value = match blend {
        // The difference overflowed; the products can't.
        Blend::Near { a, d } if s.finite() && p.finite() => d * s + a * p,
        Blend::Far { b, a } if s.finite() && p.finite() => b * s + a * p,
        _ => value,
    };
    match on {
        _ if value.finite() => (value, false),
        NonFinite::Propagate => (value, false),
        NonFinite::Skip if p.finite() && !s.finite() => (p, false),
        NonFinite::Raise | NonFinite::Skip => (s, true),
    }
}
