//! An OpenTelemetry Collector, configured to follow Fluent Bit's marker, asks for the pods whose logs it reads.

use serde_json::{Value, json};
use testbed::collectors::{Collector, Delivered};
use testbed::eventually;
use testbed::raw::Call;

use crate::stage::{Stage, is_refused, passes, pod, stage, stamps};
use crate::stories::PATIENCE;

const LOGS: &str = "acme-logs";
const ELSEWHERE: &str = "globex-logs";
const MARKER: (&str, &str) = ("fluentbit.io/exclude", "true");

/// Makes a pod that is told by this label, and returns it as it is stored.
async fn made(stage: &Stage, namespace: &str, app: &str, annotations: &Value) -> Value {
    let metadata = json!({ "labels": { "app": app }, "annotations": annotations });
    passes(&stage.admin(), pod(namespace, app, &metadata)).await
}

/// A line of a pod that the Collector knows.
fn spoken(pod: &Value, line: &str) -> Delivered {
    let app = pod["metadata"]["labels"]["app"].as_str().unwrap();
    Delivered {
        app: Some(app.to_owned()),
        line: line.to_owned(),
    }
}

/// Has the pod log a line, and waits until it is delivered as that pod's.
async fn delivered(collector: &Collector, pod: &Value, line: &str) {
    collector.log(pod, line).unwrap();
    let expected = spoken(pod, line);
    eventually("a line is delivered", PATIENCE, || async {
        let delivered = collector.delivered()?;
        anyhow::ensure!(delivered.contains(&expected), "{delivered:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

/// Has the pod log this line until it is delivered as that pod's. Lines of pods that the Collector does not know yet are delivered
/// without saying whose, and those of pods of which it does not know yet that they are to be heard again are not.
async fn heard(collector: &Collector, pod: &Value, line: &str) {
    let expected = spoken(pod, line);
    eventually("the Collector hears the pod", PATIENCE, || async {
        collector.log(pod, line)?;
        let delivered = collector.delivered()?;
        anyhow::ensure!(delivered.contains(&expected), "{delivered:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_follows_a_marker_delivers_nothing_of_who_opted_out() {
    let stage = stage().await;
    stage.enrolled(LOGS, "acme").await;
    stage.enrolled(ELSEWHERE, "globex").await;
    let reader = stage.reader("collector").await;
    let collector = Collector::start(stage.cluster.folder(), &reader, MARKER)
        .await
        .unwrap();

    let before = made(stage, LOGS, "before", &json!({})).await;
    let other = made(stage, ELSEWHERE, "other", &json!({})).await;
    heard(&collector, &other, "started").await;
    delivered(&collector, &other, "globex speaks").await;
    delivered(&collector, &before, "acme speaks").await;

    stage.opted_out(LOGS, "ThirdPartyAnalytics").await;
    let contrary = json!({ "annotations": { MARKER.0: "false" } });
    stage
        .answers(&pod(LOGS, "canary", &contrary).dry(), |answer| {
            is_refused(answer, "[ContraryMarker]")
        })
        .await;
    let annotations = if stamps() {
        let silent = pod(LOGS, "canary", &json!({})).dry();
        stage
            .answers(&silent, |answer| {
                answer.is_success() && answer.body["metadata"]["annotations"][MARKER.0] == MARKER.1
            })
            .await;
        json!({})
    } else {
        json!({ MARKER.0: MARKER.1 })
    };
    let hidden = made(stage, LOGS, "hidden", &annotations).await;
    assert_eq!(hidden["metadata"]["annotations"][MARKER.0], MARKER.1);
    let itself = Call::new("GET", format!("/api/v1/namespaces/{LOGS}/pods/before"));
    stage
        .answers(&itself, |answer| {
            answer.body["metadata"]["annotations"][MARKER.0] == MARKER.1
        })
        .await;
    // What is told of pods comes in the order in which it was written.
    let later = made(stage, ELSEWHERE, "later", &json!({})).await;
    heard(&collector, &later, "started").await;
    for round in 0..3 {
        for silent in [&hidden, &before] {
            collector.log(silent, "acme is silent").unwrap();
        }
        delivered(&collector, &later, &format!("globex speaks, {round}")).await;
    }
    let lines = collector.delivered().unwrap();
    assert!(
        lines.iter().all(|line| line.line != "acme is silent"),
        "{lines:?}"
    );

    stage.opted_in(LOGS).await;
    let silent = pod(LOGS, "canary", &json!({})).dry();
    stage
        .answers(&silent, |answer| {
            answer.is_success() && answer.body["metadata"]["annotations"][MARKER.0].is_null()
        })
        .await;
    let after = made(stage, LOGS, "after", &json!({})).await;
    heard(&collector, &after, "started").await;
    delivered(&collector, &after, "acme speaks again").await;
    heard(&collector, &before, "acme speaks once more").await;
    let lines = collector.delivered().unwrap();
    assert!(
        lines.iter().all(|line| line.line != "acme is silent"),
        "{lines:?}"
    );
}
