//! The checks, one function each.

use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;

use super::its_operator;
use crate::api::custom_resource_definitions;
use crate::api::names::{LABEL_MANAGED_BY, LABEL_TENANT, MANAGED_BY_COVENANT};
use crate::model::{Kind, LABEL_IDENTITY, Settings, World};
use crate::operator;
use crate::plan::{deadline_of, deviations};
use crate::render::{Check, Finding};

/// Oldest minor version whose guards are known to work.
const OLDEST_MINOR: u32 = 33;
/// A clock that is further off moves the ends of paths noticeably.
const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// A timer that still stands so long after its deadline has no controllers.
const LATE: SignedDuration = SignedDuration::from_secs(60);
/// DaemonSets of agents that carry out network policies.
const ENFORCERS: [&str; 9] = [
    "antrea-agent",
    "calico-node",
    "cilium",
    "kindnet",
    "kube-network-policies",
    "kube-router",
    "ovnkube-node",
    "weave-net",
    "canal",
];

/// What was found: how it went, and in words.
pub(super) type Found = (Finding, String);

/// Every check, in order.
pub async fn all(client: &Client, namespace: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |group, name, (finding, message): Found| {
        checks.push(Check {
            group,
            name,
            finding,
            message,
        });
    };
    add(
        "kubernetes-api",
        "the API server answers",
        answers(client).await,
    );
    add(
        "kubernetes-api",
        "its version is supported",
        version(client).await,
    );
    add(
        "kubernetes-api",
        "its clock agrees with this one",
        clock(client).await,
    );
    add(
        "kubernetes-api",
        "API servers say how many they are",
        servers(client).await,
    );
    add(
        "definitions",
        "every kind is served as released",
        definitions(client).await,
    );
    let guards = read_guards(client, namespace).await;
    add(
        "guards",
        "every guard stands as released",
        guards_stand(guards.as_ref()),
    );
    add(
        "guards",
        "every guard was read by the API server",
        guards_read(client, guards.is_ok()).await,
    );
    add(
        "operator",
        "it runs",
        its_operator::runs(client, namespace).await,
    );
    add(
        "operator",
        "it has its appointment and no wildcard",
        its_operator::appointment(client, namespace).await,
    );
    add(
        "operator",
        "it may do what it must",
        its_operator::rights(client, namespace).await,
    );
    add(
        "timers",
        "the controllers that close paths are alive",
        controllers(client).await,
    );
    add(
        "network",
        "somebody carries out network policies",
        enforcer(client).await,
    );
    add(
        "namespaces",
        "every enrolled namespace is enforced",
        postures(client).await,
    );
    add("holds", "every hold is enforced", holds(client).await);
    checks
}

pub(super) fn passed(message: impl Into<String>) -> Found {
    (Finding::Passed, message.into())
}

pub(super) fn unknown(message: impl Into<String>) -> Found {
    (Finding::Unknown, message.into())
}

pub(super) fn failed(message: impl Into<String>) -> Found {
    (Finding::Failed, message.into())
}

/// What may not be read is unknown; what is not there or does not answer has failed.
pub(super) fn unread(what: &str, error: &kube::Error) -> Found {
    match error {
        kube::Error::Api(status) if status.code == 403 => unknown(format!(
            "you may not read {what}; ask with the role covenant-auditor"
        )),
        kube::Error::Api(status) if matches!(status.code, 429 | 503) => unknown(format!(
            "the API server is busy ({}); ask again",
            status.message
        )),
        kube::Error::Api(status) => failed(format!("{what} cannot be read: {}", status.message)),
        error => failed(format!("{what} cannot be read: {error}")),
    }
}

fn api(client: &Client, kind: Kind) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &kind.api_resource())
}

pub(super) fn resource(group: &str, version: &str, kind: &str) -> kube::core::ApiResource {
    let gvk = kube::core::GroupVersionKind::gvk(group, version, kind);
    kube::core::ApiResource::from_gvk(&gvk)
}

async fn answers(client: &Client) -> Found {
    match client.apiserver_version().await {
        Ok(version) => passed(version.git_version),
        Err(error) => failed(format!("{error}; check the address and the credentials")),
    }
}

async fn version(client: &Client) -> Found {
    let Ok(version) = client.apiserver_version().await else {
        return unknown("it did not answer");
    };
    let digits: String = version
        .minor
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    match digits.parse::<u32>() {
        Ok(minor) if version.major == "1" && minor >= OLDEST_MINOR => passed(""),
        Ok(_) => failed(format!(
            "1.{OLDEST_MINOR} is the oldest supported version; upgrade the cluster"
        )),
        Err(_) => unknown(format!("`{}` is no version that is known", version.minor)),
    }
}

/// The `Date` of an answer has whole seconds.
async fn clock(client: &Client) -> Found {
    let request = http::Request::get("/version").body(kube::client::Body::empty());
    let Ok(request) = request else {
        return unknown("no request could be made");
    };
    let before = operator::now();
    let answer = client.send(request).await;
    let date = answer.ok().and_then(|answer| {
        let text = answer.headers().get("date")?.to_str().ok()?.to_owned();
        let date = jiff::fmt::rfc2822::parse(&text).ok()?;
        Some(date.timestamp())
    });
    let Some(date) = date else {
        return unknown("it does not say what time it is");
    };
    let skew = date.duration_since(before).abs();
    if skew <= SKEW {
        passed("")
    } else {
        failed(format!(
            "they differ by {}s; both take part in closing paths: set them right (NTP)",
            skew.as_secs()
        ))
    }
}

async fn servers(client: &Client) -> Found {
    let leases: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        "kube-system",
        &Kind::ServerLease.api_resource(),
    );
    let identities = ListParams::default().labels(&format!("{LABEL_IDENTITY}=kube-apiserver"));
    match leases.list(&identities).await {
        Ok(found) => {
            let mut world = World::new(Settings::default());
            for lease in found {
                world.apply(Kind::ServerLease, lease);
            }
            let live = world.live_servers();
            if live == 0 {
                unknown(
                    "no identity Lease is in kube-system, so no hold can be proven on every server",
                )
            } else {
                passed(format!("{live}"))
            }
        }
        Err(error) => unread("Leases in kube-system", &error),
    }
}

async fn definitions(client: &Client) -> Found {
    let stored = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &stored);
    let mut wrong = Vec::new();
    for expected in custom_resource_definitions() {
        let name = expected.name_any();
        let found = match api.get_opt(&name).await {
            Ok(found) => found,
            Err(error) => return unread("CustomResourceDefinitions", &error),
        };
        let Some(found) = found else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        let expected = serde_json::to_value(&expected.spec).unwrap_or_default();
        let stored = found.data.get("spec").cloned().unwrap_or_default();
        for field in ["scope", "versions"] {
            if lacks(&expected[field], &stored[field]) {
                wrong.push(format!("{name} differs in {field}"));
            }
        }
    }
    if wrong.is_empty() {
        passed("")
    } else {
        failed(format!(
            "{}; install the chart of this release again",
            wrong.join("; ")
        ))
    }
}

/// Whether something of `expected` is not in `stored`. What the API server filled in does not count, but a rule or a bound
/// that is gone does.
fn lacks(expected: &Value, stored: &Value) -> bool {
    match (expected, stored) {
        (Value::Object(expected), Value::Object(stored)) => {
            expected.iter().any(|(field, value)| {
                let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                !empty && stored.get(field).is_none_or(|stored| lacks(value, stored))
            })
        }
        (Value::Array(expected), Value::Array(stored)) => {
            expected.len() != stored.len()
                || expected
                    .iter()
                    .zip(stored)
                    .any(|(expected, stored)| lacks(expected, stored))
        }
        (Value::Number(expected), Value::Number(stored)) => expected.as_f64() != stored.as_f64(),
        (expected, stored) => expected != stored,
    }
}

/// The guards as they stand, in a World of nothing else.
async fn read_guards(client: &Client, namespace: &str) -> Result<World, kube::Error> {
    let mut world = World::new(Settings {
        operator_namespace: Some(namespace.to_owned()),
        ..Settings::default()
    });
    for kind in [Kind::Guard, Kind::GuardBinding] {
        for object in api(client, kind).list(&ListParams::default()).await? {
            world.apply(kind, object);
        }
    }
    Ok(world)
}

fn guards_stand(guards: Result<&World, &kube::Error>) -> Found {
    let world = match guards {
        Ok(world) => world,
        Err(error) => return unread("ValidatingAdmissionPolicies", error),
    };
    let deviations = deviations(world);
    if deviations.is_empty() {
        passed(format!("{} policies and bindings", world.guards().count()))
    } else {
        failed(format!(
            "{}; install the chart of this release again",
            deviations.join("; ")
        ))
    }
}

async fn guards_read(client: &Client, readable: bool) -> Found {
    if !readable {
        return unknown("they could not be read");
    }
    let list = match api(client, Kind::Guard).list(&ListParams::default()).await {
        Ok(list) => list,
        Err(error) => return unread("ValidatingAdmissionPolicies", &error),
    };
    let mut wrong = Vec::new();
    for guard in list
        .items
        .iter()
        .filter(|guard| guard.name_any().starts_with("covenant-"))
    {
        let name = guard.name_any();
        let observed = guard
            .data
            .pointer("/status/observedGeneration")
            .and_then(Value::as_i64);
        if observed != guard.metadata.generation {
            wrong.push(format!("{name} was not read yet"));
        }
        let warnings = guard
            .data
            .pointer("/status/typeChecking/expressionWarnings")
            .and_then(Value::as_array);
        if let Some(warning) = warnings.and_then(|warnings| warnings.first()) {
            wrong.push(format!(
                "{name}: {}",
                warning["warning"].as_str().unwrap_or_default()
            ));
        }
    }
    if wrong.is_empty() {
        passed("that each server refuses is shown by the holds below")
    } else {
        unknown(wrong.join("; "))
    }
}

/// By what they leave undone: a timer that stands long after its deadline.
async fn controllers(client: &Client) -> Found {
    let ours = ListParams::default().labels(&format!("{LABEL_MANAGED_BY}={MANAGED_BY_COVENANT}"));
    let jobs = match api(client, Kind::Job).list(&ours).await {
        Ok(jobs) => jobs,
        Err(error) => return unread("Jobs", &error),
    };
    let now = operator::now();
    let mut world = World::new(Settings::default());
    for job in jobs {
        world.apply(Kind::Job, job);
    }
    let timers = world.keys(Kind::Job);
    let is_late = |deadline: Timestamp| now.duration_since(deadline) > LATE;
    let late = timers
        .iter()
        .filter_map(|key| world.timer(key))
        .filter(|timer| deadline_of(timer).is_some_and(is_late));
    let late: Vec<String> = late.map(|timer| timer.meta.key.to_string()).collect();
    if let Some(first) = late.first() {
        return failed(format!(
            "{} timers stand long after their deadline, first {first}: is kube-controller-manager running?",
            late.len()
        ));
    }
    let leases: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        "kube-system",
        &Kind::ServerLease.api_resource(),
    );
    let renewed = leases
        .get_opt("kube-controller-manager")
        .await
        .ok()
        .flatten()
        .and_then(|lease| {
            lease
                .data
                .pointer("/spec/renewTime")?
                .as_str()?
                .parse::<Timestamp>()
                .ok()
        });
    match renewed {
        Some(renewed) if now.duration_since(renewed) < LATE => passed(""),
        Some(renewed) => failed(format!(
            "kube-controller-manager was last seen at {renewed}; with it down paths stay open past their end until the operator closes them"
        )),
        None if timers.is_empty() => unknown(
            "no timer stands and nobody leads as kube-controller-manager, so it cannot be told",
        ),
        None => passed("no timer is late"),
    }
}

async fn enforcer(client: &Client) -> Found {
    let sets = resource("apps", "v1", "DaemonSet");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &sets);
    match api.list(&ListParams::default()).await {
        Ok(list) => {
            let mut names = list.items.iter().map(ResourceExt::name_any);
            match names.find(|name| ENFORCERS.contains(&name.as_str())) {
                Some(name) => passed(format!(
                    "{name} is installed; whether it does is not observed here"
                )),
                None => unknown(
                    "no agent that is known to carry them out was found; without one every policy is a wish",
                ),
            }
        }
        Err(error) => unread("DaemonSets", &error),
    }
}

/// How many objects say that they are enforced, and the first that does not.
fn enforced(objects: &[DynamicObject], ignores: impl Fn(&DynamicObject) -> bool) -> Found {
    let condition = |object: &DynamicObject, field: &str| {
        let conditions = object.data.pointer("/status/conditions")?.as_array()?;
        let enforced = conditions
            .iter()
            .find(|condition| condition["type"] == "Enforced")?;
        Some(enforced[field].as_str()?.to_owned())
    };
    let counted: Vec<&DynamicObject> = objects.iter().filter(|object| !ignores(object)).collect();
    let of = |status: &str| {
        let found = counted.iter().filter(|object| {
            condition(object, "status").unwrap_or_else(|| "Unknown".to_owned()) == status
        });
        found.copied().collect::<Vec<_>>()
    };
    let told = |objects: &[&DynamicObject]| {
        let first = objects.first().map(|object| {
            let place = format!(
                "{}/{}",
                object.namespace().unwrap_or_default(),
                object.name_any()
            );
            format!(
                "{} of {}, first {place}: {}",
                objects.len(),
                counted.len(),
                condition(object, "message").unwrap_or_default()
            )
        });
        first.unwrap_or_default()
    };
    let (not, maybe) = (of("False"), of("Unknown"));
    if !not.is_empty() {
        failed(told(&not))
    } else if !maybe.is_empty() {
        unknown(told(&maybe))
    } else {
        passed(counted.len().to_string())
    }
}

async fn postures(client: &Client) -> Found {
    let enrolled = ListParams::default().labels(LABEL_TENANT);
    let namespaces = match api(client, Kind::Namespace).list_metadata(&enrolled).await {
        Ok(namespaces) => namespaces.items.len(),
        Err(error) => return unread("Namespaces", &error),
    };
    match api(client, Kind::Posture)
        .list(&ListParams::default())
        .await
    {
        Ok(postures) => {
            let observing = |posture: &DynamicObject| {
                posture.data.pointer("/spec/stage").and_then(Value::as_str) == Some("Observe")
            };
            if postures.items.len() < namespaces {
                return failed(format!(
                    "{namespaces} namespaces are enrolled and {} have a posture: is the operator running?",
                    postures.items.len()
                ));
            }
            enforced(&postures.items, observing)
        }
        Err(error) => unread("DataHandlingPostures", &error),
    }
}

async fn holds(client: &Client) -> Found {
    match api(client, Kind::Hold).list(&ListParams::default()).await {
        Ok(holds) => {
            let released = |hold: &DynamicObject| {
                let decisions = hold
                    .data
                    .pointer("/status/decisions")
                    .and_then(Value::as_array);
                decisions
                    .into_iter()
                    .flatten()
                    .any(|decision| decision["type"] == "Released")
            };
            enforced(&holds.items, released)
        }
        Err(error) => unread("ProcessingHolds", &error),
    }
}
