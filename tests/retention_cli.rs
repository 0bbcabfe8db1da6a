//! `covenant retention` over manifests: what it says, in which form, and what it makes of bad input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const STORY: &str = "examples/retention";
const AT: &str = "2026-11-24";

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
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // Who has read enough, or nothing, closes the pipe.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

#[track_caller]
fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty(), "nothing is told beside a refusal");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

/// A command of `covenant retention` over a story, at the story's instant.
fn told(words: &[&str]) -> Output {
    let mut arguments = vec!["retention"];
    arguments.extend(words);
    arguments.extend(["-f", STORY, "--at", AT]);
    covenant(&arguments, "")
}

/// A preview of a text.
fn preview(input: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["retention", "preview", "-f", "-", "--at", AT];
    arguments.extend(more);
    covenant(&arguments, input)
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: acme-prod, labels: {privacy.cloudnexus.io/tenant: acme}}\n---\n";
const BASELINE: &str = "apiVersion: privacy.cloudnexus.io/v1alpha1\nkind: TenantBaseline\nmetadata: {name: default}\nspec:\n  network: {sameTenant: Deny}\n  grants: {maximumDuration: P90D}\n---\n";

/// A policy over ConfigMaps with the label `data: logs`, read since October.
fn policy(keep: &str, more: &str) -> String {
    format!(
        "apiVersion: privacy.cloudnexus.io/v1alpha1\nkind: RetentionPolicy\nmetadata: {{name: logs, namespace: acme-prod}}\nspec:\n  \
         dataCategory: InfrastructureTelemetry\n  select: [{{apiVersion: v1, kind: ConfigMap, matchLabels: {{data: logs}}}}]\n  \
         keep: {keep}\n  basis: Contract\n{more}\nstatus: {{observedGeneration: 1, since: \"2026-10-01T00:00:00Z\"}}\n---\n"
    )
}

const DISPOSE: &str = "  disposal: {mode: Dispose}";

fn config_map(name: &str, created: Option<&str>, more: &str) -> String {
    let created = created.map_or_else(String::new, |at| format!(", creationTimestamp: \"{at}\""));
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: acme-prod, labels: {{data: logs}}{created}{more}}}\n---\n"
    )
}

fn cluster(policy: &str, objects: &str) -> String {
    format!("{NAMESPACE}{BASELINE}{policy}{objects}")
}

#[test]
fn a_preview_tells_what_goes_and_what_keeps_the_rest() {
    insta::assert_snapshot!(out(&told(&["preview"])));
}

#[test]
fn a_preview_of_one_policy_tells_of_no_other() {
    let text = out(&told(&["preview", "exports", "-n", "acme-prod"]));
    insta::assert_snapshot!(text);
}

#[test]
fn a_preview_is_versioned_data_too() {
    let report = json(&told(&["preview", "-o", "json"]));
    assert_eq!(report["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    let yaml: Value = serde_saphyr::from_str(&out(&told(&["preview", "-o", "yaml"]))).unwrap();
    assert_eq!(report, yaml);
    insta::assert_json_snapshot!(report);
}

#[test]
fn what_is_kept_by_an_owner_the_limit_or_a_label_of_helm_is_said() {
    let mut objects = config_map(
        "owned",
        Some("2026-01-01T00:00:00Z"),
        ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: o, uid: u, controller: true}]",
    );
    objects += &config_map(
        "helms",
        Some("2026-01-01T00:00:00Z"),
        ", annotations: {meta.helm.sh/release-name: logs}",
    );
    for number in 0..51 {
        objects += &config_map(
            &format!("log-{number:02}"),
            Some("2026-01-02T00:00:00Z"),
            "",
        );
    }
    let text = out(&preview(
        &cluster(&policy("{atMost: P30D}", DISPOSE), &objects),
        &[],
    ));
    insta::assert_snapshot!(text);
}

#[test]
fn an_object_without_a_creation_counts_as_new_and_that_is_said() {
    let objects =
        config_map("undated", None, "") + &config_map("old", Some("2026-01-01T00:00:00Z"), "");
    let input = cluster(&policy("{atMost: P30D}", DISPOSE), &objects);
    let report = json(&preview(&input, &["-o", "json"]));
    let note =
        "1 object has no metadata.creationTimestamp and counts as created at 2026-11-24T00:00:00Z";
    assert!(
        report["notes"][0].as_str().unwrap().starts_with(note),
        "{report}"
    );
    let fates: Vec<(&str, &str)> = report["namespaces"][0]["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            (
                object["name"].as_str().unwrap(),
                object["fate"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(fates, [("old", "Goes"), ("undated", "Follows")]);
    let plan = covenant(&["plan", "-f", "-", "--at", AT], &input);
    assert!(
        String::from_utf8_lossy(&plan.stderr).contains(note),
        "a plan says so too"
    );
}

#[test]
fn a_plan_tells_of_retention_in_text_and_in_data() {
    let plan = |output: &str| {
        let arguments = ["plan", "-f", STORY, "--at", AT, "-o", output];
        let output = covenant(&arguments, "");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = plan("text");
    assert!(
        text.contains("Retention: 2 policies; 1 due, 4 withheld."),
        "{text}"
    );
    let report: Value = serde_json::from_str(&plan("json")).unwrap();
    let retention = &report["namespaces"][0]["retention"];
    assert_eq!(retention["policies"][0]["due"]["now"], 1);
    assert_eq!(retention["policies"][0]["withheld"]["byHold"], 1);
    assert_eq!(
        retention["boundaries"][0]["startedBefore"],
        "2026-10-25T00:00:00Z"
    );
}

#[test]
fn the_story_of_an_object_tells_which_rule_wins() {
    let story = told(&["explain", "ConfigMap/audit-of-build-1001"]);
    insta::assert_snapshot!(out(&story));
}

#[test]
fn the_story_of_an_object_that_goes_tells_when_and_under_what() {
    insta::assert_snapshot!(out(&told(&[
        "explain",
        "configmap/build-1005",
        "-n",
        "acme-prod"
    ])));
}

#[test]
fn the_story_of_a_held_object_names_the_hold_and_who_ends_it() {
    insta::assert_snapshot!(out(&told(&["explain", "ConfigMap/build-1003"])));
}

#[test]
fn the_story_of_an_object_that_a_preview_would_have_gone_says_what_would_be_needed() {
    insta::assert_snapshot!(out(&told(&["explain", "ConfigMap/export-2025"])));
}

#[test]
fn a_story_is_versioned_data_too() {
    let story = json(&told(&["explain", "ConfigMap/build-1004", "-o", "json"]));
    insta::assert_json_snapshot!(story);
}

#[test]
fn where_nothing_touches_an_object_near_rules_say_why_not() {
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: acme-prod, labels: {data: metrics}, creationTimestamp: \"2026-01-01T00:00:00Z\"}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: acme-prod, creationTimestamp: \"2026-01-01T00:00:00Z\"}\n";
    let explain = |object: &str| {
        let arguments = [
            "retention",
            "explain",
            object,
            "-f",
            STORY,
            "-f",
            "-",
            "--at",
            AT,
        ];
        out(&covenant(&arguments, other))
    };
    insta::assert_snapshot!(explain("ConfigMap/other"));
    let secret = explain("Secret/key");
    assert!(secret.contains("is touched by no rule"), "{secret}");
    assert!(
        !secret.contains("Near"),
        "no rule is about its kind: {secret}"
    );
}

#[test]
fn jobs_are_kept_from_their_completion() {
    let jobs = "apiVersion: privacy.cloudnexus.io/v1alpha1\nkind: RetentionPolicy\nmetadata: {name: jobs, namespace: acme-prod}\nspec:\n  dataCategory: InfrastructureTelemetry\n  select: [{apiVersion: batch/v1, kind: Job, matchLabels: {data: jobs}}]\n  startsAt: CompletedAt\n  keep: {atLeast: P10D, atMost: P30D}\n  basis: Contract\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: done, namespace: acme-prod, labels: {data: jobs}, creationTimestamp: \"2026-01-01T00:00:00Z\"}\nstatus: {conditions: [{type: Complete, status: \"True\", lastTransitionTime: \"2026-11-20T00:00:00Z\"}]}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: runs, namespace: acme-prod, labels: {data: jobs}, creationTimestamp: \"2026-01-01T00:00:00Z\"}\n";
    let input = format!("{NAMESPACE}{BASELINE}{jobs}");
    let explain = |object: &str| {
        let arguments = ["retention", "explain", object, "-f", "-", "--at", AT];
        out(&covenant(&arguments, &input))
    };
    let done = explain("Job.batch/done");
    assert!(
        done.contains("is kept at least until 2026-11-30T00:00:00Z"),
        "{done}"
    );
    let runs = explain("job/runs");
    assert!(
        runs.contains("is kept for good, as far as is known"),
        "{runs}"
    );
    assert!(runs.contains("it has not completed"), "{runs}");
    assert!(!runs.contains("goes at 20"), "{runs}");
}

#[test]
fn what_is_asked_about_and_is_not_there_is_refused_with_what_there_is() {
    refused(
        &told(&["preview", "nothing", "-n", "acme-prod"]),
        &[
            "there is no RetentionPolicy acme-prod/nothing; namespace acme-prod has build-logs, exports",
        ],
    );
    refused(
        &told(&["explain", "ConfigMap/nothing"]),
        &["there is no ConfigMap nothing among the files"],
    );
    refused(
        &told(&["explain", "Widget.example.org/build-1001"]),
        &["there is no Widget.example.org build-1001 among the files"],
    );
    for never in [
        "Role.rbac.authorization.k8s.io/r",
        "Event/e",
        "ProcessingHold.privacy.cloudnexus.io/h",
    ] {
        refused(&told(&["explain", never]), &["is never selected"]);
    }
    let both = covenant(
        &[
            "retention",
            "preview",
            "-f",
            STORY,
            "--kubeconfig",
            "nowhere",
        ],
        "",
    );
    refused(&both, &["not both"]);
}

#[test]
fn names_that_are_no_names_are_refused() {
    for name in [
        "ConfigMap",
        "ConfigMap/",
        "/x",
        "a b/c",
        "ConfigMap/a/b",
        "ConfigMap/\u{1b}[31m",
        "Config\u{202e}Map/x",
        "./x",
        "A../x",
    ] {
        let output = told(&["explain", name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !said.contains(['\u{1b}', '\u{202e}']),
            "a terminal would obey {said:?}"
        );
    }
}

#[test]
fn a_terminal_is_told_nothing_by_hostile_files() {
    let hostile = "\"\\e[2Jwiped\\u202e\\n-n evil\"";
    let objects = config_map(hostile, Some("2026-01-01T00:00:00Z"), "");
    let policy = policy("{atMost: P30D}", DISPOSE).replace("name: logs", "name: \"lo\\e[31mgs\"");
    let text = out(&preview(&cluster(&policy, &objects), &[]));
    assert!(text.contains("wiped"), "{text}");
    let obeyed = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
    assert!(!text.contains(obeyed), "{text:?}");
    assert!(!text.contains("\n-n evil"), "{text:?}");
}

#[test]
fn absurd_periods_dispose_of_nothing_and_say_what_to_write() {
    let old = config_map("old", Some("2020-01-01T00:00:00Z"), "");
    for (keep, said) in [
        (
            "{atMost: P900Y}",
            "must be longer than nothing and at most 100 years",
        ),
        (
            "{atMost: PT0S}",
            "must be longer than nothing and at most 100 years",
        ),
        (
            "{atMost: P-1D}",
            "is not an ISO 8601 period like P90D, P12M or P1Y",
        ),
        (
            "{atMost: P1.5D}",
            "is not an ISO 8601 period like P90D, P12M or P1Y",
        ),
        (
            "{atMost: ninety days}",
            "is not an ISO 8601 period like P90D, P12M or P1Y",
        ),
        (
            "{atLeast: P2Y, atMost: P1Y}",
            "atLeast P2Y is longer than atMost P1Y",
        ),
        ("{}", "give atLeast, atMost or both"),
    ] {
        let report = json(&preview(
            &cluster(&policy(keep, DISPOSE), &old),
            &["-o", "json"],
        ));
        let policy = &report["namespaces"][0]["policies"][0];
        assert_eq!(policy["reason"], "Invalid", "{keep}: {report}");
        assert!(
            policy["message"].as_str().unwrap().contains(said),
            "{keep}: {policy}"
        );
        assert_eq!(
            report["namespaces"][0]["objects"],
            serde_json::json!([]),
            "{keep}"
        );
    }
    let contradicts = cluster(&policy("{atLeast: P20Y, atMost: P1Y}", DISPOSE), &old);
    let arguments = [
        "retention",
        "explain",
        "ConfigMap/old",
        "-f",
        "-",
        "--at",
        AT,
    ];
    let story = out(&covenant(&arguments, &contradicts));
    assert!(
        story.contains("is kept at least until 2040-01-01T00:00:00Z"),
        "the minimum binds all the same: {story}"
    );
    assert!(
        story.contains("nothing goes under it: spec.keep: atLeast P20Y"),
        "{story}"
    );
}

#[test]
fn a_selected_object_that_cannot_be_read_is_no_nothing() {
    let odd = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd, namespace: acme-prod, labels: {data: 1}}\n---\n";
    let nameless = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: odd-, namespace: acme-prod}\n---\n";
    let twice = config_map("twin", Some("2026-01-01T00:00:00Z"), "").repeat(2);
    for (objects, said) in [
        (odd, "ConfigMap: metadata.labels.data: invalid type"),
        (nameless, "ConfigMap: needs metadata.name"),
        (
            twice.as_str(),
            "ConfigMap acme-prod/twin is given twice; the first is at -:",
        ),
    ] {
        let input = cluster(&policy("{atMost: P30D}", ""), objects);
        refused(&preview(&input, &[]), &[said]);
        // Where nothing selects its kind it is somebody else's business, as ever.
        let unselected = cluster("", objects);
        assert!(preview(&unselected, &[]).status.success());
    }
}

#[test]
fn ten_thousand_objects_are_bounded_unless_all_are_asked_for() {
    let mut objects = String::new();
    for number in 0..10_000 {
        let name = format!("log-{number:05}");
        write!(
            objects,
            "{}",
            config_map(&name, Some("2026-01-01T00:00:00Z"), "")
        )
        .unwrap();
    }
    let input = cluster(&policy("{atMost: P30D}", DISPOSE), &objects);
    let text = out(&preview(&input, &[]));
    assert!(text.lines().count() < 60, "{}", text.lines().count());
    assert!(text.contains("and 9980 more; --all lists them"), "{text}");
    assert!(
        text.contains("10000 objects are due and a run may dispose of 50; none goes"),
        "{text}"
    );
    let all = out(&preview(&input, &["--all"]));
    assert!(all.lines().count() > 10_000 && all.contains("log-09999"));
    assert!(!all.contains("--all lists them"));
    let report = json(&preview(&input, &["-o", "json"]));
    assert_eq!(
        report["namespaces"][0]["objects"].as_array().unwrap().len(),
        10_000
    );
}

#[test]
fn a_namespace_that_only_observes_or_is_not_enrolled_disposes_of_nothing() {
    let old = config_map("old", Some("2026-01-01T00:00:00Z"), "");
    let input = cluster(&policy("{atMost: P30D}", DISPOSE), &old);
    let observing = input.replace(
        "tenant: acme}",
        "tenant: acme, privacy.cloudnexus.io/stage: observe}",
    );
    let text = out(&preview(&observing, &[]));
    assert!(text.contains("only observing for tenant acme"), "{text}");
    assert!(text.contains("the namespace is not in force"), "{text}");
    assert!(!text.contains("Goes now"), "{text}");
    let stray = input.replace("privacy.cloudnexus.io/tenant: acme", "a: b");
    let text = out(&preview(&stray, &[]));
    assert!(
        text.contains("NotEnrolled: the namespace is not enrolled"),
        "{text}"
    );
    assert!(!text.contains("Goes now"), "{text}");
}

#[test]
fn a_pipe_gets_no_colours_and_no_progress() {
    let output = told(&["preview"]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains('\u{1b}'));
    assert!(output.stderr.is_empty());
}

#[test]
fn an_empty_cluster_is_told_of_in_a_sentence() {
    let text = out(&preview("", &[]));
    assert!(
        text.ends_with("No namespace has a RetentionPolicy or a minimum.\n"),
        "{text}"
    );
    refused(
        &preview("", &["logs"]),
        &["there is no RetentionPolicy logs; no namespace has one"],
    );
}
