//! A schedule as the call that makes it, from which it can be printed, stored and compared by parts, and made again.

use super::Schedule;
use std::fmt;

/// One argument of such a call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument<'a> {
    /// A number, finite or infinite.
    Number(f64),
    /// A count of updates.
    Count(u64),
    /// Yes or no.
    Flag(bool),
    /// Another schedule.
    Schedule(&'a Schedule),
}

impl<'a> Argument<'a> {
    fn number(value: &f64) -> Self {
        Argument::Number(*value)
    }

    fn count(value: &u64) -> Self {
        Argument::Count(*value)
    }

    fn flag(value: &bool) -> Self {
        Argument::Flag(*value)
    }

    fn schedule(inner: &'a Schedule) -> Self {
        Argument::Schedule(inner)
    }
}

/// What a call is made again from: whoever has its arguments, by name. The errors are what to tell the user.
pub(super) trait Arguments {
    fn number(&mut self, name: &'static str) -> Result<f64, String>;
    fn count(&mut self, name: &'static str) -> Result<u64, String>;
    fn flag(&mut self, name: &'static str) -> Result<bool, String>;
    fn schedule(&mut self, name: &'static str) -> Result<Schedule, String>;
}

/// A constructor that [`Schedule::call`] names.
pub(super) struct Rule {
    pub name: &'static str,
    /// The names of its arguments, in order.
    pub arguments: &'static [&'static str],
    /// The call, with all the constructor's checks.
    pub make: fn(&mut dyn Arguments) -> Result<Schedule, String>,
}

/// Both directions out of one table, so that they can't come apart.
macro_rules! rules {
    ($($variant:ident = $constructor:ident($($argument:ident: $kind:ident),+),)+) => {
        pub(super) const RULES: &[Rule] = &[$(Rule {
            name: stringify!($constructor),
            arguments: &[$(stringify!($argument)),+],
            make: |given| {
                $(let $argument = given.$kind(stringify!($argument))?;)+
                Schedule::$constructor($($argument),+).map_err(|error| error.to_string())
            },
        }),+];

        impl Schedule {
            /// The constructor that makes this schedule, and its arguments in order, by name.
            ///
            /// ```
            /// use shrew_ema::schedule::{Argument, Schedule};
            /// let ramp = Schedule::ultralytics(0.9999, 2000.0)?;
            /// let (constructor, arguments) = ramp.call();
            /// assert_eq!(constructor, "exponential");
            /// assert_eq!(arguments, [("decay", Argument::Number(0.9999)), ("tau", Argument::Number(2000.0))]);
            /// # Ok::<(), shrew_ema::Error>(())
            /// ```
            pub fn call(&self) -> (&'static str, Vec<(&'static str, Argument<'_>)>) {
                match self {
                    $(Schedule::$variant { $($argument),+ } => {
                        let arguments = vec![$((stringify!($argument), Argument::$kind($argument))),+];
                        (stringify!($constructor), arguments)
                    })+
                }
            }
        }
    };
}

rules! {
    Constant = constant(decay: number),
    Ratio = ratio(decay: number, min_decay: number, width: number, delay: count, copies: count),
    InversePower =
        inverse_power(decay: number, min_decay: number, inv_gamma: number, power: number, delay: count, copies: count),
    Exponential = exponential(decay: number, tau: number),
    MeanTeacher = mean_teacher(decay: number),
    Annealing = annealing(momentum: number, gamma: number),
    HalfLife = half_life(half_life: number, interval: number),
    RampedHalfLife = edm(half_life: number, rampup_ratio: number, batch: number, inclusive: flag),
    Cosine = cosine(steps: count, decay: number),
    Uniform = swa(every: count),
    Power = power_gamma(gamma: number),
    Delayed = delayed(decay: number, copies: count),
    Uncompensated = uncompensated(inner: schedule, every: count, first: count),
}

/// The call, such as `exponential(decay=0.9999, tau=2000.0)`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (constructor, arguments) = self.call();
        write!(f, "{constructor}(")?;
        for (i, (name, argument)) in arguments.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            match argument {
                Argument::Number(value) => write!(f, "{comma}{name}={value:?}")?,
                Argument::Count(value) => write!(f, "{comma}{name}={value}")?,
                Argument::Flag(value) => write!(f, "{comma}{name}={value}")?,
                Argument::Schedule(inner) => write!(f, "{comma}{name}={inner}")?,
            }
        }
        f.write_str(")")
    }
}
