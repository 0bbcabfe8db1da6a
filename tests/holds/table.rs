//! Every way on every kind, by everybody: compared with docs/holds-table.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::raw::Caller;

use super::attempts::{self, Attempt, cell};
use super::kinds::{self, HOLD};
use super::stage::{FIVE, Stage, essence, hold, passes, scoped, stage};

const EVERYBODY: [&str; 8] = [
    "tenant admin",
    "cluster-admin in the namespace",
    "`*` on our kinds in the namespace",
    "admin of another tenant",
    "GitOps (`*`)",
    "platform engineer",
    "officer",
    "system:masters",
];

/// In the order of [`EVERYBODY`].
async fn everybody(stage: &Stage, namespaces: &[&str]) -> Vec<Caller> {
    let cluster = &stage.cluster;
    let admin = stage.admin();
    let keeper = cluster.identity("kinds-keeper").await.unwrap();
    let mut identities = Vec::new();
    for namespace in namespaces {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "our-kinds" },
            "rules": [{ "apiGroups": ["privacy.cloudnexus.io"], "resources": ["*"], "verbs": ["*"] }],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "our-kinds" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "our-kinds" },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "kinds-keeper" }],
        });
        passes(&admin, kinds::ROLE.create(namespace, role)).await;
        passes(&admin, kinds::ROLE_BINDING.create(namespace, binding)).await;
        let boss = cluster
            .namespace_role("table-boss", "cluster-admin", namespace)
            .await
            .unwrap();
        identities = vec![cluster.tenant_admin(namespace).await.unwrap(), boss];
    }
    identities.extend([
        keeper,
        cluster.second_tenant_admin("table-other").await.unwrap(),
        stage.gitops.clone(),
        stage.platform.clone(),
        stage.officer.clone(),
        cluster.admin().clone(),
    ]);
    identities
        .iter()
        .map(|identity| identity.caller().unwrap())
        .collect()
}

/// Rows of equal cells are one row, with all their kinds.
fn rows(text: &mut String, cells: &[(Attempt, Vec<String>)]) {
    let mut grouped: Vec<(&str, Vec<&str>, &Vec<String>)> = Vec::new();
    for (attempt, cells) in cells {
        match grouped
            .iter_mut()
            .find(|(way, _, seen)| *way == attempt.way && *seen == cells)
        {
            Some((_, kinds, _)) => kinds.push(attempt.kind),
            None => grouped.push((attempt.way, vec![attempt.kind], cells)),
        }
    }
    // Rows of one way stand together.
    let mut order: Vec<&str> = Vec::new();
    for (way, _, _) in &grouped {
        if !order.contains(way) {
            order.push(way);
        }
    }
    for way in order {
        for (_, kinds, cells) in grouped.iter().filter(|(other, _, _)| *other == way) {
            writeln!(
                text,
                "| {way} | {} | {} |",
                kinds.join(", "),
                cells.join(" | ")
            )
            .unwrap();
        }
    }
}

fn head(text: &mut String, columns: &[&str]) {
    writeln!(text, "| way | of | {} |", columns.join(" | ")).unwrap();
    writeln!(text, "|{}", "---|".repeat(columns.len() + 2)).unwrap();
}

async fn snapshot(admin: &Caller, namespaces: &[&str]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for namespace in namespaces {
        for kind in kinds::ALL.into_iter().chain([HOLD]) {
            let call = testbed::raw::Call::new("GET", kind.all(namespace));
            let list = passes(admin, call).await;
            for object in list["items"].as_array().unwrap() {
                let key = format!("{namespace}/{}/{}", kind.kind, object["metadata"]["name"]);
                all.insert(key, essence(object));
            }
        }
    }
    all
}

/// Where two guards refuse, an API server names the one that it happened to load first.
fn either(attempt: &Attempt, cell: String) -> String {
    let labels = ["take out of its tenant", "disarm"].contains(&attempt.way);
    if labels && ["Namespace", "covenant-enrolment"].contains(&cell.as_str()) {
        "Namespace, or covenant-enrolment".to_owned()
    } else {
        cell
    }
}

async fn who_is_refused(stage: &Stage, text: &mut String) {
    let namespaces = ["table", "table-labels"];
    stage.enrolled("table-other").await;
    for namespace in namespaces {
        stage.enrolled(namespace).await;
    }
    let people = everybody(stage, &namespaces).await;
    let admin = stage.admin();
    attempts::scene(stage, "table").await;
    stage.objects("table-labels", "kept", &kinds::ALL).await;
    let labelled = |mut hold: Value| {
        hold["metadata"]["labels"] = json!({ "test": "matter" });
        hold
    };
    let by_labels = json!({ "matchLabels": { "case": "a" } });
    stage
        .holds("table", labelled(hold("table", "matter", &FIVE)))
        .await;
    stage
        .holds(
            "table-labels",
            scoped("table-labels", "matter", &FIVE, by_labels),
        )
        .await;

    let mut all = attempts::everything(&admin, "table").await;
    all.extend(
        kinds::ALL
            .iter()
            .map(|kind| attempts::relabelling(kind, "table-labels")),
    );
    all.extend(attempts::on_the_hold("table", "matter"));
    all.extend(attempts::on_the_namespace(&admin, "table").await);

    let before = snapshot(&admin, &namespaces).await;
    let mut cells = Vec::new();
    for attempt in all {
        let answers = join_all(people.iter().map(|who| who.send(&attempt.call))).await;
        let row: Vec<String> = answers
            .into_iter()
            .map(|answer| cell(&attempt, "matter", &answer.unwrap()))
            .map(|cell| either(&attempt, cell))
            .collect();
        assert!(
            !row.contains(&"passes".to_owned()),
            "{attempt:?}\n{EVERYBODY:?}\n{row:?}"
        );
        cells.push((attempt, row));
    }
    let after = snapshot(&admin, &namespaces).await;
    assert_eq!(before, after, "all of it is as it was");
    writeln!(
        text,
        "## Who is refused\n\nUnder a hold with {} and no scope (relabelling: with matchLabels). {} requests, sent for real; afterwards\nevery object was there and as it was. The cell says who refuses: an effect of the hold, `Hold` (an unreleased hold keeps\nitself), `Namespace` (the namespace stays for its holds), RBAC, another guard, or the schema of the kind.\n",
        FIVE.join(", "),
        cells.len() * people.len(),
    )
    .unwrap();
    head(text, &EVERYBODY);
    rows(text, &cells);
}

const EFFECTS: [&[&str]; 7] = [
    &["PreventDeletion"],
    &["PreventAlteration"],
    &["SuspendProcessing"],
    &["PreventDeletion", "SuspendProcessing"],
    &["SuspendProcessing", "EndProcessing"],
    &["SuspendSharing"],
    &["FreezeAccess"],
];

async fn what_each_effect_refuses(stage: &Stage, text: &mut String) {
    let admin = stage.admin();
    let namespaces: Vec<String> = (0..EFFECTS.len())
        .map(|number| format!("effect-{number}"))
        .collect();
    for namespace in &namespaces {
        stage.enrolled(namespace).await;
    }
    let names: Vec<&str> = namespaces.iter().map(String::as_str).collect();
    let people = everybody(stage, &names).await;
    let mut requests = 0;
    let mut columns: Vec<Vec<(Attempt, String)>> = Vec::new();
    for (namespace, effects) in names.iter().zip(EFFECTS) {
        attempts::scene(stage, namespace).await;
        stage
            .holds(namespace, hold(namespace, "matter", effects))
            .await;
        let mut column = Vec::new();
        for mut attempt in attempts::everything(&admin, namespace).await {
            if !attempts::connects(&attempt) {
                attempt.call = attempt.call.dry();
            }
            let answers = join_all(people.iter().map(|who| who.send(&attempt.call))).await;
            requests += answers.len();
            let cells: Vec<String> = answers
                .into_iter()
                .map(|answer| cell(&attempt, "matter", &answer.unwrap()))
                .collect();
            // The last is a member of system:masters. A hold asks nobody's name: whom RBAC lets through is answered alike.
            let alike = cells.last().unwrap().clone();
            for (who, cell) in EVERYBODY.iter().zip(&cells) {
                assert!(
                    *cell == alike || cell == "RBAC",
                    "{effects:?} {attempt:?}: {who} {cell}, system:masters {alike}"
                );
            }
            let seen = if alike == "passes" {
                "goes on"
            } else {
                "refused"
            };
            column.push((attempt, seen.to_owned()));
        }
        columns.push(column);
    }
    let cells: Vec<(Attempt, Vec<String>)> = (0..columns[0].len())
        .map(|row| {
            let cells = columns.iter().map(|column| column[row].1.clone()).collect();
            (columns[0][row].0.clone(), cells)
        })
        .collect();
    writeln!(
        text,
        "\n## What each effect refuses\n\nUnder a hold with that effect alone and no scope. {requests} requests: every way on every kind by each of the eight above.\nWhom RBAC lets through is answered as a member of system:masters is, which is what the cell says.\n"
    )
    .unwrap();
    let names: Vec<String> = EFFECTS.iter().map(|effects| effects.join(" + ")).collect();
    head(text, &names.iter().map(String::as_str).collect::<Vec<_>>());
    rows(text, &cells);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_everybody_is_refused_as_the_table_says() {
    let stage = stage().await;
    let mut text = "# What a hold refuses\n\nWritten by `tests/holds/table.rs` from what an API server answered, with no operator running, and compared with it by\n`cargo test --test holds`. COVENANT_WRITE_TABLES=1 writes it anew.\n\n".to_owned();
    who_is_refused(stage, &mut text).await;
    what_each_effect_refuses(stage, &mut text).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/holds-table.md");
    if std::env::var_os("COVENANT_WRITE_TABLES").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        stored, text,
        "docs/holds-table.md has drifted: COVENANT_WRITE_TABLES=1 writes it"
    );
}
