#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;
use crate::render::Finding;

fn now() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn item(scope: &str, item: &str, state: &str, reason: &str, evidence: &str) -> Value {
    json!({
        "scope": scope, "item": item, "state": state, "reason": reason, "evidence": evidence,
        "since": "2026-11-20T12:00:00Z"
    })
}

fn every_state() -> Vec<Value> {
    let mut items = vec![
        item(
            "AtRest",
            "PersistentVolumeClaim/old",
            "Unknown",
            "ClassNotListed",
            "the baseline does not list its class slow",
        ),
        item(
            "AtRest",
            "Secrets",
            "Verified",
            "CanaryEncrypted",
            "a canary was written through 3 API servers, and each encrypted it",
        ),
        item(
            "AtRest",
            "StorageClass/gold",
            "Proven",
            "ProvenByParameters",
            "encrypted is true: AES-256 (AWS EBS)",
        ),
        item(
            "AtRest",
            "StorageClass/local",
            "Attested",
            "Attested",
            "Platform: LUKS aes-xts-plain64 512, until 2027-01-31",
        ),
        item(
            "InTransit",
            "Gateway/plain",
            "NotEncrypted",
            "ListenerPlain",
            "listener web speaks HTTP",
        ),
        item(
            "InTransit",
            "Kong",
            "NotJudged",
            "NoWayToTell",
            "its TLS is set outside of the cluster",
        ),
    ];
    items[0]["since"] = json!("2026-11-20");
    items[5].as_object_mut().unwrap().remove("since");
    items
}

fn posture(items: &[Value], status: &str, reason: &str, message: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataHandlingPosture",
        "metadata": { "name": "current", "namespace": "acme-prod", "generation": 3 },
        "spec": {
            "tenant": "acme", "stage": "Enforce", "baseline": { "name": "default" },
            "encryption": { "items": items, "itemCount": items.len() }
        },
        "status": { "conditions": [{
            "type": "Encrypted", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-20T09:00:01Z", "observedGeneration": 3
        }] }
    }))
    .unwrap()
}

fn told(posture: &DynamicObject) -> String {
    plain(&namespace_encryption_text(
        &namespace_encryption(posture),
        now(),
    ))
}

#[test]
fn every_state_is_told_apart_with_what_shows_it() {
    let message = "1 of 6: first Gateway/plain: listener web speaks HTTP";
    let posture = posture(&every_state(), "False", "NotEncrypted", message);
    insta::assert_snapshot!(told(&posture));
    let json = escaped_json(&namespace_encryption(&posture)).unwrap();
    insta::assert_snapshot!("every_state_as_json", json);
}

#[test]
fn a_namespace_is_encrypted_only_where_everything_was_shown() {
    let shown = &every_state()[1..4];
    let message = "each of 3 items was verified, proven or attested";
    let is = |posture: &DynamicObject| {
        let told = namespace_encryption(posture);
        (told.encrypted, told.reason)
    };
    let good = posture(shown, "True", "Shown", message);
    assert_eq!(is(&good), ("True", "Shown".to_owned()));
    insta::assert_snapshot!(told(&good));

    for (state, encrypted, reason) in [
        ("NotJudged", "Unknown", "Contradictory"),
        ("Unknown", "Unknown", "Contradictory"),
        ("Tomorrow", "Unknown", "Contradictory"),
        ("NotEncrypted", "False", "NotEncrypted"),
    ] {
        let mut items = shown.to_vec();
        items[0]["state"] = json!(state);
        let found = is(&posture(&items, "True", "Shown", message));
        assert_eq!(found, (encrypted, reason.to_owned()), "{state}");
    }
    let mut stale = good.clone();
    stale.metadata.generation = Some(4);
    assert_eq!(is(&stale), ("Unknown", "Outdated".to_owned()));
    let mut silent = good.clone();
    silent.data["status"] = json!({});
    assert_eq!(is(&silent), ("Unknown", "NotSaidYet".to_owned()));
    let mut early = good.clone();
    early.data["spec"]
        .as_object_mut()
        .unwrap()
        .remove("encryption");
    assert_eq!(is(&early), ("Unknown", "NothingSaid".to_owned()));
    insta::assert_snapshot!("a_posture_that_says_nothing", told(&early));
    let mut unreadable = posture(
        &[],
        "Unknown",
        "BaselineUnreadable",
        "the baseline cannot be read",
    );
    unreadable.data["spec"]["encryption"] = Value::Null;
    assert_eq!(
        is(&unreadable),
        ("Unknown", "BaselineUnreadable".to_owned())
    );
}

#[test]
fn more_items_than_a_posture_lists_are_counted() {
    let mut many = posture(&every_state()[1..2], "Unknown", "NotKnown", "2 of 201");
    many.data["spec"]["encryption"]["itemCount"] = json!(201);
    let text = told(&many);
    assert!(
        text.contains("and 200 more that the posture does not list"),
        "{text}"
    );
}

#[test]
fn what_tenants_wrote_reaches_no_terminal_as_it_is() {
    let hostile = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\r\nNamespace acme-prod: encrypted";
    let long = format!("PersistentVolumeClaim/{}", "n".repeat(253));
    let items = [
        item("AtRest", &long, "Unknown", hostile, hostile),
        item(hostile, hostile, hostile, "R", &"e".repeat(512)),
        json!("no object"),
    ];
    let mut posture = posture(&items, "True", hostile, hostile);
    posture.data["spec"]["tenant"] = json!(hostile);
    let report = namespace_encryption(&posture);
    let text = namespace_encryption_text(&report, now());
    let printed = plain(&text);
    insta::assert_snapshot!(printed);
    let json = escaped_json(&report).unwrap();
    for shown in [&printed, &json] {
        let obeyed = |letter: char| letter.is_control() && letter != '\n';
        assert!(!shown.contains(obeyed), "{shown:?}");
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
        let first = shown.lines().filter(|line| line.starts_with("Namespace"));
        assert!(first.count() <= 1, "{shown}");
    }
    let read: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["tenant"], hostile, "what is escaped means the same");
}

#[test]
fn a_namespace_without_a_posture_says_what_to_do() {
    let mut texts = String::new();
    for why in [
        NoPosture::NotEnrolled,
        NoPosture::NotYet,
        NoPosture::MayNotRead,
    ] {
        let told = namespace_without_posture("acme-prod", why);
        texts += &plain(&namespace_encryption_text(&told, now()));
    }
    insta::assert_snapshot!(texts);
}

#[test]
fn a_report_of_many_namespaces_is_one_json_document() {
    let shown = posture(&every_state()[1..2], "True", "Shown", "m");
    let mut summary = EncryptionSummary::default();
    let mut text = encryption_begin(now());
    for number in 0..3 {
        let namespace = namespace_encryption(&shown);
        summary.add(&namespace);
        text += &encryption_next(&namespace, number == 0).unwrap();
    }
    summary.add(&namespace_without_posture("a", NoPosture::NotYet));
    text += &encryption_end(&summary).unwrap();
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    assert_eq!(read["kind"], "EncryptionReport");
    assert_eq!(read["at"], "2026-11-27T12:00:00Z");
    assert_eq!(read["namespaces"].as_array().unwrap().len(), 3);
    assert_eq!(
        read["summary"],
        json!({ "encrypted": 3, "notEncrypted": 0, "unknown": 1 })
    );
    assert!(!summary.is_shown());
    let empty = encryption_begin(now()) + &encryption_end(&EncryptionSummary::default()).unwrap();
    let read: Value = serde_json::from_str(&empty).unwrap();
    assert_eq!(read["namespaces"], json!([]));
    assert!(EncryptionSummary::default().is_shown());
}

fn certificate(trust: Trust, problem: Option<&str>, days: i64) -> CertificateSeen {
    let names = (0..9).map(|number| format!("n{number}.acme.example"));
    let until = now() + jiff::SignedDuration::from_hours(24 * days);
    CertificateSeen {
        subject: "CN=acme.example".to_owned(),
        names: names.collect(),
        issuer: "CN=root".to_owned(),
        not_before: Some(now()),
        not_after: Some(until),
        days_left: Some(days),
        trust,
        roots: "the roots of this system".to_owned(),
        problem: problem.map(str::to_owned),
    }
}

#[test]
fn a_probe_passes_only_with_tls_1_3_alone_and_a_valid_certificate() {
    let every = [
        Offers::Tls13Only,
        Offers::Tls13AndTls12,
        Offers::Tls13,
        Offers::Tls12Only,
        Offers::Older,
        Offers::NoTls,
        Offers::Refused,
        Offers::NoAnswer,
        Offers::Unreachable,
        Offers::NotTried,
    ];
    let mut rows = Vec::new();
    for offers in every {
        let mut row = format!("{offers:?}:");
        for trust in [
            Some(Trust::Valid),
            Some(Trust::NotValid),
            Some(Trust::Unknown),
            None,
        ] {
            let mut probe = TlsProbe::unseen("a:443".to_owned(), offers, "r");
            probe.certificate = trust.map(|trust| certificate(trust, None, 1));
            let result = probe.judged().result;
            assert_eq!(
                result == Finding::Passed,
                (offers, trust) == (Offers::Tls13Only, Some(Trust::Valid))
            );
            row += &format!(" {result:?}");
        }
        rows.push(row);
    }
    insta::assert_snapshot!(rows.join("\n"));
    assert_eq!(TlsProbes::new(now(), Vec::new()).result, Finding::Unknown);
}

#[test]
fn probes_are_told_with_what_was_seen() {
    let negotiated = |version: &str, suite: &str| {
        Some(Negotiated {
            version: version.to_owned(),
            cipher_suite: Some(suite.to_owned()),
            group: Some("X25519".to_owned()),
        })
    };
    let mut good = TlsProbe::unseen(
        "acme.example:443".to_owned(),
        Offers::Tls13Only,
        "TLS 1.2 is refused by alert protocol_version",
    );
    good.published_by = Some("Ingress/web".to_owned());
    good.server_name = Some("acme.example".to_owned());
    good.connected_to = Some("192.0.2.1:443".to_owned());
    good.negotiated = negotiated("TLS 1.3", "TLS13_AES_256_GCM_SHA384");
    good.certificate = Some(certificate(Trust::Valid, None, 63));
    let mut both = good.clone();
    both.offers = Offers::Tls13AndTls12;
    both.reason = None;
    both.negotiated_by_tls12_alone =
        negotiated("TLS 1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    both.certificate = Some(certificate(Trust::NotValid, Some("it has expired"), -3));
    let hostile = TlsProbe::unseen(
        "*.acme.example:80".to_owned(),
        Offers::NoTls,
        "it answers in plain HTTP: HTTP/1.1 400 \u{1b}[2J",
    );
    let report = TlsProbes::new(now(), vec![good.judged(), both.judged(), hostile]);
    assert_eq!(report.result, Finding::Failed);
    insta::assert_snapshot!(plain(&tls_probes_text(&report)));
    insta::assert_snapshot!("probes_as_json", escaped_json(&report).unwrap());

    let mut namespace = namespace_without_posture("acme-prod", NoPosture::NotYet);
    namespace.probes = Some(report.probes);
    let mut summary = EncryptionSummary::default();
    summary.add(&namespace);
    let text = namespace_encryption_text(&namespace, now()) + &encryption_summary_text(&summary);
    insta::assert_snapshot!("a_namespace_with_probes", plain(&text));
}
