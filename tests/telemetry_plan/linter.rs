//! The linter finds an agent among the peers without the planner's help.

use covenant::check::{Rule, check};
use covenant::model::Unit;
use covenant::plan::plan;
use serde_json::{Value, json};

use super::support::{apply, enrolled, vendor, world};
use super::{NAMESPACE, baseline, datadog, entries, now, opt_out, prometheus};

/// What the linter says of the plan that was made before the opt-out arrived.
fn stale(entries: Value, agents: Value) -> Vec<Rule> {
    let mut floor = baseline(entries, agents);
    // A sibling may be anywhere, and so may be the agent's.
    floor["spec"]["network"]["sameTenant"] = json!("SameNamespace");
    let objects = [enrolled(NAMESPACE, "acme"), vendor(), floor];
    let mut world = world(&objects);
    let before = plan(&world, &Unit::Namespace(NAMESPACE.to_owned()), now());
    let channels = json!(["PlatformTelemetry", "ThirdPartyAnalytics"]);
    apply(&mut world, &opt_out(NAMESPACE, channels));
    let violations = check(&before, &world, now());
    violations
        .into_iter()
        .map(|violation| violation.rule)
        .collect()
}

#[test]
fn a_policy_with_an_agent_among_its_peers_is_not_written() {
    assert_eq!(
        stale(entries(), json!([prometheus()])),
        [Rule::OptedOutMeetsNoAgent]
    );
}

#[test]
fn a_range_in_which_the_agents_vendor_is_is_not_written() {
    assert_eq!(
        stale(entries(), json!([datadog()])),
        [Rule::OptedOutMeetsNoAgent]
    );
}

#[test]
fn an_agent_among_the_namespaces_own_pods_is_found() {
    let mut agent = prometheus();
    agent["namespaceSelector"] = json!({ "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "In", "values": [NAMESPACE] }] });
    // Ingress and egress.
    let rule = Rule::OptedOutMeetsNoAgent;
    assert_eq!(stale(json!([]), json!([agent])), [rule, rule]);
}

#[test]
fn a_peer_that_can_be_no_agent_is_none() {
    let mut elsewhere = prometheus();
    elsewhere["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] = json!("other");
    assert_eq!(stale(entries(), json!([elsewhere])), []);
}
