//! The API server killed and started again under a hammer of deletions: nothing held goes, and how long others wait.
//!
//! Twenty times; four when COVENANT_SHORT is set. Times are printed, never judged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::raw::{Answer, Call, Caller, JSON, MERGE};
use testbed::{Cluster, ClusterOptions, eventually};
use tokio::task::JoinSet;

const SIGN: &str = "[ProcessingHold held/matter]";
const OBJECTS: usize = 20;
/// No longer than this is waited for a server that refuses what it should not.
const LONGEST: Duration = Duration::from_secs(60);

const NEIGHBOURS: [(&str, &str); 3] = [
    ("unheld", "enrolled, without holds"),
    ("disarmed", "enrolled, disarmed"),
    ("unenrolled", "not enrolled"),
];

fn config_map(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

async fn passes(who: &Caller, call: &Call) -> Value {
    let answer = who.send(call).await.unwrap();
    assert!(answer.is_success(), "{call:?} {answer:?}");
    answer.body
}

async fn make_namespace(platform: &Caller, admin: &Caller, name: &str, labels: Value) {
    let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    let create = Call::new("POST", "/api/v1/namespaces").with(JSON, body);
    passes(platform, &create).await;
    for number in 0..OBJECTS {
        let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("kept-{number}") }, "data": { "a": "a" } });
        let path = format!("/api/v1/namespaces/{name}/configmaps");
        passes(admin, &Call::new("POST", path).with(JSON, body)).await;
    }
}

async fn hold(admin: &Caller) {
    let body = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "metadata": { "name": "matter" },
        "spec": {
            "matter": "CASE-2026-042", "ground": "LegalProceeding", "reason": "evidence for proceedings",
            "effects": ["PreventDeletion", "PreventAlteration"],
        },
    });
    let path = "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/held/processingholds";
    passes(admin, &Call::new("POST", path).with(JSON, body)).await;
    let canary = Call::new("DELETE", format!("{path}/matter")).dry();
    eventually("the hold is in force", LONGEST, || async {
        let answer = admin.send(&canary).await?;
        anyhow::ensure!(answer.message().contains(SIGN), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

/// Everything in the held namespace, with its version: nothing was written to it at all.
async fn held(admin: &Caller) -> BTreeMap<String, Value> {
    let list = Call::new("GET", "/api/v1/namespaces/held/configmaps");
    let list = passes(admin, &list).await;
    let items = list["items"].as_array().unwrap();
    let kept = items.iter().map(|object| {
        (
            object["metadata"]["name"].to_string(),
            json!([
                object["metadata"]["uid"],
                object["metadata"]["resourceVersion"],
                object["data"]
            ]),
        )
    });
    kept.filter(|(name, _)| name.contains("kept-")).collect()
}

/// How the hammer's requests ended.
#[derive(Default)]
struct Blows {
    by_the_hold: AtomicUsize,
    otherwise: AtomicUsize,
    unanswered: AtomicUsize,
    through: AtomicUsize,
}

/// Somebody who deletes for as long as they may.
async fn hammer(who: Caller, first: usize, blows: Arc<Blows>, over: Arc<AtomicBool>) {
    let mut number = first;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let name = format!("kept-{}", number % OBJECTS);
        let call = match number % 7 {
            0 => Call::new("DELETE", "/api/v1/namespaces/held/configmaps"),
            1 => Call::new("DELETE", "/api/v1/namespaces/held"),
            2 => Call::new("PATCH", config_map("held", &name))
                .with(MERGE, json!({ "data": { "a": "changed" } })),
            _ => Call::new("DELETE", config_map("held", &name)),
        };
        match who.send(&call).await {
            Ok(answer) if answer.is_success() => &blows.through,
            Ok(answer) if answer.message().contains(SIGN) => &blows.by_the_hold,
            Ok(_) => &blows.otherwise,
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                &blows.unanswered
            }
        }
        .fetch_add(1, Ordering::Relaxed);
    }
}

/// When an update was last let through and last refused, and by what words.
#[derive(Clone, Debug, Default)]
struct Seen {
    passed: Option<Instant>,
    refused: Option<(Instant, String)>,
}

/// Somebody who works next door for as long as they may.
async fn works(who: Caller, namespace: &str, seen: Arc<Mutex<Seen>>, over: Arc<AtomicBool>) {
    let mut number = 0;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let note = json!({ "metadata": { "annotations": { "number": number.to_string() } } });
        let call = Call::new("PATCH", config_map(namespace, "kept-0")).with(MERGE, note);
        match who.send(&call).await {
            Ok(answer) if answer.is_success() => {
                seen.lock().unwrap().passed = Some(Instant::now());
            }
            Ok(answer) => {
                let words = words(&answer);
                seen.lock().unwrap().refused = Some((Instant::now(), words));
            }
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

fn words(answer: &Answer) -> String {
    let message = answer.message();
    let part = match message.rfind("denied request: ") {
        Some(at) => &message[at..],
        None => message,
    };
    format!("{} {part}", answer.code)
}

/// Waits until everybody next door is let through again and the hold refuses in its own name, for half a second; says
/// how long after `ready` each was refused for the last time.
async fn settles(
    admin: &Caller,
    ready: Instant,
    seen: &[Arc<Mutex<Seen>>],
) -> Vec<(Duration, String)> {
    let canary = Call::new("DELETE", config_map("held", "kept-1")).dry();
    let mut good = Instant::now();
    while good.elapsed() < Duration::from_millis(500) && ready.elapsed() < LONGEST {
        let answer = admin.send(&canary).await;
        let refused = answer.is_ok_and(|answer| answer.message().contains(SIGN));
        let passed = seen.iter().all(|seen| {
            let seen = seen.lock().unwrap();
            let since = seen
                .refused
                .as_ref()
                .map_or(ready, |(at, _)| (*at).max(ready));
            seen.passed.is_some_and(|passed| passed > since)
        });
        if !(refused && passed) {
            good = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen.iter()
        .map(|seen| match &seen.lock().unwrap().refused {
            Some((at, words)) if *at > ready => (*at - ready, words.clone()),
            _ => (Duration::ZERO, String::new()),
        })
        .collect()
}

fn print(rounds: &[(Duration, Vec<(Duration, String)>)], blows: &Blows) {
    println!(
        "| restart | start to ready | {} |",
        NEIGHBOURS.map(|(_, what)| what).join(" | ")
    );
    println!("|---|---|---|---|---|");
    let seconds = |time: &Duration| format!("{:.2} s", time.as_secs_f64());
    for (number, (start, outages)) in rounds.iter().enumerate() {
        let cells: Vec<String> = outages.iter().map(|(time, _)| seconds(time)).collect();
        println!(
            "| {} | {} | {} |",
            number + 1,
            seconds(start),
            cells.join(" | ")
        );
    }
    for (index, (_, what)) in NEIGHBOURS.iter().enumerate() {
        let mut times: Vec<&(Duration, String)> =
            rounds.iter().map(|(_, outages)| &outages[index]).collect();
        times.sort();
        let longest = times[times.len() - 1];
        println!(
            "{what}: an unrelated update was refused for {} at the median and {} at the longest {}",
            seconds(&times[times.len() / 2].0),
            seconds(&longest.0),
            longest.1
        );
    }
    println!(
        "blows: {} refused by the hold, {} refused otherwise, {} without an answer, {} through",
        blows.by_the_hold.load(Ordering::Relaxed),
        blows.otherwise.load(Ordering::Relaxed),
        blows.unanswered.load(Ordering::Relaxed),
        blows.through.load(Ordering::Relaxed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_held_goes_while_the_api_server_dies_and_comes_back_under_a_hammer() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let admin = cluster.admin().caller().unwrap();
    let platform = cluster.platform_engineer().await.unwrap().caller().unwrap();
    let tenant = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    for (name, labels) in [
        ("held", tenant.clone()),
        ("unheld", tenant),
        (
            "disarmed",
            json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/holds": "disarmed" }),
        ),
        ("unenrolled", json!({ "team": "any" })),
    ] {
        make_namespace(&platform, &admin, name, labels).await;
    }
    hold(&admin).await;
    let audit = cluster.audit().unwrap();
    let marker = audit.marker().await.unwrap();
    let before = held(&admin).await;
    assert_eq!(before.len(), OBJECTS);

    let over = Arc::new(AtomicBool::new(false));
    let blows = Arc::new(Blows::default());
    let mut tasks = JoinSet::new();
    for (number, who) in [
        cluster.admin().clone(),
        cluster.gitops().await.unwrap(),
        cluster.tenant_admin("held").await.unwrap(),
        cluster.namespace_cluster_admin("held").await.unwrap(),
    ]
    .into_iter()
    .enumerate()
    {
        let who = who.caller().unwrap();
        tasks.spawn(hammer(who, number * 5, blows.clone(), over.clone()));
    }
    let mut seen = Vec::new();
    for (namespace, _) in NEIGHBOURS {
        let who = cluster.admin().caller().unwrap();
        let mine = Arc::new(Mutex::new(Seen::default()));
        seen.push(mine.clone());
        let over = over.clone();
        tasks.spawn(async move { works(who, namespace, mine, over).await });
    }

    let count = if std::env::var_os("COVENANT_SHORT").is_some() {
        4
    } else {
        20
    };
    let mut rounds = Vec::new();
    for _ in 0..count {
        cluster.kill_api_server().unwrap();
        let began = Instant::now();
        cluster.start_api_server().await.unwrap();
        let ready = Instant::now();
        let outages = settles(&admin, ready, &seen).await;
        rounds.push((ready - began, outages));
    }
    over.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    print(&rounds, &blows);

    let events = audit.since(marker).await.unwrap();
    let tried: Vec<_> = events
        .iter()
        .filter(|event| {
            event.namespace() == "held" && event.is_mutating() && event.verb.starts_with("delete")
        })
        .collect();
    let through: Vec<_> = tried.iter().filter(|event| event.code() < 300).collect();
    println!(
        "audit log: {} deletions tried, {} through",
        tried.len(),
        through.len()
    );
    assert!(through.is_empty(), "{through:#?}");
    assert!(tried.len() > count * 10, "no hammer: {}", tried.len());
    assert_eq!(blows.through.load(Ordering::Relaxed), 0);
    assert_eq!(before, held(&admin).await, "not a write among them");
    passes(&admin, &Call::new("GET", "/api/v1/namespaces/held")).await;
}
