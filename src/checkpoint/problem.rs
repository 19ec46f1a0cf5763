//! What is wrong with a file, until it is known which file it is.

use crate::error::Error;
use std::fmt::Display;
use std::path::Path;
use std::{fs, io};

/// What is wrong with a file.
#[derive(Debug)]
pub enum Problem {
    /// With what it holds.
    Content(String),
    /// With reading or writing it.
    System(io::Error),
    /// With something else than the file.
    Other(Error),
}

/// The result of whatever meets one file.
pub type Result<T> = std::result::Result<T, Problem>;

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Problem::System(error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem::Other(error)
    }
}

impl Problem {
    /// The error, which names the file.
    pub fn at(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Problem::Content(problem) => Error::Checkpoint { path, problem, os: None },
            Problem::System(error) => Error::Checkpoint { path, problem: plain(&error), os: error.raw_os_error() },
            Problem::Other(error) => error,
        }
    }
}

/// What a file holds is not what it should be.
pub fn content<T>(problem: impl Display) -> Result<T> {
    Err(Problem::Content(problem.to_string()))
}

/// The system's words, without its number and without the path, which the error has already.
fn plain(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number).to_string(),
        None => error.to_string(),
    };
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// Whether there is a file, and not a folder, a pipe or a device.
pub fn check_file(found: &fs::Metadata) -> Result<()> {
    if found.is_dir() {
        return content("is a folder, and no file");
    }
    if !found.is_file() {
        return content("is a pipe, a device or the like, and no file");
    }
    Ok(())
}
