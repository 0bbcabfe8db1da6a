//! The arrows of the architecture: `main → cli → operator → { render, check, diff, record, simulate } → plan → model → api`, and the ledger,
//! which stands on `api` alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its switches from the environment"
)]

use std::path::{Path, PathBuf};

/// Module and what it may import of the crate.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("api", &[]),
    ("ledger", &["api"]),
    ("model", &["api"]),
    ("plan", &["model", "api"]),
    ("diff", &["plan", "model", "api"]),
    ("check", &["diff", "plan", "model", "api"]),
    ("record", &["ledger", "diff", "plan", "model", "api"]),
    ("simulate", &["diff", "check", "plan", "model", "api"]),
    (
        "render",
        &[
            "ledger", "simulate", "diff", "check", "plan", "model", "api",
        ],
    ),
    (
        "operator",
        &[
            "record", "ledger", "render", "check", "diff", "simulate", "plan", "model", "api",
        ],
    ),
    (
        "cli",
        &[
            "operator", "record", "ledger", "render", "check", "diff", "simulate", "plan", "model",
            "api",
        ],
    ),
];

/// The one file beside `operator` and `cli` that does I/O: where a ledger is a directory.
const LEDGER_DIRECTORY: &str = "ledger/directory.rs";

/// What only `operator`, `cli` and [`LEDGER_DIRECTORY`] may name.
const OUTSIDE_WORLD: [&str; 12] = [
    "kube::Client",
    "kube::client",
    "kube::runtime",
    "kube::Api",
    "kube::api::",
    "tokio::",
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::time",
    "std::thread",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its module and its code: without comments, and without a test module at its end.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let first = relative
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_str()
                .unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text
                .lines()
                .take_while(|line| line.trim() != "#[cfg(test)]")
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            (relative, module, code.join("\n"))
        })
        .collect()
}

/// The modules of the crate that the code names, also within `use crate::{…}`.
fn imports(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect()
    };
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => modules.push(word(rest)),
            Some(group) => {
                let mut depth = 1;
                let mut begins = true;
                for (at, letter) in group.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => begins = true,
                        letter if begins && letter.is_ascii_alphabetic() => {
                            modules.push(word(&group[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    modules
}

#[test]
fn nothing_imports_leftwards() {
    let mut wrong = Vec::new();
    for (path, module, code) in sources() {
        if module == "main" || module == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "src/{} belongs to no known module; give `{module}` its place in the arrows",
                path.display()
            ));
            continue;
        };
        for import in imports(&code) {
            let known = MAY_IMPORT.iter().any(|(name, _)| *name == import);
            if known && import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!(
                    "src/{} imports `{import}`, and `{module}` must not know it",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_operator_and_cli_touch_the_outside_world() {
    let mut wrong = Vec::new();
    for (path, module, code) in sources() {
        if ["operator", "cli", "main", "lib"].contains(&module.as_str())
            || path == Path::new(LEDGER_DIRECTORY)
        {
            continue;
        }
        for name in OUTSIDE_WORLD {
            if code.contains(name) {
                wrong.push(format!(
                    "src/{} names `{name}`; the core is handed what it needs",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_may_not_do_and_keeps_its_length() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (path, ..) in sources() {
        let text = std::fs::read_to_string(root.join(&path)).unwrap();
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        if !text.starts_with("//!") && !is_test {
            wrong.push(format!("src/{} does not say what it is", path.display()));
        }
        let lines = text.lines().count();
        if lines > 800 {
            wrong.push(format!(
                "src/{} has {lines} lines; take it apart",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scanner_sees_what_it_should() {
    assert_eq!(imports("use crate::plan::plan;"), ["plan"]);
    assert_eq!(
        imports("use crate::{api::{A, B}, model};"),
        ["api", "model"]
    );
    assert_eq!(
        imports("pub(crate) fn x() { crate::diff::diff() }"),
        ["diff"]
    );
}
