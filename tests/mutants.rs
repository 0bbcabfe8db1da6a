//! The list of mutants still fits the source. Running them is `make mutants`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

use std::collections::BTreeSet;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    file: String,
    breaks: String,
    before: String,
    after: String,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_mutant_fits_exactly_one_place_and_the_table_tells_that_it_is_caught() {
    let mutants: Vec<Mutant> = serde_saphyr::from_str(&read("tests/mutants/mutants.yaml")).unwrap();
    assert!(mutants.len() >= 30);
    let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
    assert_eq!(names.len(), mutants.len(), "names are unique");
    let table = read("docs/mutants.md");
    for Mutant {
        name,
        file,
        breaks,
        before,
        after,
    } in &mutants
    {
        assert_eq!(
            read(file).matches(before.as_str()).count(),
            1,
            "{name} in {file}"
        );
        assert_ne!(before, after, "{name}");
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("| {name} |")));
        let row = row
            .unwrap_or_else(|| panic!("docs/mutants.md has no row for {name}; run `make mutants`"));
        assert!(
            row.contains(breaks.as_str()) && !row.contains("SURVIVED"),
            "{row}"
        );
    }
}
