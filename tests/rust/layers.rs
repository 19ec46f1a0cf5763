//! The house rules of `src/`, read off the sources: which room may name which, where `unsafe` lives, how files open.
//!
//! The rules are read off tokens and not off a syntax tree, because a tree ends where a macro begins and much of this
//! crate is written in macros. Comments are no tokens and documentation is a string, so neither counts as a use.
//! Not seen: a path that a macro pastes together, and `super` inside a module whose name a macro makes up.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{fs, path::Path};
use tokens::{after_colons, after_path, ends_item, means_test, trees};

mod can_fail;
mod tokens;

/// Every room (a file or folder of `src/`) and the rooms that it may name, which all stand above it in this table.
const ROOMS: &[(&str, &str)] = &[
    ("error", ""),
    ("names", "error"),
    ("hex", ""),
    ("dtype", "error"),
    ("descriptor", "dtype error"),
    ("nonfinite", ""),
    ("notice", ""),
    ("schedule", "hex error"),
    ("kernel", "nonfinite descriptor dtype error"),
    ("engine", "kernel nonfinite descriptor dtype error"),
    ("ledger", "schedule notice nonfinite descriptor dtype names error"),
    ("averages", "ledger engine kernel schedule notice nonfinite descriptor dtype error"),
    ("backend", "engine kernel nonfinite descriptor dtype error"),
    ("ema", "backend ledger engine kernel schedule notice nonfinite descriptor dtype error"),
    ("shrew", "ema backend error"),
    (
        "checkpoint",
        "ema backend averages ledger engine kernel schedule notice nonfinite descriptor dtype hex names error",
    ),
    ("burn", "checkpoint averages ledger engine kernel notice dtype names error"),
    (
        "python",
        "checkpoint ema backend averages ledger engine kernel schedule notice nonfinite descriptor dtype names error",
    ),
];

/// The index, `lib.rs`: it declares and re-exports every room, and no room may name what is only there.
const INDEX: &str = "lib";

/// The only rooms with unsafe code.
const UNSAFE_ROOMS: &[&str] = &["kernel", "python"];

const MAX_LINES: usize = 400;

/// Whether a room may say the name of a crate; a name that is none of these is free.
fn may_say(room: &str, name: &str) -> bool {
    match name {
        "pyo3" | "numpy" => room == "python",
        "ndarray" | "rayon" => room != "kernel",
        "candle_core" | "candle_nn" => room == "backend",
        "shrew_core" | "shrew_cpu" => matches!(room, "backend" | "shrew"),
        _ => true,
    }
}

#[test]
fn the_sources_keep_the_rules() {
    let sources = sources();
    assert!(sources.iter().any(|(path, _)| path == "lib.rs"), "no sources were read");
    let found = check(&sources);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_table_points_down_and_is_the_rooms_that_there_are() {
    for (i, (room, may_name)) in ROOMS.iter().enumerate() {
        for name in may_name.split_whitespace() {
            assert!(
                ROOMS[..i].iter().any(|(above, _)| *above == name),
                "{room} may name {name}, which is not above it"
            );
        }
    }
    let sources = sources();
    for (room, _) in ROOMS {
        assert!(sources.iter().any(|(path, _)| room_of(&module_of(path)) == *room), "there is no room {room}");
    }
}

/// The files of `src/`, each with its path from there.
fn sources() -> Vec<(String, String)> {
    fn read(folder: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of src") {
            let path = entry.expect("an entry of src").path();
            let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
            if path.is_dir() {
                read(&path, &format!("{name}/"), into);
            } else if name.ends_with(".rs") {
                into.push((name, fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    let mut sources = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    sources.sort();
    sources
}

/// Every violation in `(path, source)` pairs, as `path:line: what`.
fn check(sources: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, source) in sources {
        let module = module_of(path);
        let mut file = File { room: room_of(&module), path, lines: source.lines().collect(), found: &mut found };
        if !source.starts_with("//! ") {
            file.report(1, "does not open with a `//!` line");
        }
        if file.lines.len() > MAX_LINES {
            file.report(file.lines.len(), &format!("has more than {MAX_LINES} lines"));
        }
        if file.room != INDEX && row(file.room).is_none() {
            file.report(1, &format!("`{}` is not a room of the table", file.room));
        }
        match source.parse::<TokenStream>() {
            Ok(tokens) => {
                let in_test = path == "tests.rs" || path.ends_with("/tests.rs");
                file.walk(&trees(tokens), &Place { module: &module, statement: None, in_test });
            }
            Err(error) => file.report(error.span().start().line, "is not Rust"),
        }
    }
    found
}

/// `kernel/scalar.rs` is the module `kernel::scalar`; `lib.rs` is the crate itself, the empty path.
fn module_of(path: &str) -> Vec<String> {
    let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| name == "mod" || name == INDEX) {
        module.pop();
    }
    module
}

fn room_of(module: &[String]) -> &str {
    module.first().map_or(INDEX, String::as_str)
}

/// The rooms that a room may name, if it is in the table.
fn row(room: &str) -> Option<Vec<&'static str>> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, may_name)| may_name.split_whitespace().collect())
}

/// A file under examination.
struct File<'a> {
    room: &'a str,
    path: &'a str,
    lines: Vec<&'a str>,
    found: &'a mut Vec<String>,
}

/// Where in a file the walk is.
struct Place<'a> {
    module: &'a [String],
    /// The line that the statement around these tokens began on; none where every token may begin one.
    statement: Option<usize>,
    in_test: bool,
}

impl File<'_> {
    fn report(&mut self, line: usize, what: &str) {
        self.found.push(format!("{}:{line}: {what}", self.path));
    }

    fn walk(&mut self, tokens: &[TokenTree], place: &Place<'_>) {
        let mut begins = None;
        let mut i = 0;
        while let Some(token) = tokens.get(i) {
            let line = token.span().start().line;
            let statement = place.statement.unwrap_or(*begins.get_or_insert(line));
            let rest = &tokens[i + 1..];
            let mut taken = 1;
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    self.walk(&trees(group.stream()), &Place { statement: None, ..*place });
                    begins = None;
                }
                TokenTree::Group(group) => {
                    self.walk(&trees(group.stream()), &Place { statement: Some(statement), ..*place });
                }
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    let dealt_with = self.attribute(rest, line, place);
                    if dealt_with > 0 {
                        taken += dealt_with;
                        begins = None;
                    }
                }
                TokenTree::Punct(mark) if matches!(mark.as_char(), ';' | ',') => begins = None,
                TokenTree::Ident(ident) => match (ident.to_string().as_str(), rest) {
                    ("mod", [TokenTree::Ident(name), TokenTree::Group(body), ..]) => {
                        let module = [place.module, &[name.to_string()]].concat();
                        self.walk(&trees(body.stream()), &Place { module: &module, statement: None, ..*place });
                        taken += 2;
                        begins = None;
                    }
                    ("crate", rest) => self.follow(after_colons(rest), &[], place.in_test),
                    ("self" | "super", _) if !after_path(&tokens[..i]) => {
                        self.follow(&tokens[i..], place.module, place.in_test);
                    }
                    ("unsafe", rest) => self.check_unsafe(line, statement, rest),
                    (name, _) if !may_say(self.room, name) => {
                        self.report(line, &format!("{} may not say `{name}`", self.room));
                    }
                    _ => {}
                },
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            i += taken;
        }
    }

    /// An attribute, of which `#` has been read; gives how much of `rest` it dealt with, up to the end of an item.
    fn attribute(&mut self, rest: &[TokenTree], line: usize, place: &Place<'_>) -> usize {
        let (attribute, after) = match rest {
            [TokenTree::Group(attribute), after @ ..] => (attribute, after),
            [TokenTree::Punct(_), TokenTree::Group(inner), ..] => {
                self.walk(&trees(inner.stream()), place);
                return 2;
            }
            _ => return 0,
        };
        let words = trees(attribute.stream());
        if means_test(&words) {
            let end = after.iter().position(ends_item).map_or(after.len(), |at| at + 1);
            self.walk(&after[..end], &Place { in_test: true, ..*place });
            return 1 + end;
        }
        let name = words.first().map(ToString::to_string).unwrap_or_default();
        if name == "path" || name == "macro_use" {
            self.report(line, &format!("`#[{name}]` hides an arrow"));
        }
        0
    }

    /// Follows a path, the rest of which is read from `module`, to the rooms that it leads to.
    fn follow(&mut self, path: &[TokenTree], module: &[String], in_test: bool) {
        match path {
            [TokenTree::Ident(ident), rest @ ..] if ident == "super" => {
                self.follow(after_colons(rest), &module[..module.len().saturating_sub(1)], in_test);
            }
            [TokenTree::Ident(ident), rest @ ..] if ident == "self" => self.follow(after_colons(rest), module, in_test),
            [TokenTree::Group(group), ..] => {
                for part in trees(group.stream()).split(|token| token.to_string() == ",") {
                    self.follow(part, module, in_test);
                }
            }
            [token, ..] if module.is_empty() && !in_test && self.room != INDEX => {
                let (line, name) = (token.span().start().line, token.to_string());
                let known = row(&name).is_some();
                match row(self.room) {
                    _ if !known => self.report(line, &format!("`crate::{name}` is no room of the table")),
                    Some(may_name) if name != self.room && !may_name.contains(&name.as_str()) => {
                        self.report(line, &format!("{} may not name {name}", self.room));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// `unsafe` on `line`, in a statement or item that begins on `statement`, followed by `rest`.
    fn check_unsafe(&mut self, line: usize, statement: usize, rest: &[TokenTree]) {
        if !UNSAFE_ROOMS.contains(&self.room) {
            self.report(line, &format!("`unsafe` in {}", self.room));
        }
        let mut words = rest.iter().skip_while(|token| match token {
            TokenTree::Ident(word) => word == "extern",
            token => matches!(token, TokenTree::Literal(_)),
        });
        let keyword = words.next().map(ToString::to_string).unwrap_or_default();
        let named = matches!(words.next(), Some(TokenTree::Ident(_)));
        let above = |line: usize| {
            let comment = self.lines[..line - 1].iter().rev().map(|text| text.trim_start());
            comment.take_while(|text| text.starts_with("//")).any(|text| text.starts_with("// SAFETY: "))
        };
        match keyword.as_str() {
            "fn" if !named => {} // the type of a function pointer
            "fn" | "trait" => {
                let item = &self.lines[statement - 1..line];
                if !item.iter().any(|text| text.trim_start().starts_with("/// # Safety")) {
                    self.report(line, &format!("`unsafe {keyword}` without a `# Safety` section"));
                }
            }
            _ if above(line) || above(statement) => {}
            _ => self.report(line, "`unsafe` without a `// SAFETY:` comment above it"),
        }
    }
}
