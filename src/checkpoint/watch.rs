//! What stands by a long call and says whether it may go on.

use super::problem::Result;
use crate::error::Error;

/// What stands by a long call and says whether it may go on.
pub type Watch<'w> = &'w mut dyn FnMut() -> bool;

/// Ends `call` with [`Error::Interrupted`] if it may not go on.
pub fn look(watch: Watch<'_>, call: &'static str) -> Result<()> {
    if watch() { Ok(()) } else { Err(Error::Interrupted { call }.into()) }
}
