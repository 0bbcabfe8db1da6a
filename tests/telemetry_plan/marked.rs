//! The markers that Covenant puts on a namespace and its pods that run, takes off again, and reads back.

use covenant::api::{OptOutMeans, OptOutState, TelemetryOptOutStatus};
use covenant::check::{Rule, check};
use covenant::diff::{Action, Change, diff};
use covenant::model::{Kind, ObjectKey, Unit, World};
use covenant::plan::plan;
use covenant::simulate;
use serde_json::{Value, json};

use super::support::{apply, enrolled, namespace, vendor, world};
use super::told::{status, store};
use super::{NAMESPACE, baseline, now, opt_out, planned, refused};

/// An agent that reads markers of pods and of the namespace, and whose network is all that is to be cut beside.
fn reader() -> Value {
    json!({
        "name": "vector", "channel": "PlatformTelemetry", "respects": "Vector", "readsNodes": false,
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } },
    })
}

const MARK: &str = "vector.dev/exclude";

fn pod(name: &str, metadata: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": { "containers": [{ "name": "main", "image": "none" }] }, "status": { "phase": "Running" },
    });
    for (field, value) in [
        ("name", json!(name)),
        ("namespace", json!(NAMESPACE)),
        ("uid", json!(format!("pod-{name}"))),
        ("creationTimestamp", json!("2026-10-01T00:00:00Z")),
    ] {
        pod["metadata"][field] = value;
    }
    pod
}

/// A pod that a Deployment started.
fn deployed(name: &str, deployment: &str, metadata: Value) -> Value {
    let mut pod = pod(name, metadata);
    pod["metadata"]["labels"]["pod-template-hash"] = json!("5d59d67564");
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{deployment}-5d59d67564"), "uid": "rs", "controller": true,
    }]);
    pod
}

fn opted_out(pods: &[Value]) -> World {
    let mut world = world(&[
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(json!([]), json!([reader()])),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ]);
    for pod in pods {
        apply(&mut world, pod);
    }
    refused::guarded(&mut world);
    world
}

fn unit() -> Unit {
    Unit::Namespace(NAMESPACE.to_owned())
}

/// The marks that are to be written.
fn marks(world: &World) -> Vec<Change> {
    let mut changes = diff(&planned(world), world);
    changes.retain(|change| matches!(change.action, Action::Mark { .. }));
    changes
}

fn written(world: &World) -> Vec<(String, Value)> {
    let told = |change: &Change| {
        let Action::Mark { body } = &change.action else {
            panic!("{change:?}");
        };
        let mut metadata = body["metadata"].clone();
        let fields = metadata.as_object_mut().unwrap();
        fields.retain(|field, _| matches!(field.as_str(), "annotations" | "labels"));
        (change.target.to_string(), metadata)
    };
    marks(world).iter().map(told).collect()
}

/// Writes the marks as the API server would.
fn mark(world: &mut World) {
    for change in marks(world) {
        simulate::write(world, &change, now(), 0);
    }
}

/// What guards read, written as planned.
fn tell_guards(world: &mut World) {
    let unit = Unit::Retention(NAMESPACE.to_owned());
    for change in diff(&plan(world, &unit, now()), world) {
        simulate::write(world, &change, now(), 0);
    }
}

fn leave(world: &mut World) {
    world.remove(Kind::OptOut, &ObjectKey::new(NAMESPACE, "default"));
}

fn label(value: &str) -> Value {
    json!({ "labels": { MARK: value } })
}

#[test]
fn a_namespace_and_its_pods_that_run_are_given_what_agents_read_and_others_nothing() {
    let mut finished = pod("done", json!({}));
    finished["status"]["phase"] = json!("Succeeded");
    let mut going = pod("going", json!({}));
    going["metadata"]["deletionTimestamp"] = json!("2026-11-24T11:00:00Z");
    let mut elsewhere = pod("elsewhere", json!({}));
    elsewhere["metadata"]["namespace"] = json!("acme-test");
    let carries = pod("carries", label("true"));
    let pods = [pod("web", json!({})), carries, finished, going, elsewhere];
    let mut world = opted_out(&pods);
    assert_eq!(
        written(&world),
        [
            (format!("Namespace {NAMESPACE}"), label("true")),
            (format!("Pod {NAMESPACE}/web"), label("true")),
        ]
    );
    mark(&mut world);
    assert_eq!(written(&world), [], "nothing is left to do");
}

#[test]
fn where_the_namespace_is_not_in_force_nothing_is_marked() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    apply(&mut world, &namespace(NAMESPACE, labels));
    assert_eq!(written(&world), []);
}

#[test]
fn a_word_that_somebody_else_wrote_is_told_and_stays_theirs() {
    let mut world = opted_out(&[pod("web", label("no")), pod("api", json!({}))]);
    let mut contrary = enrolled(NAMESPACE, "acme");
    contrary["metadata"]["labels"][MARK] = json!("false");
    apply(&mut world, &contrary);
    assert_eq!(
        written(&world),
        [(format!("Pod {NAMESPACE}/api"), label("true"))]
    );
    mark(&mut world);
    assert_eq!(written(&world), []);
    let told = settled(&mut world);
    let agent = &told.channels[0].agents[0];
    assert_eq!(agent.state, OptOutState::Partly);
    assert!(
        agent
            .reason
            .contains("the namespace says vector.dev/exclude: false"),
        "{}",
        agent.reason
    );
    apply(&mut world, &enrolled(NAMESPACE, "acme"));
    let told = settled(&mut world);
    let agent = &told.channels[0].agents[0];
    assert!(
        agent.reason.contains("pod web says vector.dev/exclude: no"),
        "{}",
        agent.reason
    );
}

/// The status once everything that Covenant writes is stored.
fn settled(world: &mut World) -> TelemetryOptOutStatus {
    store(world);
    tell_guards(world);
    mark(world);
    status(&planned(world))
}

#[test]
fn an_agent_is_called_excluded_only_when_every_marker_and_their_guard_were_read_back() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    store(&mut world);
    let said = |world: &World| {
        let status = status(&planned(world));
        let agent = status.channels[0].agents[0].clone();
        (
            agent.by.contains(&OptOutMeans::AgentExcluded),
            agent.state,
            agent.reason,
        )
    };
    let (excluded, state, reason) = said(&world);
    assert!(!excluded && state == OptOutState::Partly, "{reason}");
    assert!(
        reason.contains("the namespace is not marked yet"),
        "{reason}"
    );
    let first = marks(&world).remove(0);
    simulate::write(&mut world, &first, now(), 0);
    let (excluded, _, reason) = said(&world);
    assert!(
        !excluded && reason.contains("pod web is not marked yet"),
        "{reason}"
    );
    mark(&mut world);
    let (excluded, state, reason) = said(&world);
    assert!(
        !excluded && state == OptOutState::Partly && reason.contains("the guard that keeps"),
        "{reason}"
    );
    tell_guards(&mut world);
    let (excluded, state, reason) = said(&world);
    assert!(excluded && state == OptOutState::Stopped, "{reason}");
    // Without the guard anybody may take them off.
    let name = "covenant-telemetry-markers".to_owned();
    world.remove(Kind::Guard, &ObjectKey::cluster(name));
    assert!(!said(&world).0);
}

#[test]
fn leaving_takes_off_what_was_put_on_once_guards_let_go_and_nothing_else() {
    let own = json!({ "labels": { MARK: "true" }, "annotations": { "team": "web" } });
    let mut world = opted_out(&[
        pod("web", json!({ "labels": { "app": "web" } })),
        pod("own", own),
    ]);
    let before = world.namespace(NAMESPACE).unwrap().marks.clone();
    let web = ObjectKey::new(NAMESPACE, "web");
    let pod_before = world.marked_pod(&web).unwrap().clone();
    settled(&mut world);
    assert_ne!(world.marked_pod(&web), Some(&pod_before));
    leave(&mut world);
    assert_eq!(written(&world), [], "guards would refuse it");
    tell_guards(&mut world);
    assert_eq!(
        written(&world),
        [
            (format!("Namespace {NAMESPACE}"), json!({})),
            (format!("Pod {NAMESPACE}/web"), json!({})),
        ]
    );
    mark(&mut world);
    assert_eq!(world.namespace(NAMESPACE).unwrap().marks, before);
    assert_eq!(world.marked_pod(&web), Some(&pod_before));
    let own = world.marked_pod(&ObjectKey::new(NAMESPACE, "own")).unwrap();
    assert_eq!(&*own.marks.labels.get(MARK).unwrap().value, "true");
    assert_eq!(written(&world), []);
}

#[test]
fn while_the_baseline_cannot_be_read_what_is_marked_stays_marked_and_kept() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    settled(&mut world);
    let mut unreadable = baseline(json!([]), json!([reader()]));
    unreadable["spec"]["network"]["sameTenant"] = json!("Newer");
    apply(&mut world, &unreadable);
    for _ in 0..2 {
        tell_guards(&mut world);
        assert_eq!(written(&world), []);
    }
    apply(&mut world, &pod("new", json!({})));
    assert_eq!(written(&world), [], "who reads it is not known");
    let parameters = world.parameters(NAMESPACE).unwrap().spec.clone();
    let told = parameters.unwrap().telemetry.unwrap();
    assert_eq!(told.pods.labels[MARK], "true");
    assert_eq!(told.namespaces.labels[MARK], "true");
    leave(&mut world);
    tell_guards(&mut world);
    assert_eq!(
        written(&world).len(),
        2,
        "the tenant may leave all the same"
    );
}

#[test]
fn a_mark_that_is_refused_is_told_with_its_reason() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    for (target, words) in [
        (
            "Namespace",
            "the namespace is not marked yet: webhook says no",
        ),
        ("Pod", "pod web is not marked yet: webhook says no"),
    ] {
        let mut changes = marks(&world).into_iter();
        let of_kind = |change: &Change| change.target.kind.as_str() == target;
        let change = changes.find(of_kind).unwrap();
        let failure = covenant::model::WriteFailure {
            category: "Forbidden".to_owned(),
            message: "webhook says no".to_owned(),
        };
        let dirty = world.record_failure(change.target.clone(), failure);
        assert!(dirty.0.contains(&unit()), "{target}");
        let told = status(&planned(&world));
        let reason = &told.channels[0].agents[0].reason;
        assert!(reason.contains(words), "{reason}");
        simulate::write(&mut world, &change, now(), 0);
        world.clear_failure(&change.target);
    }
}

#[test]
fn a_mark_that_was_taken_off_behind_covenants_back_is_put_on_again() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    settled(&mut world);
    let dirty = apply(&mut world, &pod("web", json!({})));
    assert!(dirty.0.contains(&unit()));
    let dirty = apply(&mut world, &enrolled(NAMESPACE, "acme"));
    assert!(dirty.0.contains(&unit()));
    let both = [
        (format!("Namespace {NAMESPACE}"), label("true")),
        (format!("Pod {NAMESPACE}/web"), label("true")),
    ];
    assert_eq!(written(&world), both);
}

#[test]
fn what_an_agent_reads_after_the_baseline_changed_replaces_only_covenants_own() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    settled(&mut world);
    let mut other = reader();
    other["respects"] = json!("FluentBit");
    apply(&mut world, &baseline(json!([]), json!([other])));
    // Guards are told first, so that nothing is refused; until then both are carried.
    let annotation = json!({ "fluentbit.io/exclude": "true" });
    assert_eq!(
        written(&world),
        [(
            format!("Pod {NAMESPACE}/web"),
            json!({ "annotations": annotation, "labels": { MARK: "true" } })
        )]
    );
    settled(&mut world);
    mark(&mut world);
    let marks = &world
        .marked_pod(&ObjectKey::new(NAMESPACE, "web"))
        .unwrap()
        .marks;
    let carried: Vec<(&str, &str)> = marks
        .annotations
        .iter()
        .chain(marks.labels.iter())
        .map(|mark| (&*mark.key, &*mark.value))
        .collect();
    assert_eq!(carried, [("fluentbit.io/exclude", "true")]);
    assert!(!world.namespace(NAMESPACE).unwrap().marks.are_ours());
}

#[test]
fn what_somebody_wrote_in_covenants_name_by_another_way_is_not_covenants() {
    let mut forged = pod("web", label("true"));
    let fields = json!({ "f:metadata": { "f:labels": { format!("f:{MARK}"): {} } } });
    let entry = |operation: &str, subresource: Option<&str>| {
        json!([{
            "manager": "covenant-telemetry", "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": fields, "subresource": subresource,
        }])
    };
    for (managed, is_ours) in [
        (entry("Apply", None), false),
        (entry("Update", Some("status")), false),
        (entry("Apply", Some("status")), true),
    ] {
        forged["metadata"]["managedFields"] = managed;
        let world = opted_out(std::slice::from_ref(&forged));
        let pod = world.marked_pod(&ObjectKey::new(NAMESPACE, "web")).unwrap();
        assert_eq!(pod.marks.are_ours(), is_ours);
    }
}

#[test]
fn pods_of_before_are_counted_and_a_restart_is_offered_until_they_are_replaced() {
    let mut job = pod("batch", json!({}));
    job["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": "batch", "uid": "job", "controller": true,
    }]);
    let mut world = opted_out(&[
        deployed("web-1", "web", json!({})),
        deployed("web-2", "web", json!({})),
        pod("alone", json!({})),
        job,
        deployed("api-1", "api", label("true")),
    ]);
    settled(&mut world);
    let current = |world: &World| {
        let status = status(&planned(world));
        let mut conditions = status.conditions.into_iter();
        let found = conditions.find(|condition| condition.type_ == "PodsCurrent");
        let found = found.unwrap();
        (found.status, found.message)
    };
    let (status, message) = current(&world);
    assert_eq!(status, "False");
    insta::assert_snapshot!(message, @"the network is cut at once; 4 pods from before the opt-out may go on with what agents read or gave them when they started. When it suits you: kubectl rollout restart -n acme-prod deployment/web. 2 of them have no rollout: they go when they end or are deleted");
    for gone in ["web-1", "web-2", "alone", "batch"] {
        let dirty = world.remove(Kind::Pod, &ObjectKey::new(NAMESPACE, gone));
        assert!(dirty.0.contains(&unit()), "{gone}");
    }
    let (status, message) = current(&world);
    assert_eq!(
        (status.as_str(), message.as_str()),
        (
            "True",
            "no pod goes on with what agents read or gave it before the opt-out"
        )
    );
}

#[test]
fn the_status_and_the_posture_tell_it_as_people_read_it() {
    let mut datadog = super::datadog();
    datadog.as_object_mut().unwrap().remove("readsNodes");
    let mut world = opted_out(&[deployed("web-1", "web", json!({}))]);
    apply(
        &mut world,
        &baseline(json!([]), json!([datadog, reader(), super::prometheus()])),
    );
    let channels = json!([
        "PlatformTelemetry",
        "ThirdPartyAnalytics",
        "MarketingCommunications"
    ]);
    apply(&mut world, &opt_out(NAMESPACE, channels));
    let told = settled(&mut world);
    insta::assert_json_snapshot!("opt_out_status", told);
    let posture = planned(&world).namespace.unwrap().posture.unwrap();
    insta::assert_json_snapshot!("posture_opt_outs", posture.spec.opt_outs);
}

#[test]
fn what_was_put_into_a_pod_at_its_start_is_told_by_its_age() {
    let mut agent = reader();
    agent["respects"] = json!("OpenTelemetryOperator");
    agent.as_object_mut().unwrap().remove("readsNodes");
    let mut younger = deployed("young", "web", json!({}));
    younger["metadata"]["creationTimestamp"] = json!("2026-11-20T00:00:00Z");
    let mut world = opted_out(&[younger]);
    apply(&mut world, &baseline(json!([]), json!([agent])));
    let offered = |world: &World| {
        let status = status(&planned(world));
        let mut conditions = status.conditions.iter();
        conditions.any(|condition| condition.reason == "RestartOffered")
    };
    assert!(!offered(&world));
    tell_guards(&mut world);
    let dirty = apply(&mut world, &deployed("old", "web", json!({})));
    assert!(dirty.0.contains(&unit()));
    assert!(offered(&world));
}

#[test]
fn pods_that_come_and_go_as_they_must_change_nothing_that_is_planned() {
    let mut world = opted_out(&[]);
    settled(&mut world);
    let mut young = deployed("young", "web", label("true"));
    young["metadata"]["creationTimestamp"] = json!("2026-11-20T00:00:00Z");
    assert_eq!(apply(&mut world, &young).0, [].into());
    young["metadata"]["annotations"] = json!({ "tended": "yes" });
    assert_eq!(apply(&mut world, &young).0, [].into());
    let gone = world.remove(Kind::Pod, &ObjectKey::new(NAMESPACE, "young"));
    assert_eq!(gone.0, [].into());
    young["metadata"]["labels"] = json!({});
    assert_eq!(apply(&mut world, &young).0, [unit()].into());
}

#[test]
fn of_ten_thousand_pods_some_are_marked_at_a_time_and_one_that_refuses_keeps_nobody_waiting() {
    let pods: Vec<Value> = (0..10_000)
        .map(|index| pod(&format!("pod-{index:05}"), json!({})))
        .collect();
    let mut world = opted_out(&pods);
    assert_eq!(marks(&world).len(), 257);
    for change in marks(&world).into_iter().skip(1) {
        let failure = covenant::model::WriteFailure {
            category: "Forbidden".to_owned(),
            message: "no".to_owned(),
        };
        world.record_failure(change.target, failure);
    }
    let next = marks(&world);
    assert_eq!(next.len(), 257);
    assert_eq!(next[1].target.key.name, "pod-00256");
}

#[test]
fn an_object_with_more_annotations_than_are_kept_is_not_touched_and_not_called_excluded() {
    let many: serde_json::Map<String, Value> = (0..1000)
        .map(|index| (format!("acme.example/{index}"), json!("x")))
        .collect();
    let metadata = json!({ "annotations": many, "labels": { MARK: "true" } });
    let mut world = opted_out(&[pod("web", metadata)]);
    let told = settled(&mut world);
    assert_eq!(written(&world), []);
    assert!(
        !told.channels[0].agents[0]
            .by
            .contains(&OptOutMeans::AgentExcluded)
    );
    // A value that is too long to be a marker is somebody's word all the same.
    let long = json!({ "labels": { MARK: "x".repeat(60_000) } });
    let world = opted_out(&[pod("web", long)]);
    assert_eq!(written(&world).len(), 1, "the namespace alone");
    let kept = &world
        .marked_pod(&ObjectKey::new(NAMESPACE, "web"))
        .unwrap()
        .marks;
    assert_eq!(kept.labels.get(MARK).unwrap().value.len(), 254);
}

#[test]
fn the_linter_lets_no_mark_through_that_no_agent_reads_or_that_is_somebody_elses_word() {
    let mut world = opted_out(&[pod("web", json!({}))]);
    let sound = plan(&world, &unit(), now());
    let broken = |change: fn(&mut covenant::plan::MarkPlan), world: &World| {
        let mut plan = sound.clone();
        change(&mut plan.namespace.as_mut().unwrap().marks[1]);
        let violations = check(&plan, world, now());
        violations
            .into_iter()
            .map(|violation| violation.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(broken(|_| {}, &world), []);
    let rule = [Rule::MarkNeedsOptOut];
    let other = |mark: &mut covenant::plan::MarkPlan| {
        mark.marks
            .labels
            .insert("pod-security.kubernetes.io/enforce".into(), "x".into());
    };
    assert_eq!(broken(other, &world), rule);
    let value = |mark: &mut covenant::plan::MarkPlan| {
        mark.marks.labels.insert(MARK.into(), "false".into());
    };
    assert_eq!(broken(value, &world), rule);
    assert_eq!(broken(|mark| mark.uid = "another".into(), &world), rule);
    assert_eq!(
        broken(|mark| mark.target.key.namespace = "globex".into(), &world),
        rule
    );
    apply(&mut world, &pod("web", label("no")));
    assert_eq!(broken(|_| {}, &world), rule);
    apply(&mut world, &pod("web", json!({})));
    leave(&mut world);
    // The namespace's and the pod's.
    assert!(broken(|_| {}, &world).contains(&Rule::MarkNeedsOptOut));
}
