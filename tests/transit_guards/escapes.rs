//! Ways in which somebody would get plain text, or less than TLS 1.3, past the guards.

use serde_json::{Value, json};
use testbed::raw::{APPLY, Call, JSON, MERGE};

use crate::cases::{self, Case};
use crate::definitions::{CLIENT_TRAFFIC_POLICY, GATEWAY, ISTIO_GATEWAY};
use crate::stage::{passes, publish, refused, stage};

const JSON_PATCH: &str = "application/json-patch+json";

fn case(name: &str) -> Case {
    let found = cases::all().into_iter().find(|case| case.name == name);
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_encrypted_does_not_become_plain_by_any_kind_of_change() {
    let stage = stage().await;
    let namespace = "acme-changes";
    stage.asking(namespace).await;
    let admin = stage.admin();
    for (good, bad) in [
        ("https", "http"),
        ("policy", "policy-without-tls"),
        ("covered", "no-tls"),
        ("option", "option-at-two"),
        ("stream", "stream-plain"),
        ("simple", "redirects"),
        ("mutual-rule", "off"),
        ("strict", "permissive"),
        ("proxy", "proxy-plain"),
    ] {
        let bad = case(bad);
        let good = if good == "mutual-rule" {
            Case {
                spec: json!({ "host": "a" }),
                fault: None,
                name: "mutual-rule",
                ..case("off")
            }
        } else {
            case(good)
        };
        let version = good.kind.versions[0];
        let made = good.object(version, namespace);
        let call = Call::new("POST", good.kind.all(version, namespace)).with(JSON, made.clone());
        let stored = passes(&admin, call).await.body;
        let sign = format!("[{}]", bad.fault.unwrap().as_str());
        for other in good.kind.versions {
            let path = format!("{}/{}", good.kind.all(other, namespace), good.name);
            let mut whole = stored.clone();
            whole["apiVersion"] = json!(format!("{}/{other}", good.kind.group));
            whole["spec"] = bad.spec.clone();
            let put = Call::new("PUT", &path).with(JSON, whole);
            let steps = json!([{ "op": "replace", "path": "/spec", "value": bad.spec }]);
            let by_steps = Call::new("PATCH", &path).with(JSON_PATCH, steps);
            let mut applied = good.object(other, namespace);
            applied["spec"] = bad.spec.clone();
            let first = format!("{path}?fieldManager=somebody&force=true");
            let apply = Call::new("PATCH", first).with(APPLY, applied);
            // What apply leaves out of another manager's fields stays.
            let removes = matches!(
                bad.name,
                "no-tls" | "policy-without-tls" | "stream-plain" | "proxy-plain"
            );
            for call in [put, by_steps] {
                refused(&admin, call, &[&sign]).await;
            }
            if !removes {
                refused(&admin, apply, &[&sign]).await;
            }
        }
        // By a status nothing of it changes.
        let path = format!("{}/status", good.kind.one(namespace, good.name));
        let mut whole = stored.clone();
        whole["spec"] = bad.spec.clone();
        let put = Call::new("PUT", path).with(JSON, whole);
        let answer = admin.send(&put).await.unwrap();
        let after = passes(
            &admin,
            Call::new("GET", good.kind.one(namespace, good.name)),
        )
        .await;
        assert_eq!(after.body["spec"], stored["spec"], "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_server_makes_and_an_apply_that_creates_are_judged_too() {
    let stage = stage().await;
    let namespace = "acme-made";
    stage.asking(namespace).await;
    let plain = json!({ "gatewayClassName": "eg", "listeners": [{ "name": "a", "port": 80, "protocol": "HTTP" }] });
    let mut nameless = publish(&GATEWAY, namespace, "", &plain);
    nameless.body["metadata"] = json!({ "generateName": "gateway-", "namespace": namespace });
    refused(
        &stage.admin(),
        nameless,
        &["Gateway acme-made/gateway-", "[PlainListener]"],
    )
    .await;
    let object = GATEWAY.object("v1", namespace, "applied", &plain);
    let path = format!(
        "{}?fieldManager=somebody",
        GATEWAY.one(namespace, "applied")
    );
    let apply = Call::new("PATCH", path).with(APPLY, object);
    refused(&stage.admin(), apply, &["[PlainListener]"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_is_nothing_that_is_said() {
    let stage = stage().await;
    let namespace = "acme-null";
    stage.asking(namespace).await;
    let admin = stage.admin();
    for (kind, spec) in [
        (CLIENT_TRAFFIC_POLICY, json!({ "tls": null })),
        (
            CLIENT_TRAFFIC_POLICY,
            json!({ "tls": { "minVersion": null } }),
        ),
        (
            ISTIO_GATEWAY,
            json!({ "servers": [{ "port": { "name": "a", "protocol": "HTTPS" }, "tls": null }] }),
        ),
        (
            ISTIO_GATEWAY,
            json!({ "servers": [{ "port": { "name": "a", "protocol": "HTTPS" }, "tls": { "mode": "SIMPLE", "minProtocolVersion": null } }] }),
        ),
    ] {
        // Either the schema refuses it or the guard does.
        let answer = admin
            .send(&publish(&kind, namespace, "null", &spec).dry())
            .await
            .unwrap();
        assert!(matches!(answer.code, 403 | 422), "{spec}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_the_minimum_away_listener_by_listener_is_refused() {
    let stage = stage().await;
    let namespace = "acme-piecemeal";
    stage.asking(namespace).await;
    let admin = stage.admin();
    let server = |minimum: Value| {
        json!({
            "port": { "number": 8443, "name": "port", "protocol": "HTTPS" }, "hosts": ["a.acme.example"],
            "tls": { "mode": "SIMPLE", "minProtocolVersion": minimum },
        })
    };
    let spec = json!({ "servers": [server(json!("TLSV1_3")), server(json!("TLSV1_3"))] });
    passes(&admin, publish(&ISTIO_GATEWAY, namespace, "edge", &spec)).await;
    let path = ISTIO_GATEWAY.one(namespace, "edge");
    for patch in [
        json!([{ "op": "replace", "path": "/spec/servers/1/tls/minProtocolVersion", "value": "TLSV1_2" }]),
        json!([{ "op": "remove", "path": "/spec/servers/1/tls/minProtocolVersion" }]),
        json!([{ "op": "add", "path": "/spec/servers/-", "value": { "port": { "number": 80, "name": "b", "protocol": "HTTP" }, "hosts": ["*"] } }]),
    ] {
        let call = Call::new("PATCH", &path).with(JSON_PATCH, patch);
        refused(&admin, call, &["Gateway acme-piecemeal/edge"]).await;
    }
    let fewer = json!({ "spec": { "servers": [server(json!("TLSV1_3"))] } });
    passes(&admin, Call::new("PATCH", &path).with(MERGE, fewer)).await;
}
