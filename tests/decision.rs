//! The decision as a table: one sentence a row. Every reason to refuse and every cause of an end has a row.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeSet;

use covenant::model::{ObjectKey, World};
use covenant::plan::{Decision, Outcome, decide};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::{acceptance, baseline, enrolled, grant, namespace, prohibition, vendor, world};

fn hold(namespace: &str, spec: Value, status: Value) -> Value {
    support::hold(namespace, "case-1", spec, status)
}

/// The objects of a row, to be changed.
struct Row {
    namespace: Value,
    baseline: Value,
    vendor: Value,
    grant: Value,
    others: Vec<Value>,
    now: &'static str,
}

fn row() -> Row {
    Row {
        namespace: enrolled("acme-prod", "acme"),
        baseline: baseline(),
        vendor: vendor(),
        grant: grant(),
        others: Vec::new(),
        now: "2026-11-23T00:00:00Z",
    }
}

impl Row {
    fn at(mut self, now: &'static str) -> Self {
        self.now = now;
        self
    }

    fn grant(mut self, path: &str, value: Value) -> Self {
        set(&mut self.grant, path, value);
        self
    }

    fn vendor(mut self, path: &str, value: Value) -> Self {
        set(&mut self.vendor, path, value);
        self
    }

    fn baseline(mut self, path: &str, value: Value) -> Self {
        set(&mut self.baseline, path, value);
        self
    }

    fn namespace(mut self, labels: Value) -> Self {
        self.namespace = namespace("acme-prod", labels);
        self
    }

    fn with(mut self, object: Value) -> Self {
        self.others.push(object);
        self
    }

    /// The grant goes to the sibling namespace, which is enrolled and has agreed.
    fn for_sibling(self) -> Self {
        self.grant(
            "/spec/recipient",
            json!({ "namespace": { "name": "acme-lake" } }),
        )
    }

    fn lake(self) -> Self {
        self.for_sibling()
            .with(enrolled("acme-lake", "acme"))
            .with(acceptance())
    }

    fn world(&self) -> World {
        let own = [&self.namespace, &self.baseline, &self.vendor, &self.grant];
        let present = own.into_iter().filter(|object| !object.is_null());
        world(present.chain(&self.others))
    }

    fn decide(&self) -> Decision {
        let world = self.world();
        let grant = world.grants().next().unwrap();
        decide(&world, grant, self.now.parse().unwrap())
    }
}

/// A baseline's word that the vendor collects.
fn collects() -> Value {
    json!({ "agents": [{ "name": "datadog", "channel": "ThirdPartyAnalytics", "respects": "Datadog", "processorRef": { "name": "datadog" } }] })
}

fn opt_out(channels: Value) -> Value {
    support::opt_out("acme-prod", channels)
}

fn set(object: &mut Value, path: &str, value: Value) {
    if path.is_empty() {
        *object = value;
        return;
    }
    let (parent, key) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
}

/// A row that is refused for exactly these reasons, in this order.
fn refused(sentence: &str, row: &Row, reasons: &[&str]) -> Vec<&'static str> {
    let decision = row.decide();
    let names: Vec<&str> = decision
        .refusals
        .iter()
        .map(covenant::plan::Refusal::name)
        .collect();
    assert_eq!(names, reasons, "{sentence}");
    assert!(decision.end.is_none(), "{sentence}");
    for refusal in &decision.refusals {
        assert!(
            refusal.message().len() > 15,
            "{sentence}: a message says what would make it open"
        );
    }
    decision
        .refusals
        .iter()
        .map(covenant::plan::Refusal::name)
        .collect()
}

/// A row that may be open until then, because of that.
fn open(sentence: &str, row: &Row, until: &str, because: &str) -> &'static str {
    let decision = row.decide();
    assert_eq!(decision.refusals, [], "{sentence}");
    let end = decision.end.unwrap();
    assert_eq!(
        (end.at.to_string().as_str(), end.cause.as_str()),
        (until, because),
        "{sentence}"
    );
    end.cause.as_str()
}

fn refusals() -> Vec<(&'static str, Row, Vec<&'static str>)> {
    let unreadable = json!({ "tenants": 7, "reason": "x" });
    vec![
        ("a grant that names an unknown purpose cannot be read", row().grant("/spec/purpose", json!("Curiosity")), vec!["Invalid"]),
        ("a grant without a spec cannot be read", row().grant("/spec", Value::Null), vec!["Invalid"]),
        ("a grant with an unknown field cannot be read", row().grant("/spec/reticulate", json!(1)), vec!["Invalid"]),
        ("a grant without pods cannot be read", row().grant("/spec/source/podSelector", json!({})), vec!["Invalid"]),
        ("a grant with both recipients cannot be read", row().grant("/spec/recipient/namespace", json!({ "name": "b" })), vec!["Invalid"]),
        ("a window the wrong way round cannot be read", row().grant("/spec/window/notBefore", json!("2028-01-01")), vec!["Invalid"]),
        ("the year 9999 cannot be read", row().grant("/spec/window/notAfter", json!("9999-12-31")), vec!["Invalid"]),
        ("a time before 1970 cannot be read", row().grant("/spec/window/notBefore", json!("1969-12-31")), vec!["Invalid"]),
        ("a leap second cannot be read", row().grant("/spec/window/notAfter", json!("2026-12-31T23:59:60Z")), vec!["Invalid"]),
        ("hour 24 cannot be read", row().grant("/spec/window/notAfter", json!("2026-12-31T24:00:00Z")), vec!["Invalid"]),
        ("a day that is not there cannot be read", row().grant("/spec/window/notAfter", json!("2027-02-29")), vec!["Invalid"]),
        ("an offset beyond a day cannot be read", row().grant("/spec/window/notAfter", json!("2027-01-31T00:00:00+99:00")), vec!["Invalid"]),
        ("a pull without ports cannot be read", row().grant("/spec/direction", json!("Pull")), vec!["Invalid"]),
        ("a grant that is being deleted is closed", row().grant("/metadata/deletionTimestamp", json!("2026-11-23T00:00:00Z")), vec!["Deleting"]),
        ("the tenant's revocation closes", row().grant("/spec/revoked", json!({ "reason": "done" })), vec!["Revoked"]),
        ("data is never sold", row().grant("/spec/purpose", json!("SellDataToThirdParties")), vec!["ForbiddenPurpose", "PurposeNotApproved"]),
        ("data is never mined for advertising, even for an approved vendor",
            row().grant("/spec/purpose", json!("Advertising")).vendor("/spec/approvedFor/0/purposes", json!(["Advertising"])), vec!["ForbiddenPurpose"]),
        ("a namespace without a tenant shares nothing", row().namespace(json!({})), vec!["NamespaceNotEnrolled"]),
        ("an empty tenant is none", row().namespace(json!({ "privacy.cloudnexus.io/tenant": "" })), vec!["NamespaceNotEnrolled"]),
        ("a namespace that only observes shares nothing",
            row().namespace(json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" })), vec!["NamespaceObserving"]),
        ("a namespace that is being deleted shares nothing", {
            let mut row = row();
            row.namespace["metadata"]["deletionTimestamp"] = json!("2026-11-23T00:00:00Z");
            row
        }, vec!["NamespaceTerminating"]),
        ("a namespace without its baseline shares nothing",
            row().namespace(json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/baseline": "strict" })), vec!["BaselineMissing"]),
        ("a baseline that cannot be read permits nothing", row().baseline("/spec/grants/maximumDuration", json!("forever")), vec!["BaselineInvalid"]),
        ("a hold that suspends sharing closes", row().with(hold("acme-prod", json!({ "effects": ["SuspendSharing"] }), json!({}))), vec!["Held"]),
        ("a hold that suspends processing closes too", row().with(hold("acme-prod", json!({ "effects": ["SuspendProcessing"] }), json!({}))), vec!["Held"]),
        ("a hold whose effects cannot be read has all of them", row().with(hold("acme-prod", json!({ "effects": ["Newer"] }), json!({}))), vec!["Held"]),
        ("a decision that cannot be read releases nothing",
            row().with(hold("acme-prod", json!({ "effects": ["SuspendSharing"] }), json!({ "decisions": [{ "type": "Let go" }] }))), vec!["Held"]),
        ("a prohibition of the vendor closes", row().with(prohibition(json!({ "tenants": ["acme"], "recipients": { "processors": ["datadog"] }, "reason": "x" }))), vec!["Prohibited"]),
        ("a prohibition of a category closes", row().with(prohibition(json!({ "dataCategories": ["InfrastructureTelemetry"], "reason": "x" }))), vec!["Prohibited"]),
        ("a prohibition without any list binds everything", row().with(prohibition(json!({ "reason": "x" }))), vec!["Prohibited"]),
        ("what of a prohibition cannot be read binds everything", row().with(prohibition(unreadable)), vec!["Prohibited"]),
        ("a prohibition with an unknown category binds every category",
            row().with(prohibition(json!({ "dataCategories": ["Newer"], "recipients": { "processors": ["datadog"] }, "reason": "x" }))), vec!["Prohibited"]),
        ("a prohibition of the namespace closes", row().with(prohibition(json!({ "namespaces": ["acme-prod"], "reason": "x" }))), vec!["Prohibited"]),
        ("an opt-out of the channel on which the vendor collects closes",
            row().baseline("/spec/telemetry", collects()).with(opt_out(json!(["ThirdPartyAnalytics"]))), vec!["OptedOut"]),
        ("an opt-out that cannot be read is of every channel",
            row().baseline("/spec/telemetry", collects()).with(opt_out(json!(["Newer"]))), vec!["OptedOut"]),
        ("before its window it waits", row().grant("/spec/window/notBefore", json!("2026-11-24")), vec!["NotYet"]),
        ("one nanosecond before its window it waits",
            row().grant("/spec/window/notBefore", json!("2026-11-24")).at("2026-11-23T23:59:59.999999999Z"), vec!["NotYet"]),
        ("at the instant that its window ends it is over", row().at("2027-04-01T00:00:00Z"), vec!["WindowOver"]),
        ("the maximum duration is counted from the creation", row().baseline("/spec/grants/maximumDuration", json!("P10D")), vec!["MaximumDurationOver"]),
        ("at the instant of the maximum it is over",
            row().baseline("/spec/grants/maximumDuration", json!("P10D")).at("2026-11-11T00:00:00Z"), vec!["MaximumDurationOver"]),
        ("an end that was fixed and has passed stays passed",
            row().grant("/status", json!({ "observedGeneration": 1, "closesAt": "2026-11-20T00:00:00Z", "closesBecause": "AgreementEnds" })), vec!["EndPassed"]),
        ("at the very instant of the fixed end it has passed",
            row().grant("/status", json!({ "observedGeneration": 1, "closesAt": "2026-11-23T00:00:00Z" })), vec!["EndPassed"]),
        ("an unknown vendor receives nothing", row().vendor("", Value::Null), vec!["ProcessorUnknown"]),
        ("a vendor that is being deleted receives nothing", row().vendor("/metadata/deletionTimestamp", json!("2026-11-23T00:00:00Z")), vec!["ProcessorUnknown"]),
        ("a vendor that cannot be read receives nothing", row().vendor("/spec/category", json!("Newer")), vec!["ProcessorInvalid"]),
        ("a vendor's range with host bits cannot be read", row().vendor("/spec/endpoints/0/cidrs", json!(["203.0.113.5/24"])), vec!["ProcessorInvalid"]),
        ("without an agreement nothing is shared", row().vendor("/spec/agreements", json!([])), vec!["AgreementMissing"]),
        ("a non-disclosure agreement permits no processing", row().vendor("/spec/agreements/0/type", json!("NonDisclosureAgreement")), vec!["AgreementMissing"]),
        ("an agreement to come does not count yet", row().vendor("/spec/agreements/0/effectiveFrom", json!("2026-11-24")), vec!["AgreementNotYet"]),
        ("an agreement that ended yesterday is over", row().vendor("/spec/agreements/0/effectiveUntil", json!("2026-11-22")), vec!["AgreementOver"]),
        ("at the instant that the agreement ends it is over", row().vendor("/spec/agreements/0/effectiveUntil", json!("2026-11-23T00:00:00Z")), vec!["AgreementOver"]),
        ("without an assessment nothing is shared", row().vendor("/spec/assessments", json!([])), vec!["AssessmentMissing"]),
        ("an assessment to come does not count yet", row().vendor("/spec/assessments/0/completedOn", json!("2026-11-24")), vec!["AssessmentMissing"]),
        ("a newer assessment that rejects outweighs an older approval",
            row().vendor("/spec/assessments", json!([
                { "name": "a", "completedOn": "2026-06-01", "outcome": "AuditApproved", "by": "t" },
                { "name": "b", "completedOn": "2026-07-01", "outcome": "AuditRejected", "by": "t" }])), vec!["AssessmentNotApproved"]),
        ("a conditional approval is none", row().vendor("/spec/assessments/0/outcome", json!("AuditConditionallyApproved")), vec!["AssessmentNotApproved"]),
        ("of two assessments of one instant the stricter counts",
            row().vendor("/spec/assessments", json!([
                { "name": "a", "completedOn": "2026-06-01", "outcome": "AuditRejected", "by": "t" },
                { "name": "b", "completedOn": "2026-06-01", "outcome": "AuditApproved", "by": "t" }])), vec!["AssessmentNotApproved"]),
        ("an assessment of more than twelve months ago has lapsed", row().vendor("/spec/assessments/0/completedOn", json!("2025-11-22")), vec!["AssessmentLapsed"]),
        ("an instant twelve months ago has lapsed at that instant", row().vendor("/spec/assessments/0/completedOn", json!("2025-11-23T00:00:00Z")), vec!["AssessmentLapsed"]),
        ("payments need PCI-DSS", row().vendor("/spec/category", json!("PaymentProcessing")), vec!["CertificationMissing"]),
        ("PCI-DSS of level 2 is not enough",
            row().vendor("/spec/category", json!("PaymentProcessing")).vendor("/spec/certifications", json!([{ "scheme": "PCI-DSS", "level": "2", "validUntil": "2028-01-01" }])), vec!["CertificationMissing"]),
        ("PCI-DSS that ended is over",
            row().vendor("/spec/category", json!("PaymentProcessing")).vendor("/spec/certifications", json!([{ "scheme": "PCI-DSS", "level": "1", "validUntil": "2026-11-22" }])), vec!["CertificationLapsed"]),
        ("a vendor approved for others is not approved for this tenant", row().vendor("/spec/approvedFor/0/tenants", json!(["globex"])), vec!["TenantNotApproved"]),
        ("a vendor without approved uses is not approved", row().vendor("/spec/approvedFor", json!([])), vec!["TenantNotApproved"]),
        ("another purpose than the approved is refused", row().grant("/spec/purpose", json!("CustomerCare")), vec!["PurposeNotApproved"]),
        ("more categories than approved are refused", row().grant("/spec/dataCategories", json!(["InfrastructureTelemetry", "SupportBilling"])), vec!["CategoryNotApproved"]),
        ("two entries do not add up",
            row().grant("/spec/dataCategories", json!(["InfrastructureTelemetry", "SupportBilling"])).vendor("/spec/approvedFor", json!([
                { "name": "a", "dataCategories": ["InfrastructureTelemetry"], "purposes": ["ServiceMonitoring"] },
                { "name": "b", "dataCategories": ["SupportBilling"], "purposes": ["ServiceMonitoring"] }])), vec!["CategoryNotApproved"]),
        ("a messenger serves transactions only", row().vendor("/spec/category", json!("Communication")), vec!["PurposeNotTransactional"]),
        ("an endpoint that the vendor lacks is refused", row().grant("/spec/recipient/processor/endpoints", json!(["intake", "other"])), vec!["EndpointUnknown"]),
        ("host names are not enforced here", row().grant("/spec/recipient/processor/endpoints", json!(["api"])), vec!["HostNamesNotEnforced"]),
        ("an endpoint without ports would open all of them", row().vendor("/spec/endpoints/0/ports", json!([])), vec!["EndpointWithoutPorts"]),
        ("the metadata service is nobody's vendor", row().vendor("/spec/endpoints/0/cidrs", json!(["169.254.169.254/32"])), vec!["AddressReserved"]),
        ("everything contains what is reserved", row().vendor("/spec/endpoints/0/cidrs", json!(["0.0.0.0/0"])), vec!["AddressReserved"]),
        ("everything of IPv6 contains what is reserved", row().vendor("/spec/endpoints/0/cidrs", json!(["::/0"])), vec!["AddressReserved"]),
        ("IPv4 written as IPv6 is no way round", row().vendor("/spec/endpoints/0/cidrs", json!(["::ffff:10.0.0.0/104"])), vec!["AddressReserved"]),
        ("the API server's own address is refused",
            row().vendor("/spec/endpoints/0/cidrs", json!(["198.51.100.0/24"])).with(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": { "name": "kubernetes", "namespace": "default" }, "endpoints": [{ "addresses": ["198.51.100.7"] }]
            })), vec!["AddressReserved"]),
        ("what the baseline protects is refused",
            row().baseline("/spec/network/protected", json!([{ "cidr": "203.0.113.128/25", "reason": "public pods" }])), vec!["AddressReserved"]),
        ("the baseline must contain the range whole",
            row().vendor("/spec/endpoints/0/cidrs", json!(["10.0.0.0/8"])).baseline("/spec/network/grantsMayReach", json!([{ "cidr": "10.0.0.0/9", "reason": "x" }])), vec!["AddressReserved"]),
        ("a namespace is not its own recipient", row().grant("/spec/recipient", json!({ "namespace": { "name": "acme-prod" } })), vec!["RecipientIsSource"]),
        ("a namespace that is not there receives nothing", row().for_sibling(), vec!["RecipientUnknown"]),
        ("another tenant's namespace receives nothing", row().for_sibling().with(enrolled("acme-lake", "globex")).with(acceptance()), vec!["RecipientOtherTenant"]),
        ("a namespace without a tenant receives nothing", row().for_sibling().with(namespace("acme-lake", json!({}))).with(acceptance()), vec!["RecipientOtherTenant"]),
        ("a hold at the recipient's end closes",
            row().lake().with(hold("acme-lake", json!({ "effects": ["SuspendSharing"] }), json!({}))), vec!["Held"]),
        ("a sibling that observes is no relay",
            row().for_sibling().with(namespace("acme-lake", json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" }))).with(acceptance()), vec!["RecipientNotInForce"]),
        ("a sibling with a wide policy is no relay",
            row().lake().with(json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": { "name": "old", "namespace": "acme-lake" }, "spec": { "podSelector": {}, "egress": [{}] } })), vec!["RecipientNotInForce"]),
        ("a sibling with a pod on the host's network is no relay",
            row().lake().with(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "acme-lake" }, "spec": { "hostNetwork": true } })), vec!["RecipientNotInForce"]),
        ("a sibling on an unknown baseline is no relay",
            row().for_sibling().with(namespace("acme-lake", json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/baseline": "x" }))).with(acceptance()), vec!["RecipientNotInForce"]),
        ("a sibling that has not agreed receives nothing", row().for_sibling().with(enrolled("acme-lake", "acme")), vec!["NotAccepted"]),
        ("an acceptance in another namespace is none", {
            let mut elsewhere = acceptance();
            elsewhere["metadata"]["namespace"] = json!("acme-other");
            row().for_sibling().with(enrolled("acme-lake", "acme")).with(elsewhere)
        }, vec!["NotAccepted"]),
        ("an acceptance of fewer categories is too narrow", {
            let mut narrow = acceptance();
            narrow["spec"]["dataCategories"] = json!(["SupportBilling"]);
            row().for_sibling().with(enrolled("acme-lake", "acme")).with(narrow)
        }, vec!["AcceptanceTooNarrow"]),
        ("a push needs the ports that the recipient accepts", {
            let mut portless = acceptance();
            portless["spec"]["ports"] = json!([]);
            row().for_sibling().with(enrolled("acme-lake", "acme")).with(portless)
        }, vec!["AcceptanceWithoutPorts"]),
        ("an acceptance that ended is over", {
            let mut over = acceptance();
            over["spec"]["notAfter"] = json!("2026-11-22");
            row().for_sibling().with(enrolled("acme-lake", "acme")).with(over)
        }, vec!["AcceptanceOver"]),
        ("every reason is told, in the order of the gates",
            row().grant("/spec/revoked", json!({ "reason": "done" })).grant("/spec/purpose", json!("Advertising")).namespace(json!({}))
                .vendor("/spec/agreements", json!([])).vendor("/spec/assessments", json!([])).at("2027-04-01T00:00:00Z"),
            vec!["Revoked", "ForbiddenPurpose", "NamespaceNotEnrolled", "WindowOver", "AgreementMissing", "AssessmentMissing", "PurposeNotApproved"]),
    ]
}

fn openings() -> Vec<(&'static str, Row, &'static str, &'static str)> {
    let pci = |row: Row| {
        row.vendor("/spec/category", json!("PaymentProcessing"))
            .vendor(
                "/spec/certifications",
                json!([{ "scheme": "PCI-DSS", "level": "1", "validUntil": "2026-12-31" }]),
            )
    };
    vec![
        ("it is open to the end of the last day of its window", row(), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("one nanosecond before its end it is open", row().at("2027-03-31T23:59:59.999999999Z"), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("at the instant that its window begins it is open", row().grant("/spec/window/notBefore", json!("2026-11-23")), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a released hold leaves nothing behind",
            row().with(hold("acme-prod", json!({ "effects": ["SuspendSharing"] }), json!({ "decisions": [{ "type": "Released", "by": "o", "reason": "r" }] }))),
            "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a hold that keeps data and leaves sharing alone closes nothing",
            row().with(hold("acme-prod", json!({ "effects": ["PreventDeletion"] }), json!({}))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("an offset is an instant like any other", row().grant("/spec/window/notAfter", json!("2027-03-31T23:45:00+05:45")), "2027-03-31T18:00:00Z", "WindowEnds"),
        ("the agreement's last day counts whole", row().vendor("/spec/agreements/0/effectiveUntil", json!("2026-12-31")), "2027-01-01T00:00:00Z", "AgreementEnds"),
        ("agreements that join count as one",
            row().vendor("/spec/agreements", json!([
                { "name": "b", "type": "SubProcessorAgreement", "effectiveFrom": "2027-01-01", "effectiveUntil": "2027-02-28" },
                { "name": "a", "type": "DataProcessingAgreement", "effectiveFrom": "2026-01-01", "effectiveUntil": "2026-12-31" }])),
            "2027-03-01T00:00:00Z", "AgreementEnds"),
        ("agreements with a gap do not",
            row().vendor("/spec/agreements", json!([
                { "name": "a", "type": "DataProcessingAgreement", "effectiveFrom": "2026-01-01", "effectiveUntil": "2026-12-31" },
                { "name": "b", "type": "DataProcessingAgreement", "effectiveFrom": "2027-01-02", "effectiveUntil": "2028-02-28" }])),
            "2027-01-01T00:00:00Z", "AgreementEnds"),
        ("a shorter agreement within a longer one ends nothing",
            row().vendor("/spec/agreements", json!([
                { "name": "a", "type": "DataProcessingAgreement", "effectiveFrom": "2026-01-01", "effectiveUntil": "2027-01-31" },
                { "name": "b", "type": "DataProcessingAgreement", "effectiveFrom": "2026-02-01", "effectiveUntil": "2026-12-01" }])),
            "2027-02-01T00:00:00Z", "AgreementEnds"),
        ("an assessment counts to the end of the day twelve months later", row().vendor("/spec/assessments/0/completedOn", json!("2026-01-31")), "2027-02-01T00:00:00Z", "AssessmentLapses"),
        ("an assessment of 29 February counts to the end of 28 February",
            row().at("2024-11-23T00:00:00Z").grant("/metadata/creationTimestamp", json!("2024-11-01T00:00:00Z")).grant("/spec/window/notAfter", json!("2025-03-31"))
                .vendor("/spec/agreements/0/effectiveFrom", json!("2024-01-01")).vendor("/spec/assessments/0/completedOn", json!("2024-02-29")),
            "2025-03-01T00:00:00Z", "AssessmentLapses"),
        ("a newer approval outweighs an older rejection",
            row().vendor("/spec/assessments", json!([
                { "name": "b", "completedOn": "2026-07-01", "outcome": "AuditApproved", "by": "t" },
                { "name": "a", "completedOn": "2026-06-01", "outcome": "AuditRejected", "by": "t" }])),
            "2027-04-01T00:00:00Z", "WindowEnds"),
        ("PCI-DSS level 1 permits payments while it lasts", pci(row()), "2027-01-01T00:00:00Z", "CertificationLapses"),
        ("a messenger may serve a transaction",
            row().vendor("/spec/category", json!("Communication")).vendor("/spec/approvedFor/0/purposes", json!(["AccountManagement"])).grant("/spec/purpose", json!("AccountManagement")),
            "2027-04-01T00:00:00Z", "WindowEnds"),
        ("the maximum duration is counted by the calendar", row().baseline("/spec/grants/maximumDuration", json!("P3M")), "2027-02-01T00:00:00Z", "MaximumDurationReached"),
        ("the maximum duration is counted from a later beginning of the window",
            row().baseline("/spec/grants/maximumDuration", json!("P1M")).grant("/spec/window/notBefore", json!("2027-01-31")).at("2027-02-01T00:00:00Z"),
            "2027-02-28T00:00:00Z", "MaximumDurationReached"),
        ("the maximum duration is counted from the creation, not from an earlier window",
            row().baseline("/spec/grants/maximumDuration", json!("P1M")).grant("/spec/window/notBefore", json!("2026-01-31")), "2026-12-01T00:00:00Z", "MaximumDurationReached"),
        ("a status of another generation fixes nothing",
            row().grant("/status", json!({ "observedGeneration": 0, "closesAt": "2026-11-20T00:00:00Z" })), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("an end that is still to come may move",
            row().grant("/status", json!({ "observedGeneration": 1, "closesAt": "2026-11-23T00:00:01Z" })), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("an opt-out of another channel does not bind",
            row().baseline("/spec/telemetry", collects()).with(opt_out(json!(["PlatformTelemetry"]))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("an opt-out binds no vendor that collects nothing", row().with(opt_out(json!(["ThirdPartyAnalytics"]))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a prohibition of another vendor does not bind", row().with(prohibition(json!({ "recipients": { "processors": ["pagerduty"] }, "reason": "x" }))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a prohibition of a recipient namespace does not bind vendors", row().with(prohibition(json!({ "recipients": { "namespaces": ["acme-lake"] }, "reason": "x" }))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a prohibition of another tenant does not bind", row().with(prohibition(json!({ "tenants": ["globex"], "reason": "x" }))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a prohibition of another category does not bind", row().with(prohibition(json!({ "dataCategories": ["SupportBilling"], "reason": "x" }))), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("the baseline may let grants reach a reserved range",
            row().vendor("/spec/endpoints/0/cidrs", json!(["10.1.0.0/16"])).baseline("/spec/network/grantsMayReach", json!([{ "cidr": "10.0.0.0/8", "reason": "racks" }])),
            "2027-04-01T00:00:00Z", "WindowEnds"),
        ("IPv4 and IPv6 may stand side by side", row().vendor("/spec/endpoints/0/cidrs", json!(["203.0.113.0/24", "2001:db8::/48"])), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a sibling that agrees receives", row().lake(), "2027-04-01T00:00:00Z", "WindowEnds"),
        ("an acceptance that ends, ends it", {
            let mut ending = acceptance();
            ending["spec"]["notAfter"] = json!("2026-12-24");
            row().for_sibling().with(enrolled("acme-lake", "acme")).with(ending)
        }, "2026-12-25T00:00:00Z", "AcceptanceEnds"),
        ("one acceptance that suffices is enough beside one that does not", {
            let mut narrow = acceptance();
            narrow["metadata"]["name"] = json!("a-narrow-one");
            narrow["spec"]["dataCategories"] = json!(["SupportBilling"]);
            row().lake().with(narrow)
        }, "2027-04-01T00:00:00Z", "WindowEnds"),
        ("a stage that nobody knows is in force",
            row().namespace(json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "Observe" })), "2027-04-01T00:00:00Z", "WindowEnds"),
    ]
}

#[test]
fn each_row_is_refused_for_exactly_its_reasons() {
    for (sentence, row, reasons) in refusals() {
        refused(sentence, &row, &reasons);
    }
}

#[test]
fn each_row_is_open_until_its_end_and_for_its_cause() {
    for (sentence, row, until, because) in openings() {
        open(sentence, &row, until, because);
    }
}

/// Names that a source file gives to its variants, read off the match that names them.
fn names_in(file: &str, from: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let begin = text.find(from).unwrap();
    let body = text.get(begin..).unwrap();
    let body = body.get(..body.find("\n    }\n").unwrap()).unwrap();
    body.lines()
        .filter_map(|line| Some(line.split_once("=> \"")?.1.split_once('"')?.0.to_owned()))
        .collect()
}

#[test]
fn every_reason_to_refuse_has_a_row() {
    let mut lacking = names_in("src/plan/reason.rs", "impl Refusal {");
    assert!(lacking.len() > 35, "{lacking:?}");
    // Its row is a test of its own: a system namespace cannot hold the rows' other objects.
    lacking.remove("NamespaceExempt");
    for (_, row, _) in refusals() {
        for refusal in row.decide().refusals {
            lacking.remove(refusal.name());
        }
    }
    assert!(lacking.is_empty(), "no row for {lacking:?}");
}

#[test]
fn every_cause_of_an_end_has_a_row() {
    let mut lacking = names_in("src/plan/reason.rs", "impl EndCause {");
    for (_, row, ..) in openings() {
        lacking.remove(row.decide().end.unwrap().cause.as_str());
    }
    assert!(lacking.is_empty(), "no row for {lacking:?}");
}

#[test]
fn system_namespaces_and_the_operators_own_are_exempt_whatever_their_labels_say() {
    for name in ["kube-system", "kube-anything", "default", "covenant-system"] {
        let mut row = row();
        row.namespace["metadata"]["name"] = json!(name);
        row.grant["metadata"]["namespace"] = json!(name);
        refused(name, &row, &["NamespaceExempt"]);
    }
}

#[test]
fn an_outcome_tells_the_planned_from_the_wrong() {
    let outcome = |row: Row| row.decide().outcome();
    assert_eq!(outcome(row()), Outcome::Permitted);
    assert_eq!(
        outcome(row().grant("/spec/window/notBefore", json!("2026-12-01"))),
        Outcome::Waiting
    );
    assert_eq!(outcome(row().at("2027-04-01T00:00:00Z")), Outcome::Ended);
    assert_eq!(
        outcome(row().vendor("/spec/agreements", json!([]))),
        Outcome::Refused
    );
}

#[test]
fn the_next_instant_is_the_earliest_at_which_anything_may_change() {
    let next = |row: &Row| row.decide().next.unwrap().to_string();
    assert_eq!(next(&row()), "2027-04-01T00:00:00Z");
    assert_eq!(
        next(&row().grant("/spec/window/notBefore", json!("2026-12-01"))),
        "2026-12-01T00:00:00Z"
    );
    let later = row().vendor("/spec/agreements/0/effectiveFrom", json!("2026-11-30"));
    assert_eq!(next(&later), "2026-11-30T00:00:00Z");
    let assessed = row().vendor("/spec/assessments/0/completedOn", json!("2026-11-29"));
    assert_eq!(next(&assessed), "2026-11-29T00:00:00Z");
}

#[test]
fn an_invalid_grant_leaves_the_others_of_its_namespace_alone() {
    let mut bad = grant();
    bad["metadata"]["name"] = json!("bad");
    bad["metadata"]["uid"] = json!("bad");
    bad["spec"] = json!("not even an object");
    let world = row().with(bad).world();
    let now: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
    let names = |name: &str| -> Vec<&str> {
        let grant = world.grant(&ObjectKey::new("acme-prod", name)).unwrap();
        decide(&world, grant, now)
            .refusals
            .iter()
            .map(covenant::plan::Refusal::name)
            .collect()
    };
    assert_eq!(names("metrics"), Vec::<&str>::new());
    assert_eq!(names("bad"), ["Invalid"]);
}
