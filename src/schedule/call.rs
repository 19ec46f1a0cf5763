//! A schedule as the call that makes it, from which it can be printed, stored and compared by parts.

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
        use Argument::{Count, Flag, Number};
        match self {
            Schedule::Constant { decay } => ("constant", vec![("decay", Number(*decay))]),
            Schedule::Ratio { decay, min_decay, width, delay, copies } => (
                "ratio",
                vec![
                    ("decay", Number(*decay)),
                    ("min_decay", Number(*min_decay)),
                    ("width", Number(*width)),
                    ("delay", Count(*delay)),
                    ("copies", Count(*copies)),
                ],
            ),
            Schedule::InversePower { decay, min_decay, inv_gamma, power, delay, copies } => (
                "inverse_power",
                vec![
                    ("decay", Number(*decay)),
                    ("min_decay", Number(*min_decay)),
                    ("inv_gamma", Number(*inv_gamma)),
                    ("power", Number(*power)),
                    ("delay", Count(*delay)),
                    ("copies", Count(*copies)),
                ],
            ),
            Schedule::Exponential { decay, tau } => {
                ("exponential", vec![("decay", Number(*decay)), ("tau", Number(*tau))])
            }
            Schedule::MeanTeacher { decay } => ("mean_teacher", vec![("decay", Number(*decay))]),
            Schedule::Annealing { momentum, gamma } => {
                ("annealing", vec![("momentum", Number(*momentum)), ("gamma", Number(*gamma))])
            }
            Schedule::HalfLife { half_life, interval } => {
                ("half_life", vec![("half_life", Number(*half_life)), ("interval", Number(*interval))])
            }
            Schedule::RampedHalfLife { half_life, rampup_ratio, batch, inclusive } => (
                "edm",
                vec![
                    ("half_life", Number(*half_life)),
                    ("rampup_ratio", Number(*rampup_ratio)),
                    ("batch", Number(*batch)),
                    ("inclusive", Flag(*inclusive)),
                ],
            ),
            Schedule::Cosine { steps, decay } => ("cosine", vec![("steps", Count(*steps)), ("decay", Number(*decay))]),
            Schedule::Uniform { every } => ("swa", vec![("every", Count(*every))]),
            Schedule::Power { gamma } => ("power_gamma", vec![("gamma", Number(*gamma))]),
            Schedule::Delayed { decay, copies } => {
                ("delayed", vec![("decay", Number(*decay)), ("copies", Count(*copies))])
            }
            Schedule::Uncompensated { inner, every, first } => (
                "uncompensated",
                vec![("inner", Argument::Schedule(inner)), ("every", Count(*every)), ("first", Count(*first))],
            ),
        }
    }
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
