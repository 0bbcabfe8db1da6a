//! The table of the docs is the table of the code.

use std::collections::BTreeSet;
use std::path::Path;

use covenant::model::encryption::transit::{Judged, Row, TABLE, kinds};

const BEGIN: &str = "<!-- the table -->\n";
const END: &str = "<!-- the end of the table -->\n";

fn line(row: &Row) -> String {
    let group = row.groups.join(", ");
    let group = if group.is_empty() { "core" } else { &group };
    let controller = if row.controller.is_empty() {
        "any"
    } else {
        row.controller
    };
    let judged = match row.judged {
        Judged::By(_) => "judged".to_owned(),
        Judged::Not(why) | Judged::Unseen(why) => format!("not judged: {why}"),
    };
    // Where another row of the kind does.
    let judged = judged.replace("not judged: judged", "judged");
    format!(
        "| {} | {group} | {controller} | {} | {judged} | {} | {} |\n",
        row.kind, row.field, row.source, row.checked
    )
}

#[test]
fn the_docs_have_the_table_row_by_row() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/encryption-transit.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    let mut expected = "\n| kind | group | carried out by | what decides | | read in | how far |\n|---|---|---|---|---|---|---|\n".to_owned();
    expected.extend(TABLE.iter().map(line));
    expected.push('\n');
    if std::env::var_os("COVENANT_WRITE_TABLES").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table, expected, "COVENANT_WRITE_TABLES=1 writes it anew");
}

#[test]
fn every_row_has_a_source_and_every_kind_is_looked_for_once_by_a_rule_of_the_chart() {
    for row in TABLE {
        assert!(!row.source.is_empty(), "{row:?}");
        assert!(
            !matches!(row.judged, Judged::Unseen("")),
            "it says neither how it is judged nor why not: {row:?}"
        );
    }
    let chart =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/covenant/templates/rbac-operator.yaml");
    let rules = std::fs::read_to_string(chart).unwrap();
    let mut seen = BTreeSet::new();
    for kind in kinds() {
        assert!(seen.insert(kind.definition()), "twice: {kind:?}");
        let rule = rules.split("- apiGroups: ").any(|rule| {
            let (groups, rest) = rule.split_once(']').unwrap_or_default();
            let words = |text: &str| -> BTreeSet<String> {
                let words = text.split(|letter: char| {
                    !letter.is_alphanumeric() && letter != '.' && letter != '-'
                });
                words.map(str::to_owned).collect()
            };
            words(groups).contains(kind.group)
                && words(rest).contains(kind.plural)
                && rest.contains("verbs: [list, watch]")
        });
        assert!(
            rule,
            "the chart lets the operator list and watch no {}",
            kind.definition()
        );
    }
}
