//! All integration tests, in one binary; only the one that counts allocations has its own.

mod assign;
mod averages;
mod batches;
mod bits;
mod buffers;
mod contract;
mod copied;
mod counts;
mod device;
mod files;
mod horizons;
mod layers;
mod lender;
mod locks;
mod oracle;
mod overlap;
mod refusals;
mod replaced;
mod schedules;
mod sets;
mod states;
mod ties;
mod time;
mod unmoved;
mod waiting;
