//! Random namespaces with policies that disagree, objects whose time began on and around every boundary, and holds.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::oracle::calendar;
use crate::oracle::retention::{Known, Namespace};
use crate::support;

pub const NAMESPACE: &str = "acme-prod";

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// Instants at which months of different lengths, leap days and centuries meet.
pub fn instant() -> impl Strategy<Value = i64> {
    let near = vec![
        "2026-11-30T12:00:00Z",
        "2027-02-28T01:00:00Z",
        "2027-02-28T23:59:59Z",
        "2027-03-01T00:00:00Z",
        "2027-03-31T23:00:00Z",
        "2028-02-29T00:00:00Z",
        "2028-02-29T23:00:00Z",
        "2028-03-30T06:30:00Z",
        "2029-02-28T12:00:00Z",
        "2100-03-01T00:00:00Z",
    ];
    (select(near), select(vec![0, 0, 0, 1, -1, HOUR]))
        .prop_map(|(text, off)| calendar::instant(text).unwrap() + off)
}

fn readable_period() -> impl Strategy<Value = &'static str> {
    select(vec![
        "PT1H", "PT36H", "P1D", "P2W", "P30D", "P1M", "P1M", "P3M", "P12M", "P1Y", "P1M1DT1H",
    ])
}

/// Now and then a period that is none.
fn period() -> impl Strategy<Value = Value> {
    prop_oneof![
        39 => readable_period().prop_map(|period| json!(period)),
        1 => select(vec![json!("P0D"), json!("-P1D"), json!("P1.5D"), json!("PT0.5S"), json!("P101Y"), json!("30d"), json!("P"), json!(7)]),
    ]
}

/// What an instant is before, as far as a random period goes, give or take.
fn past(now: i64) -> impl Strategy<Value = i64> {
    let off = select(vec![
        0,
        0,
        0,
        1,
        1,
        -1,
        -2,
        HOUR,
        -HOUR,
        DAY,
        -DAY,
        -2 * DAY,
        -40 * DAY,
    ]);
    let from_period = (readable_period(), off).prop_map(move |(period, off)| {
        calendar::all_past(now, &calendar::period(period).unwrap()) + off
    });
    prop_oneof![
        10 => from_period,
        1 => Just(0),
        1 => Just(now + DAY),
        2 => Just(calendar::instant("2024-02-29T23:59:59Z").unwrap()),
        6 => (1..800_i64).prop_map(move |days| now - days * DAY - 7 * MINUTE),
    ]
}

fn start() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![
        None,
        None,
        None,
        Some("CreatedAt"),
        Some("RetainedSince"),
        Some("RetainedSince"),
        Some("CompletedAt"),
    ])
}

/// An entry of `select`: mostly some of the objects, now and then one that cannot be read.
fn entry() -> impl Strategy<Value = Value> {
    let kinds = vec![
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("batch/v1", "Job"),
        ("widgets.example.com/v1", "Widget"),
    ];
    let narrowed = select(vec![
        json!({ "matchLabels": { "app": "log" } }),
        json!({ "matchLabels": { "app": "log" } }),
        json!({ "matchLabels": { "app": "log" } }),
        json!({ "matchLabels": { "app": "log", "tier": "cold" } }),
        json!({ "matchLabels": { "tier": "cold" } }),
        json!({ "namePrefix": "log-" }),
        json!({ "namePrefix": "log-" }),
        json!({ "namePrefix": "log-" }),
        json!({ "namePrefix": "log-", "matchLabels": { "tier": "cold" } }),
        json!({ "names": ["log-1", "log-2", "other"] }),
        json!({ "names": ["log-2"], "namePrefix": "log-" }),
    ]);
    let readable = (select(kinds), narrowed).prop_map(|((api_version, kind), mut entry)| {
        entry["apiVersion"] = json!(api_version);
        entry["kind"] = json!(kind);
        entry
    });
    let unreadable = select(vec![
        json!({ "apiVersion": "v1", "kind": "ConfigMap" }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "app": 7 } }),
        json!({ "apiVersion": "v1", "kind": "Namespace", "names": ["acme-prod"] }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "names": ["log-1"] }),
        json!({ "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "names": ["case-1"] }),
    ]);
    prop_oneof![40 => readable, 1 => unreadable]
}

fn policy(name: &'static str, now: i64) -> impl Strategy<Value = Value> {
    let keep = (
        proptest::option::weighted(0.4, period()),
        proptest::option::weighted(0.92, period()),
    );
    let disposal = select(vec![
        None,
        Some("Preview"),
        Some("Dispose"),
        Some("Dispose"),
        Some("Dispose"),
        Some("Dispose"),
    ]);
    let since = (
        select(vec![
            None,
            Some(0),
            Some(HOUR),
            Some(DAY),
            Some(DAY),
            Some(40 * DAY),
            Some(40 * DAY),
            Some(40 * DAY),
            Some(40 * DAY),
        ]),
        select(vec![1, 1, 1, 1, 1, 1, 1, 2]),
    );
    let disposed = (
        proptest::option::weighted(0.3, (0..6_i64, select(vec![HOUR, DAY - 1, DAY, 2 * DAY]))),
        proptest::option::weighted(0.2, (1..9_i64, select(vec![1, 1, 0, 2]))),
    );
    let oddity = select((0..50).collect::<Vec<_>>());
    (keep, disposal, start(), vec(entry(), 1..=2), since, disposed, oddity).prop_map(
        move |((least, most), mode, starts_at, entries, (since, generation), (disposed, lifted), oddity)| {
            let mut policy = json!({
                "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
                "metadata": {
                    "name": name, "namespace": NAMESPACE, "uid": format!("policy-{name}"), "generation": 2,
                    "creationTimestamp": "2020-01-01T00:00:00Z", "resourceVersion": "1",
                },
                "spec": { "dataCategory": "InfrastructureTelemetry", "select": entries, "keep": {}, "basis": "Contract §7" },
                "status": { "observedGeneration": generation + 1 },
            });
            let set = |at: &mut Value, field: &str, value: Option<Value>| {
                if let Some(value) = value {
                    at[field] = value;
                }
            };
            let spec = &mut policy["spec"];
            set(&mut spec["keep"], "atLeast", least);
            set(&mut spec["keep"], "atMost", most);
            set(spec, "startsAt", starts_at.map(Value::from));
            set(spec, "disposal", mode.map(|mode| json!({ "mode": mode })));
            let status = &mut policy["status"];
            set(status, "since", since.map(|ago| json!(calendar::text(now - ago))));
            let ran = |(total, ago)| json!({ "total": total, "lastRunAt": calendar::text(now - ago), "ledger": { "from": 0, "to": 1 } });
            set(status, "disposed", disposed.map(ran));
            let decision = |(until, generation)| {
                json!([{ "type": "LimitLifted", "by": "officer", "reason": "seen", "generation": generation + 1, "untilTotal": until }])
            };
            set(status, "decisions", lifted.map(decision));
            // Each version serves the same objects.
            for entry in policy["spec"]["select"].as_array_mut().into_iter().flatten() {
                if name == "second" && entry["kind"] == "Widget" {
                    entry["apiVersion"] = json!("widgets.example.com/v1beta1");
                }
            }
            match oddity {
                1 => policy["spec"]["basis"] = Value::Null,
                2 => policy["spec"]["startsAt"] = json!("Whenever"),
                3 => policy["spec"]["keep"] = json!("P1Y"),
                _ => {}
            }
            policy
        },
    )
}

fn baseline() -> impl Strategy<Value = Value> {
    let minimum = (entry(), readable_period(), start()).prop_map(|(entry, at_least, starts_at)| {
        let mut keep = json!({ "select": entry, "atLeast": at_least, "basis": "law" });
        if let Some(starts_at) = starts_at {
            keep["startsAt"] = json!(starts_at);
        }
        keep
    });
    let grace = select(vec![
        None,
        Some("PT0S"),
        Some("PT0S"),
        Some("PT0S"),
        Some("PT1H"),
        Some("P1M"),
        Some("PT1S"),
    ]);
    (
        proptest::option::of(1..5_i64),
        proptest::option::weighted(0.3, 1..8_i64),
        grace,
        vec(minimum, 0..=1).prop_flat_map(|all| {
            proptest::bool::weighted(0.5)
                .prop_map(move |kept| if kept { all.clone() } else { Vec::new() })
        }),
        proptest::bool::weighted(0.85),
    )
        .prop_map(|(run, day, grace, keep, bounded)| {
            let mut baseline = support::baseline();
            if bounded {
                let mut retention = json!({ "keep": keep });
                for (field, value) in [
                    ("maximumPerRun", run.map(Value::from)),
                    ("maximumPerDay", day.map(Value::from)),
                    ("grace", grace.map(Value::from)),
                ] {
                    if let Some(value) = value {
                        retention[field] = value;
                    }
                }
                baseline["spec"]["retention"] = retention;
            }
            baseline
        })
}

fn namespace() -> impl Strategy<Value = Value> {
    select(
        [
            &[""; 40][..],
            &[
                "observe",
                "unknown",
                "unknown",
                "terminating",
                "untenanted",
                "floorless",
            ],
        ]
        .concat(),
    )
    .prop_map(|stage| {
        let mut labels = json!({ "privacy.cloudnexus.io/tenant": "acme" });
        match stage {
            "observe" | "unknown" => labels["privacy.cloudnexus.io/stage"] = json!(stage),
            "untenanted" => labels = json!({}),
            "floorless" => labels["privacy.cloudnexus.io/baseline"] = json!("missing"),
            _ => {}
        }
        let mut namespace = support::namespace(NAMESPACE, labels);
        if stage == "terminating" {
            namespace["metadata"]["deletionTimestamp"] = json!("2026-11-20T00:00:00Z");
        }
        namespace
    })
}

/// What becomes of an object beside its name and beginning.
fn marks() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({}),
        json!({ "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "x", "controller": true }] }),
        json!({ "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "x" }] }),
        json!({ "finalizers": ["example.com/wait"] }),
        json!({ "deletionTimestamp": "2026-11-20T00:00:00Z", "finalizers": ["example.com/wait"] }),
        json!({ "annotations": { "argocd.argoproj.io/tracking-id": "a:b/c:d/e" } }),
        json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "flux", "kustomize.toolkit.fluxcd.io/namespace": "flux" } }),
        json!({ "annotations": { "meta.helm.sh/release-name": "chart", "meta.helm.sh/release-namespace": "acme-prod" }, "labels": { "app.kubernetes.io/managed-by": "Helm" } }),
        json!({ "labels": { "privacy.cloudnexus.io/managed-by": "covenant" } }),
        json!({ "labels": { "app.kubernetes.io/instance": "web" } }),
        json!({ "labels": { "app.kubernetes.io/instance": "web" }, "annotations": { "argocd.argoproj.io/sync-wave": "1" } }),
    ])
}

pub fn item(index: usize, now: i64) -> impl Strategy<Value = Value> {
    let labels = select(vec![
        json!({ "app": "log" }),
        json!({ "app": "log" }),
        json!({ "app": "log" }),
        json!({ "app": "log", "tier": "cold" }),
        json!({ "tier": "cold" }),
        json!({}),
    ]);
    let kind = select(vec![
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("v1", "ConfigMap"),
        ("batch/v1", "Job"),
        ("widgets.example.com/v1", "Widget"),
    ]);
    let retained = proptest::option::weighted(
        0.35,
        prop_oneof![
            5 => past(now).prop_map(calendar::text),
            1 => past(now).prop_map(|at| calendar::text(at).replace('Z', "+00:00")),
            1 => select(vec!["yesterday".to_owned(), String::new(), "2026-02-30T00:00:00Z".to_owned(), "2300-01-01T00:00:00Z".to_owned()]),
        ],
    );
    let completed = proptest::option::weighted(0.7, past(now));
    (kind, labels, past(now), retained, completed, marks()).prop_map(
        move |((api_version, kind), labels, created, retained, completed, marks)| {
            let mut item = json!({
                "apiVersion": api_version, "kind": kind,
                "metadata": {
                    "name": format!("log-{index}"), "namespace": NAMESPACE, "uid": format!("item-{index}"), "resourceVersion": "1",
                    "creationTimestamp": calendar::text(created.max(0)), "labels": labels, "annotations": {},
                },
            });
            for (field, value) in marks.as_object().unwrap() {
                match (&mut item["metadata"][field], value) {
                    (Value::Object(old), Value::Object(new)) => old.extend(new.clone()),
                    (old, new) => *old = new.clone(),
                }
            }
            if let Some(since) = retained {
                item["metadata"]["annotations"]["privacy.cloudnexus.io/retained-since"] = json!(since);
            }
            if let Some(at) = completed.filter(|_| kind == "Job") {
                // A Job ends after it began.
                let at = at.max(created).max(0);
                item["status"] = json!({ "conditions": [{ "type": "Complete", "status": "True", "lastTransitionTime": calendar::text(at) }] });
            }
            item
        },
    )
}

pub fn hold() -> impl Strategy<Value = Value> {
    let scope = select(vec![
        json!({}),
        json!({ "matchLabels": { "tier": "cold" } }),
        json!({ "kinds": [{ "kind": "ConfigMap" }] }),
        json!({ "kinds": [{ "kind": "Widget" }] }),
        json!({ "kinds": [{ "apiGroup": "", "kind": "Job" }] }),
        json!({ "exceptKinds": [{ "kind": "ConfigMap" }] }),
        json!({ "exceptKinds": [{ "apiGroup": "batch", "kind": "Job" }] }),
        json!({ "matchLabels": { "app": 7 } }),
        json!({ "kinds": "ConfigMap" }),
        json!([]),
    ]);
    let decision = |decisions: Value, conditions: Value| json!({ "decisions": decisions, "conditions": conditions });
    let condition = |kind: &str, status: &str| json!([{ "type": kind, "status": status, "reason": "Decided", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z", "observedGeneration": 1 }]);
    let released =
        json!([{ "type": "Released", "by": "officer", "reason": "over", "restoreAfter": "P1D" }]);
    let status = select(vec![
        json!({}),
        json!({}),
        decision(
            json!([{ "type": "Narrowed", "by": "officer", "reason": "r", "exceptKinds": [{ "kind": "ConfigMap" }] }]),
            json!([]),
        ),
        decision(json!([{ "type": "Release" }]), json!([])),
        decision(released.clone(), json!([])),
        decision(released.clone(), condition("Restored", "False")),
        decision(released.clone(), condition("Restored", "True")),
        decision(released, condition("Restored", "True")),
        decision(json!([]), condition("Restored", "True")),
    ]);
    let effects = subsequence(
        vec!["PreventDeletion", "PreventAlteration", "SuspendSharing"],
        0..=2,
    );
    (scope, status, effects).prop_map(|(scope, status, effects)| {
        let spec = json!({ "matter": "c", "ground": "ComplianceAudit", "reason": "r", "effects": effects, "scope": scope });
        support::hold(NAMESPACE, "case-1", spec, status)
    })
}

/// What is there at an instant.
pub fn objects(now: i64) -> BoxedStrategy<Vec<Value>> {
    let items = (0..8)
        .map(|index| item(index, now).boxed())
        .collect::<Vec<_>>();
    let policies = (
        policy("first", now).boxed(),
        proptest::option::weighted(0.6, policy("second", now).boxed()),
        proptest::option::weighted(0.25, policy("third", now).boxed()),
    );
    (
        namespace().boxed(),
        baseline().boxed(),
        policies,
        subsequence(items, 4..=8).prop_flat_map(|items| items),
        proptest::option::weighted(0.25, hold().boxed()),
    )
        .prop_map(
            |(namespace, baseline, (first, second, third), items, hold)| {
                let mut objects = vec![namespace, baseline, first];
                objects.extend([second, third, hold].into_iter().flatten());
                objects.extend(items);
                objects
            },
        )
        .boxed()
}

/// An instant, what is there then, and what the operator knows beside it.
#[derive(Clone)]
pub struct Scene {
    pub objects: Vec<Value>,
    pub known: Known,
}

/// Manifests are read more easily than syntax trees.
impl std::fmt::Debug for Scene {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} {:?}",
            calendar::text(self.known.now),
            self.known
        )?;
        self.objects
            .iter()
            .try_for_each(|object| write!(formatter, "\n{object}"))
    }
}

pub fn scene() -> BoxedStrategy<Scene> {
    let all = |now| {
        (
            Just(now),
            objects(now),
            known(now).boxed(),
            stored_boundaries().boxed(),
        )
    };
    instant()
        .prop_flat_map(all)
        .prop_map(|(now, mut objects, mut known, shifts)| {
            known.now = now;
            // What is stored of a policy's runs is not another history than the one that is told.
            let told: Vec<&str> = known
                .runs
                .iter()
                .map(|(_, _, policy, _)| policy.as_str())
                .collect();
            for object in &mut objects {
                let uid = object["metadata"]["uid"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                if told.contains(&uid.as_str())
                    && let Some(status) = object["status"].as_object_mut()
                {
                    status.remove("disposed");
                }
            }
            objects.extend(parameters(&objects, now, &shifts));
            Scene { objects, known }
        })
        .boxed()
}

fn known(now: i64) -> impl Strategy<Value = Known> {
    let unread = proptest::option::weighted(
        0.1,
        select(vec![
            ("batch/v1", "Job"),
            ("widgets.example.com/v1", "Widget"),
            ("v1", "ConfigMap"),
        ]),
    );
    let refused = proptest::option::weighted(0.2, (0..8_usize, select(vec![1, 0, -1, HOUR])));
    let ran = (
        select(vec!["first", "second", "gone"]),
        select(vec![MINUTE, HOUR, DAY - 1, DAY, DAY + 1, 3 * DAY]),
        1..4_i64,
    );
    (
        unread,
        refused,
        proptest::option::weighted(0.3, vec(ran, 1..=3)),
        proptest::bool::weighted(0.04),
        proptest::bool::weighted(0.04),
    )
        .prop_map(
            move |(unread, refused, ran, clock_doubted, ledger_broken)| {
                let mut runs: Vec<_> = ran.unwrap_or_default();
                runs.sort_by_key(|(_, ago, _)| -ago);
                runs.dedup_by_key(|(_, ago, _)| *ago);
                Known {
                    now,
                    unread: unread
                        .into_iter()
                        .map(|(api_version, kind)| (api_version.to_owned(), kind.to_owned()))
                        .collect(),
                    clock_doubted,
                    ledger_broken,
                    refused: refused
                        .into_iter()
                        .map(|(index, ahead)| (format!("item-{index}"), now + ahead))
                        .collect(),
                    runs: runs
                        .into_iter()
                        .map(|(policy, ago, number)| {
                            (
                                NAMESPACE.to_owned(),
                                now - ago,
                                format!("policy-{policy}"),
                                number,
                            )
                        })
                        .collect(),
                    ..Known::default()
                }
            },
        )
}

/// How far what guards read is behind or ahead of what it could be, rule by rule; none where it lacks the rule.
fn stored_boundaries() -> impl Strategy<Value = Option<Vec<Option<i64>>>> {
    let shift = select(vec![
        None,
        Some(0),
        Some(-1),
        Some(-40 * DAY),
        Some(-HOUR),
        Some(1),
        Some(DAY),
    ]);
    proptest::option::weighted(0.6, vec(shift, 8))
}

/// What guards read, as an earlier day left it, with a rule of a policy that is gone.
fn parameters(objects: &[Value], now: i64, shifts: &Option<Vec<Option<i64>>>) -> Option<Value> {
    let known = Known {
        now,
        ..Known::default()
    };
    let mut rules: Vec<Value> = Vec::new();
    let mut seen = Vec::new();
    for ((mut rule, past), shift) in Namespace::new(objects, NAMESPACE, &known)
        .boundaries()
        .into_iter()
        .zip(shifts.as_ref()?)
    {
        let Some(shift) = shift.filter(|_| !seen.contains(&rule)) else {
            continue;
        };
        seen.push(rule.clone());
        if let Some(past) = past {
            rule["startedBefore"] = json!(calendar::text((past + shift).max(0)));
        }
        rules.push(rule);
    }
    for policy in ["first", "gone"] {
        rules.push(json!({
            "rule": format!("RetentionPolicy {policy}"), "apiGroup": "", "kind": "ConfigMap", "matchLabels": { "tier": "cold" },
            "startsAt": "CreatedAt", "atLeast": "P9Y", "startedBefore": calendar::text(now - 9 * 366 * DAY),
        }));
    }
    Some(json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
        "metadata": { "name": "current", "namespace": NAMESPACE, "uid": "parameters", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "retention": rules },
    }))
}
