//! What is planned about Secrets: when they are tried, what is told of it, and what stays as it was told.

use covenant::model::{Kind, SecretsAnswer, SecretsTrial, Settings, Unanswered, Unit, World};
use covenant::plan::{Inquiry, Plan, plan};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{apply, baseline, enrolled};

const SERVERS: [&str; 3] = ["192.0.2.1:6443", "192.0.2.2:6443", "192.0.2.3:6443"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn start() -> Timestamp {
    at("2026-11-27T08:00:00Z")
}

fn asking() -> Value {
    let mut baseline = baseline();
    baseline["spec"]["encryption"] =
        json!({ "atRest": { "storageClasses": [], "secrets": "Verify" } });
    baseline
}

fn lease(server: usize, holder: &str, renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": format!("apiserver-{server}"), "namespace": "kube-system",
            "labels": { "apiserver.kubernetes.io/identity": "kube-apiserver" },
        },
        "spec": { "holderIdentity": holder, "renewTime": renewed },
    })
}

/// A world with so many API servers, and a namespace on a baseline that asks.
fn world(servers: usize) -> World {
    let mut world = World::new(Settings {
        operator_namespace: Some("covenant-system".to_owned()),
        servers: SERVERS[..servers]
            .iter()
            .map(|&server| server.to_owned())
            .collect(),
    });
    for server in 0..servers {
        apply(
            &mut world,
            &lease(server, &format!("start-{server}"), "2026-11-27T07:59:55Z"),
        );
    }
    apply(&mut world, &asking());
    apply(&mut world, &enrolled("acme-shop", "acme"));
    world
}

fn unit() -> Unit {
    Unit::Baseline("default".to_owned())
}

fn planned(world: &World, now: Timestamp) -> Plan {
    plan(world, &unit(), now)
}

/// What the status says of Secrets.
fn told(plan: &Plan) -> Value {
    plan.statuses[0].status["secrets"].clone()
}

/// Stores what is planned, as the API server would.
fn store(world: &mut World, plan: &Plan) {
    let mut baseline = asking();
    baseline["status"] = plan.statuses[0].status.clone();
    apply(world, &baseline);
}

fn asks(plan: &Plan) -> bool {
    plan.inquiries
        .iter()
        .any(|inquiry| matches!(inquiry, Inquiry::Secrets { .. }))
}

/// Answers what is asked now: each server in turn.
fn learn(world: &mut World, now: Timestamp, answers: &[SecretsAnswer]) {
    let plan = planned(world, now);
    let Some(Inquiry::Secrets {
        fingerprint,
        starts,
        servers,
        namespace,
    }) = plan.inquiries.first()
    else {
        panic!("nothing is asked: {plan:?}");
    };
    assert_eq!(namespace, "covenant-system");
    let dirty = world.learn_secrets(SecretsTrial {
        fingerprint: fingerprint.clone(),
        starts: *starts,
        at: now,
        answers: servers
            .iter()
            .cloned()
            .zip(answers.iter().cloned())
            .collect(),
        failures: 0,
        repeats: 0,
    });
    assert!(dirty.0.contains(&unit()));
}

fn by(prefix: &str) -> SecretsAnswer {
    SecretsAnswer::Encrypted {
        prefixes: [prefix.to_owned()].into(),
        keys: Default::default(),
        configuration: None,
    }
}

fn kms() -> SecretsAnswer {
    SecretsAnswer::Encrypted {
        prefixes: ["k8s:enc:kms:v2:vault:".to_owned()].into(),
        keys: ["sha256:0123456789abcdef0123456789abcdef".to_owned()].into(),
        configuration: Some("sha256:fedcba9876543210fedcba9876543210".to_owned()),
    }
}

fn unreadable(forbidden: bool) -> SecretsAnswer {
    SecretsAnswer::Unreadable(Unanswered {
        forbidden,
        said: "connection refused".to_owned(),
    })
}

fn judged(answers: &[SecretsAnswer]) -> (String, String, String) {
    let mut world = world(answers.len());
    learn(&mut world, start(), answers);
    let told = told(&planned(&world, start()));
    let text = |field: &str| told[field].as_str().unwrap().to_owned();
    (text("state"), text("reason"), text("evidence"))
}

#[test]
fn kms_v2_on_every_server_is_verified_and_claims_nothing_of_earlier_secrets() {
    let (state, reason, evidence) = judged(&[kms(), kms()]);
    assert_eq!((state.as_str(), reason.as_str()), ("Verified", "KmsV2"));
    assert_eq!(
        evidence,
        "192.0.2.1:6443, 192.0.2.2:6443 (2 of 2 API servers) stored a canary by kms v2 provider vault (AES-GCM, 256 bits, a key for each write), key sha256:0123456789ab, configuration sha256:fedcba987654. Of Secrets that were written earlier nothing is claimed"
    );
}

#[test]
fn no_other_provider_is_called_aes_256() {
    for (prefix, state, reason) in [
        ("k8s:enc:aescbc:v1:", "Unknown", "KeySizeNotVisible"),
        ("k8s:enc:aesgcm:v1:", "Unknown", "KeySizeNotVisible"),
        ("k8s:enc:kms:v1:vault:", "Unknown", "KeySizeNotVisible"),
        ("k8s:enc:secretbox:v1:", "NotEncrypted", "NotAes256"),
        ("k8s:enc:kms:v3:vault:", "Unknown", "ProviderUnknown"),
    ] {
        let told = judged(&[by(prefix)]);
        assert_eq!(
            (told.0.as_str(), told.1.as_str()),
            (state, reason),
            "{prefix}"
        );
    }
}

#[test]
fn the_weakest_server_counts_and_is_named() {
    let course = [
        (kms(), "Verified", "KmsV2"),
        (by("k8s:enc:aescbc:v1:"), "Unknown", "KeySizeNotVisible"),
        (
            SecretsAnswer::Interfered,
            "Unknown",
            "OtherWritesInterfered",
        ),
        (SecretsAnswer::Odd("why"), "Unknown", "NotAttributable"),
        (unreadable(false), "Unknown", "MetricsUnreadable"),
        (by("k8s:enc:secretbox:v1:"), "NotEncrypted", "NotAes256"),
        (SecretsAnswer::Plain, "NotEncrypted", "StoredPlain"),
        (
            SecretsAnswer::Unconfigured,
            "NotEncrypted",
            "NoEncryptionConfiguration",
        ),
    ];
    for (stronger, (weaker, state, reason)) in course.iter().zip(&course[1..]) {
        let told = judged(&[stronger.0.clone(), weaker.clone(), stronger.0.clone()]);
        assert_eq!((told.0.as_str(), told.1.as_str()), (*state, *reason));
        assert!(
            told.2.starts_with("192.0.2.2:6443 (1 of 3 API servers)"),
            "{told:?}"
        );
    }
}

#[test]
fn a_server_that_nobody_gave_the_address_of_keeps_it_from_being_verified() {
    let mut world = world(1);
    learn(&mut world, start(), &[kms()]);
    assert_eq!(told(&planned(&world, start()))["state"], "Verified");
    apply(&mut world, &lease(1, "start-1", "2026-11-27T07:59:58Z"));
    learn(&mut world, start(), &[kms()]);
    let plan = planned(&world, start());
    assert_eq!(told(&plan)["reason"], "ServersUncounted");
    // Its Lease falls silent, of which nothing tells.
    assert_eq!(plan.next, Some(at("2026-11-27T08:00:30Z")));
}

#[test]
fn what_was_found_out_is_tried_again_a_day_later_and_then_only_the_day_moves() {
    let mut world = world(2);
    learn(&mut world, start(), &[kms(), kms()]);
    let first = planned(&world, start());
    assert!(!asks(&first) && first.statuses[0].changed);
    assert_eq!(first.next, Some(at("2026-11-28T08:00:00Z")));
    assert_eq!(first.statuses[0].notices[0].reason, "SecretsVerified");
    store(&mut world, &first);
    let same = planned(&world, start());
    assert!(!same.statuses[0].changed && same.statuses[0].notices.is_empty());

    let tomorrow = at("2026-11-28T08:00:00Z");
    let posture = |world: &World| {
        let plan = plan(world, &Unit::Namespace("acme-shop".to_owned()), tomorrow);
        plan.namespace.unwrap().posture.unwrap().spec
    };
    let before = posture(&world);
    learn(&mut world, tomorrow, &[kms(), kms()]);
    let second = planned(&world, tomorrow);
    let (was, is) = (told(&first), told(&second));
    assert!(second.statuses[0].changed);
    assert_eq!(is["since"], was["since"]);
    assert_eq!(is["triedAt"], "2026-11-28T08:00:00Z");
    store(&mut world, &second);
    assert_eq!(posture(&world), before);
    let items = before.encryption.unwrap().items;
    let item = items.iter().find(|item| item.item == "Secrets").unwrap();
    assert_eq!(json!(item.since), was["since"]);

    // Another answer begins anew.
    let third = at("2026-11-29T08:00:00Z");
    learn(&mut world, third, &[kms(), SecretsAnswer::Plain]);
    let plan = planned(&world, third);
    assert_eq!(told(&plan)["since"], "2026-11-29T08:00:00Z");
    assert_eq!(plan.statuses[0].notices[0].reason, "SecretsNotEncrypted");
    assert!(plan.statuses[0].notices[0].warning);
}

#[test]
fn what_is_left_open_is_tried_again_soon_and_then_less_and_less_often() {
    let mut world = world(1);
    let mut now = start();
    let mut written = 0;
    for pause in [15, 30, 60, 120, 240, 300, 300, 300] {
        learn(&mut world, now, &[unreadable(true)]);
        let plan = planned(&world, now);
        written += usize::from(plan.statuses[0].changed);
        let next = now.checked_add(SignedDuration::from_secs(pause)).unwrap();
        assert!(!asks(&plan));
        assert_eq!(plan.next, Some(next));
        store(&mut world, &plan);
        now = next;
    }
    assert_eq!(
        written, 1,
        "tries that show the same are not told one by one"
    );
    learn(&mut world, now, &[kms()]);
    let again = now.checked_add(SignedDuration::from_hours(24)).unwrap();
    assert_eq!(planned(&world, now).next, Some(again));
}

#[test]
fn another_start_of_a_server_is_tried_at_once_and_a_renewed_lease_is_not() {
    let mut world = world(2);
    learn(&mut world, start(), &[kms(), kms()]);
    let plan = planned(&world, start());
    store(&mut world, &plan);
    let dirty = apply(&mut world, &lease(1, "start-1", "2026-11-27T08:00:05Z"));
    assert!(!dirty.0.contains(&unit()));
    assert!(!asks(&planned(&world, start())));
    let dirty = apply(&mut world, &lease(1, "start-7", "2026-11-27T08:00:06Z"));
    assert!(dirty.0.contains(&unit()));
    let plan = planned(&world, start());
    assert!(asks(&plan));
    assert_eq!(
        told(&plan)["state"],
        "Verified",
        "it stands until it is tried"
    );
    assert!(!plan.statuses[0].changed);
}

#[test]
fn a_server_that_broke_off_is_tried_again_though_its_lease_says_nothing() {
    let mut world = world(1);
    learn(&mut world, start(), &[kms()]);
    assert!(!asks(&planned(&world, start())));
    let dirty = world.suspect_start();
    assert!(dirty.0.contains(&unit()));
    assert!(asks(&planned(&world, start())));
    learn(&mut world, start(), &[kms()]);
    assert!(!asks(&planned(&world, start())));
}

#[test]
fn a_server_whose_address_comes_back_is_tried_again() {
    let mut world = world(1);
    let endpoints = |addresses: Value| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "kubernetes", "namespace": "default", "uid": "endpoints" },
            "endpoints": [{ "addresses": addresses }], "ports": [{ "port": 6443 }],
        })
    };
    apply(&mut world, &endpoints(json!(["192.0.2.1", "192.0.2.2"])));
    learn(&mut world, start(), &[kms()]);
    assert!(!asks(&planned(&world, start())));
    apply(&mut world, &endpoints(json!(["192.0.2.1", "192.0.2.2"])));
    assert!(!asks(&planned(&world, start())), "nothing came or went");
    apply(&mut world, &endpoints(json!(["192.0.2.1"])));
    assert!(asks(&planned(&world, start())));
}

#[test]
fn leases_that_are_out_of_step_all_the_time_are_no_reason_to_try_all_the_time() {
    let mut world = world(1);
    let mut now = start();
    let mut tries = 0;
    for _ in 0..400 {
        if asks(&planned(&world, now)) {
            learn(&mut world, now, &[kms()]);
            tries += 1;
        }
        now = now.checked_add(SignedDuration::from_secs(3)).unwrap();
        apply(&mut world, &lease(0, "start-0", &now.to_string()));
    }
    // Twenty minutes: at its start, twice soon after, and then every two.
    assert_eq!(tries, 12);
}

#[test]
fn a_clock_that_was_set_back_does_not_put_a_try_off() {
    let mut world = world(1);
    learn(&mut world, start(), &[kms()]);
    assert!(asks(&planned(&world, at("2026-11-20T08:00:00Z"))));
}

#[test]
fn nobody_is_asked_where_no_namespace_stands_on_a_baseline_that_asks() {
    let mut empty = World::new(Settings {
        operator_namespace: Some("covenant-system".to_owned()),
        ..Settings::default()
    });
    apply(&mut empty, &asking());
    assert!(!asks(&planned(&empty, start())));
    // It begins with the first one, and ends with what the baseline says.
    apply(&mut empty, &enrolled("acme-shop", "acme"));
    assert!(asks(&planned(&empty, start())));
    let mut other = asking();
    other["spec"]["encryption"]["atRest"]["secrets"] = json!("Ignore");
    let dirty = apply(&mut empty, &other);
    assert!(dirty.0.contains(&unit()));
    let plan = planned(&empty, start());
    assert!(!asks(&plan));
    assert_eq!(told(&plan), Value::Null);
}

#[test]
fn what_an_earlier_process_stored_stands_until_it_is_tried() {
    let mut old = world(1);
    learn(&mut old, start(), &[kms()]);
    let plan = planned(&old, start());
    let mut new = world(1);
    store(&mut new, &plan);
    let plan = planned(&new, start());
    assert!(asks(&plan));
    assert!(!plan.statuses[0].changed);
    assert_eq!(told(&plan)["state"], "Verified");
    assert_eq!(new.keys(Kind::Baseline).len(), 1);
}
