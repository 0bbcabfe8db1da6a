//! What random worlds show too seldom to rely on it: each case by itself.

use covenant::diff::diff;
use covenant::plan::plan;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::agreement::{proposed, verdict};
use crate::cluster::{Cluster, unit};
use crate::oracle::calendar;
use crate::oracle::retention::Known;
use crate::support;
use crate::worlds::{NAMESPACE, Scene};

const NOW: &str = "2027-06-01T12:00:00Z";

fn now() -> i64 {
    calendar::instant(NOW).unwrap()
}

/// A policy that disposes of what is older than a day, at once.
fn policy(name: &str, api_version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("policy-{name}"), "generation": 1,
            "creationTimestamp": "2027-01-01T00:00:00Z", "resourceVersion": "1",
        },
        "spec": {
            "dataCategory": "InfrastructureTelemetry", "basis": "Contract §7", "keep": { "atMost": "P1D" },
            "select": [{ "apiVersion": api_version, "kind": kind, "namePrefix": "log-" }], "disposal": { "mode": "Dispose" },
        },
        "status": { "observedGeneration": 1, "since": "2027-01-01T00:00:00Z" },
    })
}

fn object(api_version: &str, kind: &str, number: i64, created: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": format!("log-{number}"), "namespace": NAMESPACE, "uid": format!("item-{number}"), "resourceVersion": "1",
            "creationTimestamp": created, "labels": {}, "annotations": {},
        },
    })
}

fn cluster(maximum_per_run: i64, objects: impl IntoIterator<Item = Value>) -> Cluster {
    knowing(Known::default(), maximum_per_run, objects)
}

fn knowing(
    known: Known,
    maximum_per_run: i64,
    objects: impl IntoIterator<Item = Value>,
) -> Cluster {
    let mut baseline = support::baseline();
    baseline["spec"]["retention"] = json!({ "grace": "PT0S", "maximumPerRun": maximum_per_run });
    let mut all = vec![support::enrolled(NAMESPACE, "acme"), baseline];
    all.extend(objects);
    let known = Known {
        now: now(),
        ..known
    };
    Cluster::new(&Scene {
        objects: all,
        known,
    })
}

#[test]
fn what_several_versions_serve_is_counted_once_by_each_policy_and_goes_once() {
    let (older, newer) = ("widgets.example.com/v1beta1", "widgets.example.com/v1");
    let mut cluster = cluster(
        1,
        [
            policy("first", newer, "Widget"),
            policy("second", older, "Widget"),
            object(newer, "Widget", 1, "2027-05-01T00:00:00Z"),
        ],
    );
    let planned = cluster.settle();
    assert_eq!(proposed(&planned), verdict(&cluster).goes);
    assert_eq!(proposed(&planned).len(), 1);
    for (name, raw) in cluster.policies() {
        assert_eq!(raw["status"]["matched"], 1, "{name}");
        assert_eq!(raw["status"]["due"]["now"], 1, "{name}");
    }
}

#[test]
fn a_minimum_keeps_an_object_in_whatever_version_another_policy_selects_it() {
    let (older, newer) = ("widgets.example.com/v1beta1", "widgets.example.com/v1");
    let mut keeps = policy("second", older, "Widget");
    keeps["spec"]["keep"] = json!({ "atLeast": "P1Y" });
    let mut cluster = cluster(
        1,
        [
            policy("first", newer, "Widget"),
            keeps,
            object(newer, "Widget", 1, "2027-05-01T00:00:00Z"),
        ],
    );
    let planned = cluster.settle();
    assert!(proposed(&planned).is_empty());
    assert_eq!(
        cluster.policies()["first"]["status"]["withheld"]["byMinimum"],
        1
    );
}

#[test]
fn a_minimum_keeps_an_object_though_the_version_in_which_its_policy_selects_it_is_not_read() {
    let (older, newer) = ("widgets.example.com/v1beta1", "widgets.example.com/v1");
    let mut keeps = policy("second", older, "Widget");
    keeps["spec"]["keep"] = json!({ "atLeast": "P1Y" });
    let mut known = Known::default();
    known.unread.insert((older.to_owned(), "Widget".to_owned()));
    let mut cluster = knowing(
        known,
        1,
        [
            policy("first", newer, "Widget"),
            policy("third", "v1", "ConfigMap"),
            keeps,
            object(newer, "Widget", 1, "2027-05-01T00:00:00Z"),
            object("v1", "ConfigMap", 2, "2027-05-01T00:00:00Z"),
        ],
    );
    let planned = cluster.settle();
    assert_eq!(proposed(&planned), verdict(&cluster).goes);
    let gone: Vec<String> = proposed(&planned).into_values().collect();
    assert_eq!(gone, ["third"], "what is not read stops nobody else");
    assert_eq!(
        cluster.policies()["first"]["status"]["withheld"]["byMinimum"],
        1
    );
}

#[test]
fn a_run_is_counted_once_though_the_clock_is_set_back_before_the_next() {
    let mut cluster = cluster(
        9,
        [
            policy("first", "v1", "ConfigMap"),
            object("v1", "ConfigMap", 1, "2027-05-01T00:00:00Z"),
        ],
    );
    let planned = cluster.settle();
    assert_eq!(cluster.dispose(&planned).len(), 1);
    cluster.settle();
    cluster.known.now -= 30 * 86_400;
    cluster.put(object("v1", "ConfigMap", 2, "2027-03-01T00:00:00Z"));
    let planned = cluster.settle();
    assert_eq!(cluster.dispose(&planned).len(), 1);
    cluster.settle();
    let total = || cluster.policies()["first"]["status"]["disposed"]["total"].as_i64();
    assert_eq!(total(), Some(2));
}

#[test]
fn what_is_held_changes_no_status_before_the_planned_instant() {
    let mut cluster = cluster(
        9,
        [
            policy("first", "v1", "ConfigMap"),
            object("v1", "ConfigMap", 1, "2027-06-09T12:00:00Z"),
        ],
    );
    cluster.put(support::hold(NAMESPACE, "case-1", json!({ "matter": "c", "ground": "ComplianceAudit", "reason": "r", "effects": ["PreventDeletion"] }), json!({})));
    for _ in 0..4 {
        let Some(next) = cluster.settle().next else {
            return;
        };
        let before = Timestamp::from_second(next.as_second() - 1).unwrap();
        assert_eq!(
            diff(&plan(&cluster.world, &unit(), before), &cluster.world),
            vec![]
        );
        cluster.known.now = next.as_second();
    }
}

#[test]
fn a_limit_that_was_lifted_holds_again_after_the_next_edit() {
    let lifted_at = |generation: i64| {
        let mut policy = policy("first", "v1", "ConfigMap");
        policy["metadata"]["generation"] = json!(2);
        policy["status"]["observedGeneration"] = json!(2);
        policy["status"]["decisions"] = json!([{
            "type": "LimitLifted", "by": "officer", "reason": "seen", "generation": generation, "untilTotal": 9,
        }]);
        let old = |number| object("v1", "ConfigMap", number, "2027-05-01T00:00:00Z");
        let mut cluster = cluster(1, [policy, old(1), old(2)]);
        let planned = cluster.settle();
        assert_eq!(proposed(&planned), verdict(&cluster).goes);
        proposed(&planned).len()
    };
    assert_eq!([1, 2, 3].map(lifted_at), [0, 2, 0]);
}

#[test]
fn a_limit_that_was_lifted_lets_go_what_is_left_to_the_total_that_was_said() {
    let mut policy = policy("first", "v1", "ConfigMap");
    policy["status"]["disposed"] = json!({
        "total": 4, "lastRunAt": "2027-03-01T00:00:00Z", "ledger": { "from": 0, "to": 7 },
    });
    policy["status"]["decisions"] = json!([{
        "type": "LimitLifted", "by": "officer", "reason": "seen", "generation": 1, "untilTotal": 6,
    }]);
    let old = |number| object("v1", "ConfigMap", number, "2027-05-01T00:00:00Z");
    let mut cluster = cluster(1, [policy, old(1), old(2), old(3), old(4), old(5)]);
    let planned = cluster.settle();
    assert_eq!(proposed(&planned), verdict(&cluster).goes);
    assert_eq!(proposed(&planned).len(), 2);
}

#[test]
fn what_went_before_a_restart_still_counts_after_the_next_run_within_the_day() {
    let mut policy = policy("first", "v1", "ConfigMap");
    policy["status"]["disposed"] = json!({
        "total": 9, "lastRunAt": "2027-05-31T13:00:00Z", "ledger": { "from": 0, "to": 17 },
    });
    let old = |number| object("v1", "ConfigMap", number, "2027-05-01T00:00:00Z");
    let mut cluster = cluster(1, [policy, old(1)]);
    let mut went = || {
        let planned = cluster.settle();
        assert_eq!(proposed(&planned), verdict(&cluster).goes);
        let went = cluster.dispose(&planned).len();
        cluster.put(old(2));
        went
    };
    assert_eq!([went(), went()], [1, 0]);
}
