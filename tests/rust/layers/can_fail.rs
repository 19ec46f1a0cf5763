//! The rules can fail: each fabricated source breaks one of them, or looks as if it did.

use super::{MAX_LINES, check};

/// What `check` says of one file with this body under a proper first line; the body begins on line 2.
fn found(path: &str, body: &str) -> Vec<String> {
    check(&[(path.to_owned(), format!("//! Duty.\n{body}"))])
}

fn caught(path: &str, body: &str, violations: &[&str]) {
    assert_eq!(found(path, body), violations, "{path}: {body}");
}

fn fine(path: &str, body: &str) {
    caught(path, body, &[]);
}

#[test]
fn an_arrow_upwards() {
    let violation = ["dtype.rs:2: dtype may not name kernel"];
    for body in [
        "use crate::kernel::scalar;",
        "pub(crate) use crate::{error::Error, kernel::*};",
        "use crate::{kernel};",
        "use super::kernel::scalar;",
        "use self::super::kernel;",
        "use super::{error::Error, kernel::{scalar, View}};",
        "mod sealed { use super::super::kernel::View; }",
        "fn f() -> crate::kernel::View { todo!() }",
        "impl From<u8> for T where T: crate::kernel::V {}",
        "pub(in crate::kernel) fn f() {}",
        "fn f() { assert!(crate::kernel::ready(), \"{}\", 1); }",
        "macro_rules! m { ($x:expr) => { $crate::kernel::f($x) }; }",
        "#[derive(crate::kernel::D)] struct S;",
    ] {
        caught("dtype.rs", body, &violation);
    }
    caught("kernel/scalar.rs", "use super::super::engine::Pool;", &["kernel/scalar.rs:2: kernel may not name engine"]);
    caught("kernel/mod.rs", "use super::engine::Pool;", &["kernel/mod.rs:2: kernel may not name engine"]);
    caught("ema.rs", "\n\nuse crate::averages::Averages;", &["ema.rs:4: ema may not name averages"]);
    caught(
        "ledger.rs",
        "use crate::{ema, python};",
        &["ledger.rs:2: ledger may not name ema", "ledger.rs:2: ledger may not name python"],
    );
}

#[test]
fn an_arrow_downwards_or_none() {
    fine("dtype.rs", "use crate::error::{Error, Result};\nuse std::fmt;\npub(crate) fn f() {}\npub(super) fn g() {}");
    fine("kernel/scalar.rs", "use super::{View, scalar::f};\nuse super::super::dtype::DType;\nuse crate::kernel::K;");
    fine(
        "kernel/mod.rs",
        "mod scalar;\nmod inner { use super::scalar::f; fn g(&self) { self.f() } }\nuse self::scalar::g;",
    );
    fine(
        "python/ema.rs",
        "use crate::{averages::A, ema::EMA, error, schedule::S};\nuse pyo3::prelude::*;\nuse numpy::P;",
    );
    fine("backend/ndarray.rs", "use ndarray::ArrayD;\nuse rayon::prelude::*;");
    fine("lib.rs", "pub mod ema;\npub use crate::{EMA, ema::EMA};\npub use python::x;");
}

#[test]
fn what_is_no_code() {
    fine("dtype.rs", "/// As [`crate::kernel`] and pyo3 have it; unsafe.\nfn f() {} // use crate::kernel;");
    fine("dtype.rs", "/* use crate::kernel; unsafe {} */ const S: &str = \"crate::kernel unsafe pyo3\";");
    fine("dtype.rs", "/// ```\n/// use crate::kernel;\n/// ```\n#[cfg(feature = \"numpy\")]\nfn f() {}");
}

#[test]
fn tests_may_name_anything() {
    fine("dtype.rs", "#[cfg(test)]\nmod tests { use super::*; use crate::{ema::EMA, anything::T}; }");
    fine("dtype.rs", "#[cfg(test)]\n#[allow(unused)]\nuse crate::ema::EMA;\n#[cfg(all(test, unix))] use crate::ema;");
    fine("kernel/tests.rs", "use crate::ema::EMA;");
    let after = "#[cfg(test)]\nmod tests { use crate::ema; }\nuse crate::engine;";
    caught("dtype.rs", after, &["dtype.rs:4: dtype may not name engine"]);
    for not_only in ["#[cfg(not(test))]", "#[cfg(any(test, unix))]"] {
        caught("dtype.rs", &format!("{not_only} use crate::ema;"), &["dtype.rs:2: dtype may not name ema"]);
    }
    let body = "#[cfg(test)]\nmod tests { fn f() { unsafe { g() } } use numpy::N; }";
    caught(
        "ema.rs",
        body,
        &[
            "ema.rs:3: `unsafe` in ema",
            "ema.rs:3: `unsafe` without a `// SAFETY:` comment above it",
            "ema.rs:3: ema may not say `numpy`",
        ],
    );
}

#[test]
fn a_room_outside_the_table() {
    caught("utils.rs", "use crate::ema;", &["utils.rs:1: `utils` is not a room of the table"]);
    caught("utils/mod.rs", "", &["utils/mod.rs:1: `utils` is not a room of the table"]);
    caught("ema.rs", "use crate::utils::f;", &["ema.rs:2: `crate::utils` is no room of the table"]);
    caught(
        "ema.rs",
        "use crate::{Error, *};",
        &["ema.rs:2: `crate::Error` is no room of the table", "ema.rs:2: `crate::*` is no room of the table"],
    );
    caught("ema.rs", "#[macro_use]\nmod m;", &["ema.rs:2: `#[macro_use]` hides an arrow"]);
    caught("ema.rs", "#[path = \"python/m.rs\"]\nmod m;", &["ema.rs:2: `#[path]` hides an arrow"]);
}

#[test]
fn a_crate_where_it_must_not_be() {
    caught("kernel/mod.rs", "use ndarray::Array;", &["kernel/mod.rs:2: kernel may not say `ndarray`"]);
    caught("kernel/mod.rs", "fn f() { rayon::join(a, b); }", &["kernel/mod.rs:2: kernel may not say `rayon`"]);
    caught("ema.rs", "use candle_nn::VarMap;", &["ema.rs:2: ema may not say `candle_nn`"]);
    caught("ema.rs", "use pyo3::prelude::*;", &["ema.rs:2: ema may not say `pyo3`"]);
    caught("backend/ndarray.rs", "use ::numpy::P;", &["backend/ndarray.rs:2: backend may not say `numpy`"]);
    caught("lib.rs", "#![cfg_attr(doc, pyo3::x)]", &["lib.rs:2: lib may not say `pyo3`"]);
    let attribute = "#[cfg_attr(feature = \"python\", pyo3::pyclass)]\nstruct S;";
    caught("lib.rs", attribute, &["lib.rs:2: lib may not say `pyo3`"]);
}

#[test]
fn unsafe_in_another_room() {
    let safety = "// SAFETY: checked above.\nfn f() { g() }\n// SAFETY: the same.\nunsafe impl Send for S {}";
    fine("python/array.rs", safety);
    caught("engine/mod.rs", safety, &["engine/mod.rs:5: `unsafe` in engine"]);
}

#[test]
fn unsafe_that_says_why() {
    for body in [
        "fn f() {\n    // SAFETY: in bounds,\n    // as checked.\n    unsafe { g() }\n}",
        "fn f() {\n    // SAFETY: in bounds.\n    let x =\n        unsafe { g() };\n}",
        "fn f() {\n    // SAFETY: in bounds.\n    let S { a, b } = h(1, unsafe { g() });\n}",
        "fn f() {\n    match x {\n        // SAFETY: in bounds.\n        1 => unsafe { g() },\n    }\n}",
        "fn f() {\n    match x {\n        1 =>\n        // SAFETY: in bounds.\n        unsafe { g() },\n    }\n}",
        "fn f() {\n    // SAFETY: in bounds.\n    h(\n        unsafe { g() },\n    );\n}",
        "fn f() {\n    h();\n    // SAFETY: in bounds.\n    #[allow(x)]\n    unsafe { g() }\n}",
        "// SAFETY: plain memory.\nunsafe impl Pod for S {}",
        "// SAFETY: as C declares it.\nunsafe extern \"C\" {}",
        "/// Does.\n///\n/// # Safety\n/// In bounds.\n#[inline]\npub unsafe fn f<A, B>() {}",
        "impl S {\n    fn g() {}\n    /// # Safety\n    /// In bounds.\n    pub unsafe extern \"C\" fn f() {}\n}",
        "type F = unsafe fn(usize);\nstruct S { f: unsafe extern \"C\" fn(usize) }",
    ] {
        fine("kernel/mod.rs", body);
    }
}

#[test]
fn unsafe_that_does_not() {
    let undocumented = "`unsafe` without a `// SAFETY:` comment above it";
    for (body, line, what) in [
        ("fn f() { unsafe { g() } }", 2, undocumented),
        ("// SAFETY: too early.\nfn f() {\n    unsafe { g() }\n}", 4, undocumented),
        ("// SAFETY: not adjacent.\n\nunsafe impl Send for S {}", 4, undocumented),
        ("// SAFETY: of another.\nmod m {}\nunsafe impl Send for S {}", 4, undocumented),
        ("use y;\n// SAFETY: of another.\n#[cfg(test)]\nuse x;\nunsafe impl Send for S {}", 6, undocumented),
        ("fn f() {\n    // SAFETY: of h.\n    h(|| {\n        unsafe { g() }\n    });\n}", 5, undocumented),
        ("// No SAFETY: of it.\nunsafe impl Send for S {}", 3, undocumented),
        ("// Sound.\nunsafe impl Send for S {}", 3, undocumented),
        ("fn f() {\n    // SAFETY: one.\n    unsafe { g() };\n    unsafe { h() };\n}", 5, undocumented),
        (
            "fn f() { match x {\n    // SAFETY: one.\n    1 => unsafe { g() },\n    _ => unsafe { h() },\n} }",
            5,
            undocumented,
        ),
        ("macro_rules! m { () => { unsafe { g() } }; }", 2, undocumented),
        ("#[unsafe(no_mangle)]\nfn f() {}", 2, undocumented),
        ("/// Does.\npub unsafe fn f() {}", 3, "`unsafe fn` without a `# Safety` section"),
        ("/// # Safety\n/// One.\nunsafe fn f() {}\nunsafe fn g() {}", 5, "`unsafe fn` without a `# Safety` section"),
        ("pub unsafe trait T {}", 2, "`unsafe trait` without a `# Safety` section"),
    ] {
        caught("kernel/mod.rs", body, &[&format!("kernel/mod.rs:{line}: {what}")]);
    }
}

#[test]
fn a_file_as_such() {
    let file = |source: String| check(&[("ema.rs".to_owned(), source)]);
    assert_eq!(file("use std::fmt;".into()), ["ema.rs:1: does not open with a `//!` line"]);
    assert_eq!(file("\n//! Late.".into()), ["ema.rs:1: does not open with a `//!` line"]);
    assert_eq!(file("//! Duty.\n".repeat(MAX_LINES)), [""; 0]);
    assert_eq!(file("//! Duty.\n".repeat(MAX_LINES + 1)), ["ema.rs:401: has more than 400 lines"]);
    assert_eq!(file("//! Duty.\nfn f( {}".into()), ["ema.rs:2: is not Rust"]);
}

#[test]
fn several_files_at_once() {
    let file = |path: &str, source: &str| (path.to_owned(), source.to_owned());
    let sources = [file("error.rs", "//! E.\nuse crate::dtype;"), file("dtype.rs", "//! D.\nuse crate::ema;")];
    assert_eq!(check(&sources), ["error.rs:2: error may not name dtype", "dtype.rs:2: dtype may not name ema"]);
}
