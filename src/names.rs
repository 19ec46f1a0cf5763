//! Lists of names, compared with each other: mostly they have the same names in the same order.

use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Whether two lists have the same names, in whatever order.
///
/// # Errors
/// [`Error::Names`] if not.
pub fn check<'n>(expected: impl Iterator<Item = &'n String> + Clone, given: &[String]) -> Result<()> {
    if expected.clone().eq(given) {
        return Ok(());
    }
    let (known, found): (HashSet<_>, HashSet<_>) = (expected.clone().collect(), given.iter().collect());
    let missing: Vec<_> = expected.filter(|name| !found.contains(name)).cloned().collect();
    let unexpected: Vec<_> = given.iter().filter(|name| !known.contains(name)).cloned().collect();
    if missing.is_empty() && unexpected.is_empty() { Ok(()) } else { Err(Error::Names { missing, unexpected }) }
}

/// Whether the names of parameters differ from each other.
///
/// # Errors
/// [`Error::Config`] if not.
pub fn check_different(names: &[String]) -> Result<()> {
    match repeated(names.iter()) {
        None => Ok(()),
        Some(twice) => Err(Error::config("params", format_args!("\"{twice}\" twice"), "tensors of different names")),
    }
}

/// A name that is in a list twice.
pub fn repeated<'n>(names: impl Iterator<Item = &'n String>) -> Option<&'n String> {
    let mut names: Vec<_> = names.collect();
    // Mostly they are in order or nearly so, and then quicker sorted than hashed.
    names.sort();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Where each of some different names is.
pub struct Index<'n> {
    names: Vec<&'n str>,
    /// The place after that of the name asked for last.
    next: usize,
    /// Made for the first name that is not there.
    table: Option<HashMap<&'n str, usize>>,
}

impl<'n> Index<'n> {
    pub fn new(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self { names: names.into_iter().collect(), next: 0, table: None }
    }

    /// The place of a name.
    pub fn find(&mut self, name: &str) -> Option<usize> {
        let place = match self.names.get(self.next) {
            Some(&next) if next == name => self.next,
            _ => {
                let names = &self.names;
                let table = || names.iter().enumerate().map(|(place, &name)| (name, place)).collect();
                *self.table.get_or_insert_with(table).get(name)?
            }
        };
        self.next = place + 1;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_whatever_order_and_no_other() {
        let names = ["a", "b", "c", "d"];
        for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["a", "c", "d", "b"], ["a", "a", "b", "b"]] {
            let mut index = Index::new(names);
            for name in order {
                assert_eq!(index.find(name).map(|place| names[place]), Some(name));
                assert_eq!(index.find("e"), None);
            }
        }
        assert_eq!(Index::new([]).find("a"), None);
    }

    #[test]
    fn a_name_that_is_there_twice_is_found_wherever_it_is() {
        let names = |names: &str| names.chars().map(String::from).collect::<Vec<_>>();
        for (list, twice) in [("", None), ("a", None), ("cab", None), ("abca", Some("a")), ("cbb", Some("b"))] {
            assert_eq!(repeated(names(list).iter()).map(String::as_str), twice, "{list}");
        }
    }

    #[test]
    fn names_in_their_own_order_are_not_hashed() {
        let names: Vec<String> = (0..100).map(|name| name.to_string()).collect();
        let mut index = Index::new(names.iter().map(String::as_str));
        let found: Vec<_> = names.iter().map(|name| index.find(name)).collect();
        assert_eq!(found, (0..100).map(Some).collect::<Vec<_>>());
        assert!(index.table.is_none());
        assert_eq!(index.find("7"), Some(7));
        assert!(index.table.is_some());
    }
}
