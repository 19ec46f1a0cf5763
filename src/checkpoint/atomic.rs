//! Files that replace others at once: written under another name, brought to the disk, and then renamed.
//!
//! A draft is locked by whoever writes it. What is left of a writer that was killed is a draft that nobody holds, and the
//! next writer of the same file removes it.

use super::problem::{self, Result};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// A file that is being written, and is gone unless it is completed.
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

const SUFFIX: &str = ".tmp";
/// Random characters in the name of a draft.
const RANDOM: usize = 8;

/// Where a file of this name would really be written: what a symbolic link leads to.
///
/// Fails where there is something else than a file, such as a folder or a pipe, which would be lost.
pub fn target(path: &Path) -> Result<PathBuf> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        Err(error) => return Err(error.into()),
    };
    let target = if found.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() };
    problem::check_file(&fs::metadata(&target)?)?;
    Ok(target)
}

impl Draft {
    /// A draft of a file, in the same folder.
    pub fn new(target: PathBuf) -> Result<Self> {
        let mut prefix = prefix(&target);
        prefix.push("");
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file: less what the user's mask takes away. The default would be readable by nobody else.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = loop {
            let file = builder.tempfile_in(folder(&target))?;
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

    /// What is written.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file in its place. It has to be on the disk already, see [`File::sync_all`].
    pub fn complete(self) -> Result<()> {
        self.file.persist(&self.target).map_err(|failed| failed.error)?;
        Ok(())
    }
}

/// Brings the names in the folder of a file to the disk.
pub fn sync_folder(target: &Path) -> Result<()> {
    // Elsewhere a folder can't be opened as a file.
    if cfg!(unix) {
        File::open(folder(target))?.sync_all()?;
    }
    Ok(())
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
    let Ok(file) = File::open(draft) else { return };
    if fs4::FileExt::try_lock(&file).is_ok() {
        work(draft);
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

/// How the names of a file's drafts begin.
fn prefix(target: &Path) -> std::ffi::OsString {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(target.file_name().unwrap_or(OsStr::new("")));
    prefix.push(".");
    prefix
}
