//! Whether what a hold suspends is said to be cut off.

use covenant::diff::{Urgency, diff};
use covenant::model::{ObjectKey, World};
use covenant::plan::plan;
use covenant::simulate;
use serde_json::{Value, json};

use super::support::{self, apply, baseline, enrolled, namespace};
use super::{NAMESPACE, case, condition, held_by, now, status, unit};

#[test]
fn what_others_opened_before_is_said_where_processing_is_said_to_be_cut_off() {
    let policy = |name: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": NAMESPACE, "uid": name }, "spec": spec,
        })
    };
    let closed = policy(
        "closed",
        json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
    );
    let local = policy(
        "local",
        json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }] }),
    );
    let wide = policy("wide", json!({ "podSelector": {}, "egress": [{}] }));
    let suspends = case("suspends", &["SuspendProcessing"]);
    let talks = |held: &Value| {
        let limits = held["cannotHold"].as_array().unwrap();
        let said = limits.iter().filter_map(Value::as_str);
        said.filter(|limit| limit.contains("policies of the tenant's own"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (others, state, reason, talking) in [
        (vec![], "True", "CutOff", 0),
        (vec![&closed], "True", "CutOff", 0),
        (vec![&closed, &local], "True", "CutOff", 1),
        (vec![&closed, &local, &wide], "False", "OpenedByOthers", 1),
    ] {
        let mut world = held_by(&[&suspends]);
        for other in &others {
            apply(&mut world, other);
        }
        let world = simulate::converge(world, now()).unwrap().world;
        let held = status(&plan(&world, &unit(), now()), "suspends");
        let (is, why, message) = condition(&held, "Suspended");
        assert_eq!((is, why), (state, reason), "{message}");
        assert_eq!(
            message.contains("NetworkPolicy wide"),
            reason == "OpenedByOthers"
        );
        assert_eq!(talks(&held).len(), talking, "{held}");
    }
}

fn said(world: &World, kind: &str) -> (String, String, String) {
    let held = status(&plan(world, &unit(), now()), "suspends");
    let (state, reason, message) = condition(&held, kind);
    (state.to_owned(), reason.to_owned(), message.to_owned())
}

fn suspends() -> Value {
    case("suspends", &["SuspendProcessing", "SuspendSharing"])
}

#[test]
fn nothing_is_said_to_be_cut_off_while_a_pod_is_past_policies() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "leak", "namespace": NAMESPACE, "uid": "leak" },
        "spec": { "hostNetwork": true, "containers": [] }, "status": { "phase": "Running" },
    });
    let mut world = held_by(&[&suspends()]);
    apply(&mut world, &pod);
    let world = simulate::converge(world, now()).unwrap().world;
    for kind in ["Suspended", "SharingSuspended"] {
        let (state, reason, message) = said(&world, kind);
        assert_eq!(
            (state.as_str(), reason.as_str()),
            ("False", "ReachesFurther"),
            "{kind}"
        );
        assert!(
            message.contains("Pod leak is on the host's network"),
            "{message}"
        );
    }
}

#[test]
fn nothing_is_said_to_be_cut_off_where_no_default_deny_stands() {
    // A hold that suspends processing cuts off in every stage, one that suspends sharing leaves an observed namespace open.
    let observed =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    let sharing = case("suspends", &["SuspendSharing"]);
    for (labels, hold, kinds) in [
        (observed.clone(), suspends(), vec![]),
        (observed, sharing, vec!["SharingSuspended"]),
        (json!({}), suspends(), vec!["Suspended", "SharingSuspended"]),
    ] {
        let mut world = held_by(&[&hold]);
        apply(&mut world, &namespace(NAMESPACE, labels));
        let world = simulate::converge(world, now()).unwrap().world;
        for kind in &kinds {
            let (state, _, message) = said(&world, kind);
            assert_eq!(state, "False", "{kind}");
            assert!(message.contains("covenant-default-deny"), "{message}");
        }
        let stands = world.policies_in(NAMESPACE).count();
        assert_eq!(kinds.is_empty(), stands > 0, "{kinds:?}");
    }
}

#[test]
fn sharing_is_suspended_once_the_peers_of_the_tenant_are_cut_too() {
    let world = support::world([
        &enrolled(NAMESPACE, "acme"),
        &enrolled("acme-lake", "acme"),
        &baseline(),
    ]);
    let mut world = simulate::converge(world, now()).unwrap().world;
    let floor = ObjectKey::new(NAMESPACE, "covenant-baseline");
    assert!(world.policy(&floor).unwrap().reaches_out());
    apply(&mut world, &case("suspends", &["SuspendSharing"]));
    let (state, reason, message) = said(&world, "SharingSuspended");
    assert_eq!((state.as_str(), reason.as_str()), ("False", "Closing"));
    assert!(message.contains("covenant-baseline"), "{message}");
    let world = simulate::converge(world, now()).unwrap().world;
    let (state, reason, _) = said(&world, "SharingSuspended");
    assert_eq!((state.as_str(), reason.as_str()), ("True", "PathsClosed"));
}

#[test]
fn what_lets_suspended_pods_talk_goes_before_everything_else() {
    let world = support::world([&enrolled(NAMESPACE, "acme"), &baseline()]);
    let mut world = simulate::converge(world, now()).unwrap().world;
    apply(&mut world, &case("suspends", &["SuspendProcessing"]));
    let changes = diff(&plan(&world, &unit(), now()), &world);
    let first = changes.first().unwrap();
    assert_eq!(first.target.key.name, "covenant-baseline");
    assert_eq!(
        (first.action.verb(), first.urgency),
        ("delete", Urgency::Close)
    );
    // Where the floor goes as a whole, it can wait.
    apply(&mut world, &namespace(NAMESPACE, json!({})));
    for change in diff(&plan(&world, &unit(), now()), &world) {
        if change.action.verb() == "delete" {
            assert_eq!(change.urgency, Urgency::Sweep, "{}", change.target);
        }
    }
}
