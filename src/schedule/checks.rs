//! What the arguments of a schedule may be.

use crate::error::{Error, Result};

/// A number within bounds; NaN is in none. Negative zero becomes zero, so that equal schedules print alike.
pub(super) fn bounded(
    argument: &'static str,
    value: f64,
    valid: impl Into<String>,
    within: impl Fn(f64) -> bool,
) -> Result<f64> {
    if within(value) { Ok(value + 0.0) } else { Err(Error::config(argument, format_args!("{value:?}"), valid)) }
}

pub(super) fn unit(argument: &'static str, value: f64) -> Result<f64> {
    bounded(argument, value, "a number in [0, 1]", |value| (0.0..=1.0).contains(&value))
}

pub(super) fn up_to(argument: &'static str, value: f64, bound: f64) -> Result<f64> {
    bounded(argument, value, format!("a number in [0, {bound:?}]"), |value| (0.0..=bound).contains(&value))
}

pub(super) fn below_one(argument: &'static str, value: f64) -> Result<f64> {
    bounded(argument, value, "a number in [0, 1), that is, below 1", |value| (0.0..1.0).contains(&value))
}

pub(super) fn positive(argument: &'static str, value: f64) -> Result<f64> {
    bounded(argument, value, "a finite number above 0", |value| value > 0.0 && value.is_finite())
}

pub(super) fn above_zero(argument: &'static str, value: f64) -> Result<f64> {
    bounded(argument, value, "a number above 0, or infinity", |value| value > 0.0)
}

pub(super) fn at_least_one(argument: &'static str, value: u64) -> Result<u64> {
    if value > 0 { Ok(value) } else { Err(Error::config(argument, value, "at least 1")) }
}
