//! Averages of shrew's models: as the original has them where it is right, and a refusal where it is wrong.

mod bits;
mod differential;
mod example;
mod locks;
mod original;
mod refusals;
mod remote;
mod ties;
mod training;
#[path = "../../rust/waiting.rs"]
mod waiting;
