//! Where the books stand, as plain data: read off for a file, and checked when it comes back.

use super::Ledger;
use crate::dtype::ShadowDType;
use crate::error::{Error, Result};

/// Everything that calls have changed since the construction.
#[derive(Clone, Debug, PartialEq)]
pub struct Counters {
    /// Calls counted.
    pub step: u64,
    /// Whether the last one was with warm-up.
    pub warmed: bool,
    /// The elements refused of each tensor.
    pub skipped: Vec<u64>,
    /// For each horizon the sum of ln d over the averages since the copy.
    pub log_shares: Vec<f64>,
    /// For each horizon the sum of ln d over the calls since the last average.
    pub log_windows: Vec<f64>,
}

/// More calls than anybody makes; every sum of such numbers still fits.
const MOST: u64 = 1 << 53;

impl Ledger {
    /// The number of the call that copies the parameters.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Calls from one average to the next.
    pub fn every(&self) -> u64 {
        self.every
    }

    /// The choice of the averages' dtype.
    pub fn shadow_dtype(&self) -> ShadowDType {
        self.shadow_dtype
    }

    /// What calls have changed so far.
    pub fn counters(&self) -> Counters {
        Counters {
            step: self.step,
            warmed: self.warmed,
            skipped: self.skipped.clone(),
            log_shares: self.horizons.iter().map(|horizon| horizon.log_share).collect(),
            log_windows: self.horizons.iter().map(|horizon| horizon.log_window).collect(),
        }
    }

    /// Goes on where other books of the same configuration stood.
    ///
    /// # Errors
    /// [`Error::Config`] if no books can stand there; nothing is changed then.
    pub fn resume(&mut self, counters: Counters) -> Result<()> {
        let Counters { step, warmed, skipped, log_shares, log_windows } = counters;
        let count = |argument, value: u64| match value {
            0..=MOST => Ok(()),
            _ => Err(Error::config(argument, value, format!("a count up to {MOST}"))),
        };
        let logarithm = |argument, value: f64| match value <= 0.0 {
            true => Ok(()),
            false => Err(Error::config(argument, value, "the logarithm of a number in [0, 1]")),
        };
        let many = |argument, found: usize, expected: usize| match found == expected {
            true => Ok(()),
            false => Err(Error::config(argument, format_args!("{found} of them"), expected.to_string())),
        };
        count("step", step)?;
        many("skipped", skipped.len(), self.names.len())?;
        many("log_shares", log_shares.len(), self.horizons.len())?;
        many("log_windows", log_windows.len(), self.horizons.len())?;
        skipped.iter().try_for_each(|&skipped| count("skipped", skipped))?;
        log_shares.iter().try_for_each(|&share| logarithm("log_share", share))?;
        log_windows.iter().try_for_each(|&window| logarithm("log_window", window))?;
        for ((horizon, log_share), log_window) in self.horizons.iter_mut().zip(log_shares).zip(log_windows) {
            horizon.log_share = log_share;
            horizon.log_window = log_window;
        }
        self.step = step;
        self.num_updates = step.saturating_sub(self.start) / self.every;
        self.warmed = warmed;
        self.skipped = skipped;
        Ok(())
    }
}
