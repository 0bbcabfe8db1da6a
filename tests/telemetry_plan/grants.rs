//! An opt-out beats a grant.

use covenant::model::{Unit, World};
use covenant::plan::{Refusal, decide, plan};
use serde_json::{Value, json};

use super::support::{acceptance, apply, enrolled, grant, vendor, world};
use super::{NAMESPACE, baseline, datadog, now, opt_out, prometheus};

fn refusals(world: &World) -> Vec<String> {
    let key = world.keys(covenant::model::Kind::Grant).remove(0);
    let decision = decide(world, world.grant(&key).unwrap(), now());
    let names = decision.refusals.iter().map(Refusal::name);
    names.map(str::to_owned).collect()
}

/// The same of audit trails, which are no telemetry.
fn of_audits(mut object: Value) -> Value {
    object["spec"]["dataCategories"] = json!(["ComplianceAudit"]);
    object
}

fn to_lake() -> Value {
    let mut grant = grant();
    grant["spec"]["recipient"] = json!({ "namespace": { "name": "acme-lake" } });
    grant
}

#[test]
fn a_grant_to_the_agents_vendor_closes_and_opens_again() {
    let objects = [
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(json!([]), json!([datadog()])),
        grant(),
    ];
    let mut world = world(&objects);
    assert_eq!(refusals(&world), [""; 0]);
    let dirty = apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    );
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert_eq!(refusals(&world), ["OptedOut"]);
    let planned = plan(&world, &Unit::Namespace(NAMESPACE.to_owned()), now());
    let status = &planned.statuses[0].status;
    let message = status["refusals"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("acme-prod/default") && message.contains("datadog"),
        "{message}"
    );
    let key = world.keys(covenant::model::Kind::OptOut).remove(0);
    world.remove(covenant::model::Kind::OptOut, &key);
    assert_eq!(refusals(&world), [""; 0]);
}

#[test]
fn a_grant_to_another_vendor_stays_open() {
    let mut agent = datadog();
    agent["processorRef"]["name"] = json!("other");
    let objects = [
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(json!([]), json!([agent])),
        grant(),
        opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    ];
    let world = world(&objects);
    assert_eq!(refusals(&world), [""; 0]);
    // Written too: the linter lets the path through, though nobody knows where the agent's vendor is.
    let converged = covenant::simulate::converge(world, now()).unwrap();
    super::planned(&converged.world);
    let policies = converged.world.keys(covenant::model::Kind::NetworkPolicy);
    let paths = policies.iter().filter(|key| key.name.starts_with("grant-"));
    assert_eq!(paths.count(), 1);
}

#[test]
fn another_name_for_the_vendors_addresses_gets_nobody_round_it() {
    let mut same_addresses = vendor();
    same_addresses["metadata"]["name"] = json!("alias");
    let mut agent = datadog();
    agent["processorRef"]["name"] = json!("alias");
    let objects = [
        enrolled(NAMESPACE, "acme"),
        vendor(),
        same_addresses,
        baseline(json!([]), json!([agent])),
        grant(),
        opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    ];
    assert_eq!(refusals(&world(&objects)), ["OptedOut"]);
}

/// An agent in the recipient's namespace, with these labels.
fn agent_in(namespace: &str, app: &str) -> Value {
    let mut agent = prometheus();
    agent["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] = json!(namespace);
    agent["podSelector"]["matchLabels"]["app"] = json!(app);
    agent
}

#[test]
fn a_grant_to_pods_among_which_an_agent_is_closes_at_either_end() {
    let cases = [
        (
            "the recipient collects",
            NAMESPACE,
            "acme-lake",
            "collector",
            true,
        ),
        (
            "other pods of the recipient's namespace collect",
            NAMESPACE,
            "acme-lake",
            "other",
            false,
        ),
        (
            "pods of a third namespace collect",
            NAMESPACE,
            "monitoring",
            "collector",
            false,
        ),
        (
            "the source collects from the recipient",
            "acme-lake",
            NAMESPACE,
            "agent",
            true,
        ),
        (
            "other pods of the source's namespace collect",
            "acme-lake",
            NAMESPACE,
            "other",
            false,
        ),
    ];
    for (case, opted_out, of, app, closes) in cases {
        let objects = [
            enrolled(NAMESPACE, "acme"),
            enrolled("acme-lake", "acme"),
            baseline(json!([]), json!([agent_in(of, app)])),
            of_audits(to_lake()),
            of_audits(acceptance()),
            opt_out(opted_out, json!(["PlatformTelemetry"])),
        ];
        let expected: &[&str] = if closes { &["OptedOut"] } else { &[] };
        assert_eq!(refusals(&world(&objects)), expected, "{case}");
    }
}

#[test]
fn a_namespace_that_becomes_the_agents_closes_the_grant_to_it() {
    let mut agent = prometheus();
    agent["namespaceSelector"] = json!({ "matchLabels": { "team": "observability" } });
    agent["podSelector"] = json!({ "matchLabels": { "app": "collector" } });
    let objects = [
        enrolled(NAMESPACE, "acme"),
        enrolled("acme-lake", "acme"),
        baseline(json!([]), json!([agent])),
        of_audits(to_lake()),
        of_audits(acceptance()),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ];
    let mut world = world(&objects);
    assert_eq!(refusals(&world), [""; 0]);
    let mut lake = enrolled("acme-lake", "acme");
    lake["metadata"]["labels"]["team"] = json!("observability");
    let dirty = apply(&mut world, &lake);
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert_eq!(refusals(&world), ["OptedOut"]);
}

#[test]
fn telemetry_granted_to_a_sibling_goes_no_further_than_the_opt_out_of_both() {
    let mut objects = vec![
        enrolled(NAMESPACE, "acme"),
        enrolled("acme-lake", "acme"),
        baseline(json!([]), json!([prometheus()])),
        to_lake(),
        acceptance(),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ];
    assert_eq!(refusals(&world(&objects)), ["OptedOut"]);
    let key = covenant::model::ObjectKey::new(NAMESPACE, "metrics");
    let refused = world(&objects);
    let decision = decide(&refused, refused.grant(&key).unwrap(), now());
    let message = decision.refusals[0].message();
    assert!(message.contains("acme-lake does not stop it"), "{message}");
    // What is no telemetry is not carried on.
    (objects[3], objects[4]) = (of_audits(to_lake()), of_audits(acceptance()));
    assert_eq!(refusals(&world(&objects)), [""; 0]);
    objects[3] = to_lake();
    objects[4] = acceptance();
    let mut both = world(&objects);
    let dirty = apply(
        &mut both,
        &opt_out("acme-lake", json!(["PlatformTelemetry"])),
    );
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert_eq!(refusals(&both), [""; 0]);
}
