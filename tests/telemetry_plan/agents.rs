//! The table of agents: what a baseline that names one makes guards read, and the table as people read it.

use covenant::api::{AgentKind, GuardedMarkers};
use covenant::model::telemetry::agents::{Agent, Checked, Markers, TABLE, row};
use serde_json::json;

use super::markers::guarded;

fn told(markers: &Markers) -> GuardedMarkers {
    let map = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        owned.collect()
    };
    GuardedMarkers {
        annotations: map(markers.annotations),
        labels: map(markers.labels),
    }
}

#[test]
fn guards_read_of_each_agent_what_its_row_says() {
    for agent in &TABLE {
        let respects = format!("{:?}", agent.kind);
        let told_of = guarded(json!([{
            "name": "agent", "channel": "PlatformTelemetry", "respects": respects, "processorRef": { "name": "x" },
        }]));
        assert_eq!(told_of.pods, told(&agent.pods), "{respects}");
        assert_eq!(told_of.namespaces, told(&agent.namespaces), "{respects}");
        assert_eq!(
            told_of.where_present,
            told(&agent.where_present),
            "{respects}"
        );
        assert_eq!(told_of.refuses, agent.collects_by, "{respects}");
    }
}

#[test]
fn every_kind_but_none_has_a_row_and_every_row_names_its_source() {
    for kind in AgentKind::ALL {
        assert_eq!(row(kind).is_none(), kind == AgentKind::None, "{kind:?}");
    }
    assert!(TABLE.is_sorted_by_key(|agent| agent.kind));
    for agent in &TABLE {
        assert!(!agent.source.is_empty(), "{:?}", agent.kind);
        assert!(agent.collects_by.is_sorted(), "{:?}", agent.kind);
    }
}

#[test]
fn the_agents_of_the_whole_table_can_be_registered_together() {
    let all = TABLE.iter().map(|agent| {
        let kind = format!("{:?}", agent.kind);
        json!({ "name": kind.to_lowercase(), "channel": "PlatformTelemetry", "respects": kind, "processorRef": { "name": "x" } })
    });
    let told_of = guarded(all.collect());
    assert_eq!(told_of.pods.annotations.len(), 4);
    assert_eq!(told_of.pods.labels.len(), 2);
}

#[test]
fn the_table_that_people_read_is_the_table() {
    let text = include_str!("../../docs/telemetry.md");
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| agent |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let pairs = |pairs: &[(&str, &str)], what: &str| -> Vec<String> {
        let told = pairs
            .iter()
            .map(|(key, value)| format!("{what} `{key}: \"{value}\"`"));
        told.collect()
    };
    let cell = |cell: Vec<String>| {
        if cell.is_empty() {
            "–".to_owned()
        } else {
            cell.join(", ")
        }
    };
    let markers = |markers: &Markers| {
        let mut all = pairs(markers.annotations, "annotation");
        all.extend(pairs(markers.labels, "label"));
        cell(all)
    };
    let line = |agent: &Agent| {
        let collects_by = agent.collects_by.iter().map(|kind| format!("`{kind}`"));
        format!(
            "| {:?} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            agent.kind,
            markers(&agent.pods),
            markers(&agent.namespaces),
            markers(&agent.where_present),
            cell(collects_by.collect()),
            if agent.reads_nodes { "yes" } else { "no" },
            if agent.injects { "yes" } else { "no" },
            agent.source,
            agent.checked,
            agent.tried,
        )
    };
    let expected: Vec<String> = TABLE.iter().map(line).collect();
    assert_eq!(
        rows,
        expected,
        "docs/telemetry.md must have:\n{}",
        expected.join("\n")
    );
    let unverified = TABLE.iter().filter(|agent| agent.checked == Checked::Not);
    assert_eq!(
        unverified.count(),
        3,
        "these rows say that they were not verified"
    );
}
