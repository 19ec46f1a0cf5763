//! Advice: things that are not errors and that a user would still want to hear of, each once.

use std::fmt;

/// Something worth knowing that does not stop a call. It goes to the `log` crate as a warning, once for each kind in an
/// EMA's life ([`Notice::EarlyAverages`] once for each horizon), and is kept for
/// [`EMA::take_notices`](crate::EMA::take_notices).
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A 32-bit average so slow that its steps fall below what 32 bits can add.
    NarrowShadow {
        /// The decay from one average to the next.
        decay: f64,
    },
    /// The averages are put to use while much of the initial values is left in them.
    EarlyAverages {
        /// Which averages, where there are several.
        horizon: Option<usize>,
        /// The share of the initial values, from 0 to 1.
        share: f64,
    },
    /// The warm-up took the place of a rule that varies by itself and has a longer memory at this update.
    WarmupOverRule {
        /// The decay that the rule asked for.
        decay: f64,
        /// The one of the warm-up.
        warmup: f64,
    },
    /// An update averaged another tensor than the one held under its name, which is what apply and copy_to write.
    Replaced {
        /// The first such name.
        name: String,
    },
    /// The averages are put to use, and after many updates they are the parameters, to the last bit: these have not moved for
    /// long, and what is trained meanwhile, if anything, lies in other memory.
    Unmoved {
        /// How many updates averaged them.
        updates: u64,
    },
    /// No tensor is one of floats, so that nothing is averaged.
    NothingAveraged,
    /// Elements were refused under `nonfinite = skip`.
    Skipped {
        /// The first tensors concerned, each with its number of such elements.
        tensors: Vec<(String, u64)>,
    },
}

impl Notice {
    /// Whether saying both would be saying one thing twice.
    pub(crate) fn is_like(&self, other: &Notice) -> bool {
        match (self, other) {
            (Notice::EarlyAverages { horizon, .. }, Notice::EarlyAverages { horizon: other, .. }) => horizon == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::NarrowShadow { decay } => {
                write!(f, "a float32 average loses steps at decay {decay}, beyond 0.9999: use shadow_dtype=\"float64\"")
            }
            Notice::EarlyAverages { horizon, share } => {
                f.write_str("the averages")?;
                if let Some(horizon) = horizon {
                    write!(f, " of horizon {horizon}")?;
                }
                if *share == 1.0 {
                    return f.write_str(" are still the initial values: nothing was averaged since");
                }
                let percent = 100.0 * share;
                write!(f, " still hold {percent:.0}% of the initial values: use update_with_warmup or a shorter decay")
            }
            Notice::WarmupOverRule { decay, warmup } => {
                write!(
                    f,
                    "update_with_warmup averages with decay {warmup:.4} where the schedule says {decay:.4}: a rule that \
                     varies by itself goes with update"
                )
            }
            Notice::Replaced { name } => {
                write!(
                    f,
                    "update was given another tensor than the one held as \"{name}\", which apply and copy_to write: bind \
                     the model's new tensors, unless the averages are meant for the held ones"
                )
            }
            Notice::Unmoved { updates } => {
                write!(
                    f,
                    "after {updates} updates every average is its parameter, to the last bit: these have not moved for long, \
                     and if a model is trained meanwhile, it lies in other memory, such as arrays made anew"
                )
            }
            Notice::NothingAveraged => f.write_str(
                "no parameter is of floats, so that nothing is averaged: of integers and bools the latest value is kept",
            ),
            Notice::Skipped { tensors } => {
                let total: u64 = tensors.iter().map(|(_, count)| count).sum();
                let first = tensors.first().map_or("", |(name, _)| name);
                write!(
                    f,
                    "NaN or infinite elements were left out of the averages, {total} in this update and the first in \
                     \"{first}\": they are counted in skipped from now on"
                )
            }
        }
    }
}
