//! Which files a path stands for: the one that it names, or one for each of several horizons.
//!
//! The files of several horizons take their places one after the other. Where that was interrupted, the rest of them are
//! complete drafts beside the old ones, and are found by the save that they say they are of.

use super::atomic;
use super::problem::{Problem, Result, content};
use super::read::{self, Opened};
use crate::error::{self, FileName};
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// As many horizons as anybody has.
const MANY: usize = 32;

/// The file of one of several horizons: `ema.h0.safetensors` for `ema.safetensors`.
fn of_horizon(path: &Path, horizon: usize) -> PathBuf {
    let mut name = path.file_stem().map_or_else(OsString::new, OsString::from);
    name.push(format!(".h{horizon}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Whether a path ends with the name of a file, and not as one of a folder does: "ema/" and "ema/." have that name too.
fn names_file(path: &Path) -> bool {
    let whole = path.as_os_str().as_encoded_bytes();
    path.file_name().is_some_and(|name| whole.ends_with(name.as_encoded_bytes()))
}

/// The files to save so many horizons in.
///
/// Fails where the path has been used for one horizon and now is for several, or the other way round, or for more of them than
/// now: what is there would be of another time than what is saved.
pub fn files(path: &Path, horizons: usize) -> Result<Vec<PathBuf>> {
    if !names_file(path) {
        return content("names no file");
    }
    let of = |horizons: Range<usize>| horizons.map(|horizon| of_horizon(path, horizon)).collect::<Vec<_>>();
    let alone = vec![path.to_owned()];
    let (files, others) = match horizons {
        1 => (alone, of(0..MANY)),
        all => (of(0..all), [alone, of(all..MANY)].concat()),
    };
    if let Some(other) = others.iter().find(|other| other.is_file()) {
        return content(format_args!(
            "would be of {horizons} horizon{}, and \"{}\" is there from another save: remove it, or take another path",
            if horizons == 1 { "" } else { "s" },
            FileName(other.file_name().unwrap_or_default())
        ));
    }
    Ok(files)
}

/// What tells one save of several horizons from all others.
pub fn id() -> String {
    let mut hasher = RandomState::new().build_hasher();
    // A forked child has the random state of its parent.
    hasher.write_u32(std::process::id());
    hasher.write_u128(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_nanos()));
    format!("{:016x}", hasher.finish())
}

/// Opens the files that a path stands for, one for each horizon.
pub fn open(path: &Path) -> error::Result<Vec<Opened>> {
    let first = of_horizon(path, 0);
    if path.is_file() && first.is_file() {
        let other = FileName(first.file_name().unwrap_or_default());
        let problem = format!("is there, and so is \"{other}\" of several horizons: remove the one that is not meant");
        return Err(Problem::Content(problem).at(path));
    }
    if !names_file(path) || !first.is_file() {
        let next = of_horizon(path, 1);
        if names_file(path) && !path.exists() && next.is_file() {
            let other = FileName(next.file_name().unwrap_or_default());
            let problem =
                format!("is missing, and \"{other}\" of the same save is there: a save of several horizons needs all");
            return Err(Problem::Content(problem).at(&first));
        }
        return Ok(vec![read::open(path).map_err(|problem| problem.at(path))?]);
    }
    // Somebody may be putting new files in their places just now.
    let mut attempts = 0..3;
    loop {
        match (open_set(path), attempts.next()) {
            (Err(_), Some(_)) => {}
            (opened, _) => return opened,
        }
    }
}

fn open_set(path: &Path) -> error::Result<Vec<Opened>> {
    let place = of_horizon(path, 0);
    let first = open_first(&place).map_err(|problem| problem.at(&place))?;
    let horizons = first.document.horizons;
    let mut files = vec![first];
    for horizon in 1..horizons {
        let place = of_horizon(path, horizon);
        let (opened, _) = open_beside(&files[0], horizon, &place).map_err(|problem| problem.at(&place))?;
        files.push(opened);
    }
    Ok(files)
}

/// Opens the first of several horizons.
fn open_first(place: &Path) -> Result<Opened> {
    let first = read::open(place)?;
    if first.document.horizon != 0 {
        return content(format_args!("is of horizon {}, under the name of the first", first.document.horizon));
    }
    if first.document.horizons < 2 {
        return content("is a save of one horizon alone, and no part of several");
    }
    Ok(first)
}

/// Opens another horizon of a save: in its place, or the complete draft from which it would have been taken.
fn open_beside(first: &Opened, horizon: usize, place: &Path) -> Result<(Opened, Option<PathBuf>)> {
    let of_save = |opened: &Opened| opened.is_beside(first, horizon);
    let opened = match read::open(place) {
        Ok(opened) if of_save(&opened) => return Ok((opened, None)),
        other => other,
    };
    let target = atomic::target(place).unwrap_or_else(|_| place.to_owned());
    for draft in atomic::drafts(&target) {
        if let Some(found) = read::open(&draft).ok().filter(of_save) {
            return Ok((found, Some(draft)));
        }
    }
    content(format_args!(
        "is of step {}, and horizon 0 of step {}: they are not of one save",
        opened?.document.step, first.document.step
    ))
}

/// Puts the files of a save that was interrupted in their places, before the next one removes what was left.
pub fn finish(path: &Path, horizons: usize) {
    let Ok(first) = read::open(&of_horizon(path, 0)) else { return };
    for horizon in 1..horizons.min(first.document.horizons) {
        let place = of_horizon(path, horizon);
        if let (Ok((_, Some(draft))), Ok(target)) = (open_beside(&first, horizon, &place), atomic::target(&place)) {
            if atomic::check_replaceable(&target).is_ok() {
                atomic::if_left(&draft, |draft| drop(fs::rename(draft, target)));
            }
        }
    }
}
