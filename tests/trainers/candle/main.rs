//! The candle backend: what its variables hold, where, and what is refused.

#[path = "../../allocations/counting.rs"]
#[allow(dead_code)]
mod counting;
#[path = "../../../examples/candle_digits.rs"]
#[allow(dead_code)]
mod example;
#[path = "../../rust/oracle.rs"]
#[allow(dead_code)]
mod oracle;
#[path = "../../rust/waiting.rs"]
mod waiting;

mod averages;
mod locks;
mod memory;
mod refusals;
mod support;
mod training;
