//! Files that replace others at once: written under another name, brought to the disk, and then renamed.
//!
//! A draft is locked by whoever writes it. What is left of a writer that was killed is a draft that nobody holds, and the
//! next writer of the same file removes it.

use super::problem::{self, Result};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{Builder, NamedTempFile};

/// A file that is being written, and is gone unless it is completed.
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

/// How long a save waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

const SUFFIX: &str = ".tmp";
/// Random characters in the name of a draft.
const RANDOM: usize = 8;

/// Where a file of this name would really be written: what a symbolic link leads to, which need not be there yet.
pub fn target(path: &Path) -> Result<PathBuf> {
    // As many links as Linux follows.
    const LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&target) {
            Ok(found) if found.is_symlink() => target = folder(&target).join(fs::read_link(&target)?),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => return Ok(target),
        }
    }
    problem::content("is a symbolic link that leads back to itself")
}

/// Whether a file may be put there.
///
/// Fails where there is something else than a file, such as a folder or a pipe, which would be lost. To rename one file
/// over another takes no permission to write that one: somebody who took it away meant to keep the file, and is asked.
pub fn check_replaceable(target: &Path) -> Result<()> {
    let found = match fs::metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    problem::check_file(&found)?;
    if found.permissions().readonly() {
        return problem::content("is a read-only file: make it writable or remove it, or take another path");
    }
    Ok(())
}

impl Draft {
    /// A draft of a file, in the same folder.
    pub fn new(target: PathBuf) -> Result<Self> {
        let prefix = prefix(&target);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
        // As any new file, less what the user's mask takes away; a temporary file would be readable by nobody else. And
        // the system's error comes as it is, with its number.
        let make = |path: &Path| File::options().write(true).create_new(true).open(path);
        let file = loop {
            let file = builder.make_in(folder(&target), make)?;
            match fs4::FileExt::try_lock(file.as_file()) {
                // A file system without locks: nothing is cleaned up there.
                Ok(()) | Err(fs4::TryLockError::Error(_)) if file.path().exists() => break file,
                // Somebody who cleans up was faster.
                _ => {}
            }
        };
        if let Ok(old) = fs::metadata(&target) {
            file.as_file().set_permissions(old.permissions())?;
        }
        Ok(Self { file, target })
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// What is written.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file in its place, for good. It has to be on the disk already, see [`File::sync_all`].
    ///
    /// Where that fails, `keep` leaves the draft, from which a save that has begun can be finished later.
    pub fn complete(self, keep: bool) -> Result<()> {
        if let Err(failed) = self.file.persist(&self.target) {
            if keep {
                // A child that was forked meanwhile has the lock as well, and would go on holding it.
                let _ = fs4::FileExt::unlock(failed.file.as_file());
                let _ = failed.file.keep();
            }
            return Err(failed.error.into());
        }
        // The name is on the disk once the folder is. Some folders can be written and not read, and some systems have no
        // such call for a folder: the file is in its place then, and the save has not failed.
        let Ok(folder) = File::open(folder(&self.target)) else { return Ok(()) };
        match folder.sync_all() {
            Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }
}

/// The turn of a save to put files into their places: the folder, locked.
pub struct Turn(File);

impl Drop for Turn {
    /// To close the folder is not enough: the lock is of whoever has it open, and a child that another thread forked in
    /// the meantime has it open too.
    fn drop(&mut self) {
        let _ = fs4::FileExt::unlock(&self.0);
    }
}

/// Waits until nobody else puts files into their places in the folder of this one, and has them wait meanwhile, until
/// what this gives goes. Where there are no such locks, or somebody has one for long, nobody waits.
pub fn turn(target: &Path) -> Option<Turn> {
    let folder = File::open(folder(target)).ok()?;
    let began = Instant::now();
    while matches!(fs4::FileExt::try_lock(&folder), Err(fs4::TryLockError::WouldBlock)) && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(1));
    }
    Some(Turn(folder))
}

/// The drafts of a file, of whoever writes or wrote them.
pub fn drafts(target: &Path) -> Vec<PathBuf> {
    let prefix = prefix(target);
    let Ok(entries) = fs::read_dir(folder(target)) else { return Vec::new() };
    let is_draft = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        name.starts_with(prefix.as_encoded_bytes())
            && name.ends_with(SUFFIX.as_bytes())
            && name.len() == prefix.len() + RANDOM + SUFFIX.len()
            && entry.file_type().is_ok_and(|kind| kind.is_file())
    };
    entries.flatten().filter(is_draft).map(|entry| entry.path()).collect()
}

/// Does something to a draft if nobody writes it any more.
pub fn if_left(draft: &Path, work: impl FnOnce(&Path)) {
    // Some systems lock only what could be written.
    let Ok(file) = File::options().read(true).write(true).open(draft) else { return };
    if fs4::FileExt::try_lock(&file).is_ok() {
        work(draft);
        let _ = fs4::FileExt::unlock(&file);
    }
}

/// Removes the drafts of a file that nobody writes any more.
pub fn clean(target: &Path) {
    for draft in drafts(target) {
        // Somebody else may have been faster.
        if_left(&draft, |draft| drop(fs::remove_file(draft)));
    }
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// How the names of a file's drafts begin: with its own, or with the beginning of that and a checksum, so that a name is
/// never too long for a draft and not for the file. Most systems have room for 255 bytes, and some for 143.
fn prefix(target: &Path) -> OsString {
    const LONGEST: usize = 100;
    let name = target.file_name().unwrap_or(OsStr::new(""));
    let mut prefix = OsString::from(".");
    if name.len() <= LONGEST {
        prefix.push(name);
    } else {
        let text = name.to_string_lossy();
        let end = text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|&end| end <= LONGEST).last();
        prefix.push(&text[..end.unwrap_or(0)]);
        prefix.push(format!("-{:08x}", crc32fast::hash(name.as_encoded_bytes())));
    }
    prefix.push(".shrew-");
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_though_a_forked_child_has_the_folder_open() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ema");
        let turn = turn(&target).unwrap();
        // What a fork copies: another descriptor of the same opened folder.
        let inherited = turn.0.try_clone().unwrap();
        let other = File::open(folder.path()).unwrap();
        assert!(fs4::FileExt::try_lock(&other).is_err());
        drop(turn);
        assert!(fs4::FileExt::try_lock(&other).is_ok());
        drop(inherited);
    }

    #[test]
    fn drafts_of_long_names_are_short_and_told_apart() {
        let long = |last: &str| PathBuf::from(format!("{}{last}", "ä".repeat(120)));
        let (one, other) = (prefix(&long("1")), prefix(&long("2")));
        assert_ne!(one, other);
        assert_eq!(one, prefix(&Path::new("folder").join(long("1"))));
        assert!(one.len() + RANDOM + SUFFIX.len() <= 143);
        assert_eq!(prefix(Path::new("ema.pt")), ".ema.pt.shrew-");
    }
}
