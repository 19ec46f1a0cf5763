//! Which files a path stands for: the one that it names, or one for each of several horizons.

use super::problem::{Result, content};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file of one of several horizons: `ema.h0.safetensors` for `ema.safetensors`.
pub fn of_horizon(path: &Path, horizon: usize) -> PathBuf {
    let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
    name.push(format!(".h{horizon}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The files of all horizons.
pub fn of_set(path: &Path, horizons: usize) -> Vec<PathBuf> {
    match horizons {
        1 => vec![path.to_owned()],
        all => (0..all).map(|horizon| of_horizon(path, horizon)).collect(),
    }
}

/// Whether there are files of several horizons under this path, and not the one that it names.
///
/// Fails where both are there, since one of them is from another time.
pub fn is_set(path: &Path) -> Result<bool> {
    let first = of_horizon(path, 0);
    match (path.exists(), first.exists()) {
        (true, true) => content(format_args!(
            "is there, and so is \"{}\" of several horizons: remove the one that is not meant",
            first.file_name().unwrap_or_default().to_string_lossy()
        )),
        (false, set) => Ok(set),
        (true, false) => Ok(false),
    }
}
