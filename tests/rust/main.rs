//! All integration tests, in one binary.

mod bits;
mod contract;
mod device;
mod horizons;
mod layers;
mod locks;
mod oracle;
mod refusals;
mod schedules;
mod states;
