//! Bad input: a clear error from the API server, or a condition; nothing opened, others unaffected.

use serde_json::{Value, json};

use crate::stage::{condition, in_days, shared, vendor};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_can_tell_it_tells() {
    let tenant = shared().await.tenant("malformed").await;
    let good = tenant.grant("bad", &in_days(30));
    let with = |path: &str, value: Value| {
        let mut grant = good.clone();
        *grant.pointer_mut(path).unwrap() = value;
        grant
    };
    let mut unknown = good.clone();
    unknown["spec"]["reticulate"] = json!(true);
    let mut both = good.clone();
    both["spec"]["recipient"]["namespace"] = json!({ "name": "other" });
    let mut ports = good.clone();
    ports["spec"]["ports"] = json!([{ "port": 80 }]);
    for (grant, words) in [
        (
            with("/spec/window/notAfter", json!("next year")),
            "should match",
        ),
        (
            with("/spec/window/notAfter", json!("+12026-01-01")),
            "should match",
        ),
        (
            with("/spec/purpose", json!("Curiosity")),
            "supported values",
        ),
        (with("/spec/dataCategories", json!([])), "at least 1"),
        (
            with(
                "/spec/dataCategories",
                json!(["InfrastructureTelemetry", "InfrastructureTelemetry"]),
            ),
            "duplicate",
        ),
        (
            with("/spec/justification", json!("x".repeat(513))),
            "too long",
        ),
        (
            with("/spec/source/podSelector", json!({})),
            "an empty podSelector is refused",
        ),
        (
            with("/spec/recipient", json!({})),
            "exactly one of processor and namespace",
        ),
        (both, "exactly one of processor and namespace"),
        (
            with("/spec/direction", json!("Pull")),
            "direction Pull needs ports",
        ),
        (ports, "ports belong to direction Pull"),
        (unknown, "reticulate"),
        (with("/metadata/name", json!("x".repeat(254))), "253"),
    ] {
        let output = tenant
            .admin
            .kubectl_with(
                &["create", "--validate=strict", "-f", "-"],
                &grant.to_string(),
            )
            .await
            .unwrap();
        let refusal = output.refusal().unwrap().to_lowercase();
        assert!(
            refusal.contains(&words.to_lowercase()),
            "{words}: {refusal}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_operator_can_tell_is_a_condition_and_holds_nobody_up() {
    let tenant = shared().await.tenant("absurd").await;
    for (name, not_before, not_after) in [
        ("far", "2026-01-01", "9999-12-31"),
        ("early", "1969-12-31", "2030-01-01"),
        ("leap-second", "2026-01-01", "2026-12-31T23:59:60Z"),
        ("no-such-day", "2026-01-01", "2027-02-29"),
        ("no-such-offset", "2026-01-01", "2027-01-31T00:00:00+99:00"),
        ("wrong-way-round", "2030-01-02", "2030-01-01"),
    ] {
        let mut grant = tenant.grant(name, not_after);
        grant["spec"]["window"]["notBefore"] = json!(not_before);
        tenant.grants(&grant).await;
        let grant = tenant.closed(name, "Invalid").await;
        assert_eq!(condition(&grant, "Stalled").0, "True");
    }
    let longest = "x".repeat(253);
    tenant.grants(&tenant.grant(&longest, &in_days(30))).await;
    tenant.open(&longest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_in_reserved_ranges_stay_closed_unless_the_baseline_contains_them() {
    let stage = shared().await;
    let tenant = stage.tenant("reserved").await;
    for (name, cidr) in [
        ("metadata", "169.254.169.254/32"),
        ("pods", "10.244.0.0/16"),
        ("everything", "0.0.0.0/0"),
        ("everything-six", "::/0"),
        ("mapped", "::ffff:169.254.169.254/128"),
        ("unique-local", "fd00:ec2::254/128"),
    ] {
        let vendor_name = format!("reserved-{name}");
        let mut vendor = vendor(&vendor_name);
        vendor["spec"]["endpoints"][0]["cidrs"] = json!(["203.0.113.0/24", "2001:db8::/48", cidr]);
        stage
            .engineer
            .apply(&vendor.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        tenant
            .grants(&crate::stage::grant(
                "reserved",
                name,
                &vendor_name,
                &in_days(30),
            ))
            .await;
        tenant.closed(name, "AddressReserved").await;
    }
    let mut baseline = crate::stage::baseline("reaching", "P90D");
    baseline["spec"]["network"]["grantsMayReach"] =
        json!([{ "cidr": "10.244.0.0/15", "reason": "a vendor's appliance in our racks" }]);
    stage
        .engineer
        .apply(&baseline.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let label = "privacy.cloudnexus.io/baseline=reaching";
    stage
        .engineer
        .kubectl(&["label", "ns", "reserved", label])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.open("pods").await;
    tenant.closed("metadata", "AddressReserved").await;
}
