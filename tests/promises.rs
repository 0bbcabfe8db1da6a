//! Every promise of docs/promises.md has a control and tests, and the tests exist.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use std::path::Path;

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_promise_has_a_control_and_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    sources(&root.join("tests"), &mut tests);
    let table = std::fs::read_to_string(root.join("docs/promises.md")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| P"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let promises: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(
        promises,
        [
            "P01", "P02", "P03", "P04", "P05", "P07", "P09", "P13", "P14", "P17"
        ]
    );
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(!row[2].is_empty(), "{} has no control", row[0]);
        let named: Vec<&str> = row[3]
            .split(',')
            .map(|name| name.trim().trim_matches('`'))
            .collect();
        assert!(named.len() > 1, "{} has too few tests", row[0]);
        for name in named {
            assert!(
                tests.contains(&format!("fn {name}(")),
                "{} names a test that does not exist: {name}",
                row[0]
            );
        }
    }
}
