//! What can go wrong: every refusal names the argument or the tensor, the value found, and what is valid.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A refused call.
///
/// A refusal comes before the first write and leaves parameters, averages and counters as they were, with one
/// exception that is part of the design: [`Error::NonFinite`] out of an update reports a pass that *was* made.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A setting is not valid.
    #[error("{argument} must be {valid}, got {value}")]
    Config {
        /// The argument's name.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What would have been valid.
        valid: String,
    },
    /// The model has other names, or another number of parameters, than the averages.
    #[error("the parameters are not those that are averaged: {}", Difference(.missing, .unexpected))]
    Names {
        /// Names that are averaged and were not given.
        missing: Vec<String>,
        /// Names that were given and are not averaged.
        unexpected: Vec<String>,
    },
    /// A parameter was asked for by a name or an index that there is not.
    #[error("no parameter {key:?}: {valid}")]
    Key {
        /// The name, or the index.
        key: String,
        /// What would have been valid.
        valid: String,
    },
    /// A parameter has another shape than its average.
    #[error("parameter \"{name}\" has shape {}, expected {}", Tuple(.found), Tuple(.expected))]
    Shape {
        /// The parameter's name.
        name: String,
        /// The shape of its average.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A parameter has a dtype that can't be averaged, or another one than before.
    #[error("parameter \"{name}\" is {found}, expected {valid}")]
    DType {
        /// The parameter's name.
        name: String,
        /// The dtype found.
        found: String,
        /// What would have been valid.
        valid: String,
    },
    /// A parameter's memory can't be used as it is: misaligned, read-only, locked.
    #[error("parameter \"{name}\" {problem}")]
    Layout {
        /// The parameter's place in the model, from 0, where it is known.
        index: Option<usize>,
        /// The parameter's name.
        name: String,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Two parameters share memory that they can't share.
    #[error("parameters \"{}\" and \"{}\" {problem}", .names.0, .names.1)]
    Overlap {
        /// Their places in the model, from 0, the first one first.
        indices: (usize, usize),
        /// Their names.
        names: (String, String),
        /// What is wrong with that, and what to do.
        problem: &'static str,
    },
    /// There is not enough memory for the averages or the backup.
    #[error("not enough memory for {bytes} bytes more")]
    Memory {
        /// What was asked for.
        bytes: usize,
    },
    /// The call is not possible in this state of the EMA.
    #[error("{call}: {state}; {advice}")]
    State {
        /// The call that was refused.
        call: &'static str,
        /// The state that it was refused in.
        state: &'static str,
        /// What to do instead.
        advice: &'static str,
    },
    /// A file can't be written, or is not a checkpoint that can be loaded here.
    #[error("{}: {problem}", FileName(.path.as_os_str()))]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// The system's number of the error, where it was the system that refused.
        os: Option<i32>,
    },
    /// A long call was stopped by whoever watched over it.
    #[error("{call} was interrupted; nothing was changed")]
    Interrupted {
        /// The call.
        call: &'static str,
    },
    /// Elements are NaN or infinite.
    ///
    /// Out of an update, the pass was made and counted, and the elements named here kept their old averages. Out of a
    /// construction, nothing was made.
    #[error("{call}: NaN or infinite elements in {}: {outcome}", Counts(.tensors))]
    NonFinite {
        /// The call that met them.
        call: &'static str,
        /// What became of the averages.
        outcome: &'static str,
        /// The tensors concerned, each with its number of such elements.
        tensors: Vec<(String, u64)>,
    },
}

impl Error {
    /// What a backend says of a tensor that it can't use; [`Error::at`] says which one.
    pub fn layout(problem: impl Into<String>) -> Self {
        Error::Layout { index: None, name: String::new(), problem: problem.into() }
    }

    /// The same, said of the `index`th tensor. Whoever knows the names replaces the index by the name later.
    #[must_use]
    pub fn at(mut self, at: usize) -> Self {
        if let Error::Layout { index, name, .. } = &mut self {
            *index = Some(at);
            *name = at.to_string();
        }
        self
    }

    /// What is said of two tensors that share memory; whoever knows the names replaces the indices by them later.
    pub fn overlap((a, b): (usize, usize), problem: &'static str) -> Self {
        let indices = (a.min(b), a.max(b));
        Error::Overlap { indices, names: (indices.0.to_string(), indices.1.to_string()), problem }
    }

    pub(crate) fn config(argument: &'static str, value: impl fmt::Display, valid: impl Into<String>) -> Self {
        Error::Config { argument, value: value.to_string(), valid: valid.into() }
    }
}

/// How many names of a long list a message spells out.
const SPELLED_OUT: usize = 5;

/// Items in quotes, the first few of them.
fn list<T>(f: &mut fmt::Formatter<'_>, items: &[T], mut show: impl FnMut(&T) -> String) -> fmt::Result {
    for (i, item) in items.iter().take(SPELLED_OUT).enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        f.write_str(&show(item))?;
    }
    match items.len().saturating_sub(SPELLED_OUT) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

struct Difference<'a>(&'a [String], &'a [String]);

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |name: &String| format!("\"{name}\"");
        if !self.0.is_empty() {
            f.write_str("missing ")?;
            list(f, self.0, quoted)?;
        }
        if !self.1.is_empty() {
            f.write_str(if self.0.is_empty() { "unexpected " } else { "; unexpected " })?;
            list(f, self.1, quoted)?;
        }
        Ok(())
    }
}

struct Counts<'a>(&'a [(String, u64)]);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.0, |(name, count)| format!("\"{name}\" ({count})"))
    }
}

/// A shape as Python writes it, which is how users of either language know it.
pub(crate) struct Tuple<'a>(pub &'a [usize]);

impl fmt::Display for Tuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        for (i, n) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{n}")?;
        }
        f.write_str(if self.0.len() == 1 { ",)" } else { ")" })
    }
}

/// The name of a file as text: it may have bytes that are none, and with these replaced it would be another name.
pub(crate) struct FileName<'a>(pub &'a OsStr);

impl fmt::Display for FileName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_encoded_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_tensor_the_value_and_what_is_valid() {
        let shape = Error::Shape { name: "w".into(), expected: vec![3], found: vec![3, 4] };
        assert_eq!(shape.to_string(), "parameter \"w\" has shape (3, 4), expected (3,)");
        let names = Error::Names { missing: vec!["a".into()], unexpected: vec!["b".into(), "c".into()] };
        assert_eq!(
            names.to_string(),
            "the parameters are not those that are averaged: missing \"a\"; unexpected \"b\", \"c\""
        );
        let decay = Error::config("decay", 1.5, "a number in [0, 1]");
        assert_eq!(decay.to_string(), "decay must be a number in [0, 1], got 1.5");
    }

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let tensors = (0..8).map(|i| (i.to_string(), 1)).collect();
        let text = Error::NonFinite { call: "update", outcome: "kept", tensors }.to_string();
        assert!(text.ends_with("\"4\" (1) and 3 more: kept"), "{text}");
    }
}
