//! Averages of burn's modules: which parameters, which numbers, and what is refused.

#[path = "../../allocations/counting.rs"]
mod counting;
#[path = "../../../examples/burn_digits.rs"]
#[allow(dead_code)]
mod example;
#[path = "../../rust/oracle.rs"]
#[allow(dead_code)]
mod oracle;

mod averages;
mod memory;
mod model;
mod refusals;
mod statistics;
mod training;
