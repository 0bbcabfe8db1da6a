//! The command line without a cluster: what it reads, how it refuses, what it exits with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: acme-prod\n  labels:\n    privacy.cloudnexus.io/tenant: acme\n";

fn covenant(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn refused(input: &str, expected: &[&str]) {
    let output = covenant(&["plan", "-f", "-", "--at", "2026-11-24"], input);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}{}", out(&output));
    assert_eq!(out(&output), "", "no plan stands on half of the documents");
    for words in expected {
        assert!(errors.contains(words), "`{words}` is not in:\n{errors}");
    }
}

#[test]
fn exit_codes_tell_changes_from_rest_and_from_errors() {
    let rest = covenant(&["plan", "-f", "-"], "");
    assert_eq!(rest.status.code(), Some(0), "{}", errors(&rest));
    assert!(out(&rest).ends_with("Grants: none. Nothing to change.\n"));
    let changes = covenant(&["plan", "-f", "-"], NAMESPACE);
    assert_eq!(changes.status.code(), Some(2));
    let wrong = covenant(&["plan", "-f", "no-such-file.yaml"], "");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(errors(&wrong).contains("no-such-file.yaml:1: cannot be read"));
    let usage = covenant(&["plan", "-f", "-", "--at", "tomorrow"], "");
    assert_eq!(usage.status.code(), Some(1));
    assert!(errors(&usage).contains("neither an instant"));
}

#[test]
fn every_bad_document_is_reported_with_its_line() {
    let text = "# a comment\n---\nkind: [\n---\napiVersion: privacy.cloudnexus.io/v1alpha1\nkind: DataSharingGrants\nmetadata: {name: a}\n---\n\napiVersion: v1\nkind: Namespace\nmetadata: {}\n";
    refused(
        text,
        &[
            "-:3: is not valid YAML: unclosed bracket",
            "is not valid YAML",
            "-:5: there is no kind DataSharingGrants",
            "-:10: Namespace needs metadata.name",
            "3 things cannot be read",
        ],
    );
}

#[test]
fn fields_and_values_that_there_are_not_are_refused() {
    let grant = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/vendor-push/grant.yaml"),
    )
    .unwrap();
    refused(
        &grant.replace("justification:", "justifikation:"),
        &["justifikation"],
    );
    refused(
        &grant.replace("spec:", "sepc:"),
        &["there is no field sepc"],
    );
    refused(
        &grant.replace(
            "  namespace: acme-prod",
            "  namespace: acme-prod\n  lables: {}",
        ),
        &["there is no field metadata.lables"],
    );
    refused(
        &grant.replace("direction: Push", "direction: Sideways"),
        &["spec.direction", "Sideways"],
    );
    refused(
        &grant.replace("v1alpha1", "v1"),
        &["there is no kind DataSharingGrant in privacy.cloudnexus.io/v1"],
    );
    refused(
        &grant.replace("purpose:", "direction: Pull\n  purpose:"),
        &["is not valid YAML"],
    );
}

#[test]
fn words_that_yaml_reads_as_something_else_are_refused_as_kubectl_refuses_them() {
    let namespace = |value: &str| NAMESPACE.replace("tenant: acme", &format!("tenant: {value}"));
    // Unquoted, these are a boolean and numbers, and labels are text.
    for value in ["yes", "on", "y", "True", "0755", "1e3", "1_000", "12", "~"] {
        refused(&namespace(value), &["metadata.labels"]);
    }
    let quoted = covenant(&["plan", "-f", "-"], &namespace("\"yes\""));
    assert_eq!(quoted.status.code(), Some(2), "{}", errors(&quoted));
}

#[test]
fn an_object_given_twice_is_refused_and_both_places_are_named() {
    refused(
        &format!("{NAMESPACE}---\n{NAMESPACE}"),
        &["-:8: Namespace acme-prod is given twice; the first is at -:1"],
    );
}

#[test]
fn lists_are_expanded_and_other_peoples_kinds_passed_over() {
    let indented = NAMESPACE.replace('\n', "\n  ");
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {indented}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\n---\n\n"
    );
    let output = covenant(&["plan", "-f", "-"], &text);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    assert!(out(&output).contains("Namespace acme-prod: in force for tenant acme"));
}

#[test]
fn directories_are_read_one_level_deep_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("below")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "kind: [").unwrap();
    std::fs::write(folder.path().join("a.yml"), "").unwrap();
    std::fs::write(folder.path().join("below/namespace.yaml"), NAMESPACE).unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(covenant(&["plan", "-f", path], "").status.code(), Some(0));
    assert_eq!(
        covenant(&["plan", "-f", path, "-R"], "").status.code(),
        Some(2)
    );
}

#[test]
fn json_is_versioned_and_yaml_says_the_same() {
    let arguments = |output| {
        [
            "plan",
            "-f",
            "examples/vendor-push",
            "--at",
            "2026-11-24",
            "-o",
            output,
        ]
    };
    let json: serde_json::Value =
        serde_json::from_str(&out(&covenant(&arguments("json"), ""))).unwrap();
    assert_eq!(json["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    assert_eq!(json["kind"], "PlanReport");
    assert_eq!(json["namespaces"][0]["grants"][0]["state"], "Open");
    assert_eq!(
        json["namespaces"][0]["grants"][0]["closesBecause"],
        "AgreementEnds"
    );
    let yaml: serde_json::Value =
        serde_saphyr::from_str(&out(&covenant(&arguments("yaml"), ""))).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn a_pipe_gets_no_colours() {
    let output = covenant(
        &["plan", "-f", "examples/refused", "--at", "2026-11-24"],
        "",
    );
    assert!(!out(&output).contains('\u{1b}'));
}

#[test]
fn explain_tells_gates_ends_and_what_to_do() {
    let open = out(&covenant(
        &[
            "explain",
            "dsg",
            "metrics-to-datadog",
            "-f",
            "examples/vendor-push",
            "--at",
            "2026-11-24",
        ],
        "",
    ));
    assert!(
        open.contains("DataSharingGrant acme-prod/metrics-to-datadog is open"),
        "{open}"
    );
    assert!(
        open.contains("the vendor's agreement ends (the earliest: the path closes then)"),
        "{open}"
    );
    let closed = out(&covenant(
        &[
            "explain",
            "dsg",
            "campaign",
            "-n",
            "acme-prod",
            "-f",
            "examples/refused",
            "--at",
            "2026-11-24",
        ],
        "",
    ));
    assert!(
        closed.contains("✗ its purpose may be permitted"),
        "{closed}"
    );
    let json = out(&covenant(
        &[
            "explain",
            "dsg",
            "campaign",
            "-f",
            "examples/refused",
            "--at",
            "2026-11-24",
            "-o",
            "json",
        ],
        "",
    ));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["kind"], "GrantStory");
    let missing = covenant(&["explain", "dsg", "nothing", "-f", "examples/refused"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(errors(&missing).contains("there is no DataSharingGrant nothing"));
}

#[test]
fn crds_are_printed_as_one_text_of_many_documents() {
    let text = out(&covenant(&["crds"], ""));
    assert_eq!(text.matches("kind: CustomResourceDefinition").count(), 10);
    let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(values.len(), 10);
}
