//! Suspend, end and release, with real containers: what runs goes on untouched, what is ended is gone from the machine.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::{always, eventually};

use crate::case::hold;
use crate::containers::{PATIENCE, RealTenant};

/// How long what must stay true is watched.
const WATCHED: Duration = Duration::from_secs(5);
/// A container must be gone this long after its end was asked for, whatever grace it was given: the hold's grace is four
/// seconds, and the rest is for a machine that is busy with other things.
const GONE_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn real_containers_of_suspended_workloads_go_on_untouched_and_nothing_is_started_or_entered()
{
    let tenant = RealTenant::with_workloads("kept").await;
    let stage = &tenant.real.stage;
    let before = tenant.as_written().await;
    let containers = tenant.containers().await.unwrap();
    let enter = ["exec", "bare", "--", "cat", "/work/lines"];
    tenant.may(&enter).await;

    let effects = ["PreventDeletion", "SuspendProcessing", "FreezeAccess"];
    stage.holds(&hold(tenant.name(), "case-1", &effects)).await;
    stage
        .hold_is(tenant.name(), "case-1", "Suspended", "True", "CutOff")
        .await;
    stage.proven(tenant.name(), "case-1").await;
    let web = containers
        .keys()
        .find(|pod| pod.starts_with("web-"))
        .unwrap();
    let made_by_hand = |start: &[&'static str]| {
        let command = ["--image=more", "--", "sleep", "60"];
        [start, &command].concat()
    };
    for refused in [
        vec!["delete", "pod", "bare"],
        vec!["delete", "pod", web, "--force", "--grace-period=0"],
        vec!["delete", "pods", "-l", "app=db"],
        vec!["delete", "deployment", "web"],
        vec!["delete", "job", "import"],
        enter.to_vec(),
        vec!["attach", web],
        vec!["port-forward", "pod/bare", ":80"],
        made_by_hand(&["debug", "bare"]),
        made_by_hand(&["run", "more"]),
        made_by_hand(&["create", "job", "more"]),
    ] {
        tenant.nobody_may("case-1", &refused).await;
    }
    let untouched = || async {
        let running = tenant.containers().await?;
        anyhow::ensure!(running == containers, "{running:?}\nbefore: {containers:?}");
        anyhow::Ok(())
    };
    always("the same containers run", WATCHED, untouched)
        .await
        .unwrap();
    assert!(containers.values().all(|container| container.restarts == 0));
    tenant.all_write(&containers).await;

    stage.releases(tenant.name(), "case-1").await;
    stage
        .hold_is(tenant.name(), "case-1", "Restored", "True", "GraceOver")
        .await;
    untouched().await.unwrap();
    tenant.all_write(&containers).await;
    tenant.may(&enter).await;
    assert_eq!(before, tenant.as_written().await);
    // Its controller works again: what a person deletes is made anew.
    tenant
        .may(&["delete", "pod", web, "--grace-period=1", "--wait=false"])
        .await;
    let after = tenant.runs(&crate::containers::EVERYTHING).await;
    assert!(!after.contains_key(web), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_containers_that_a_hold_ends_are_gone_from_the_machine_in_seconds_and_new_ones_run_after_release()
 {
    let tenant = RealTenant::with_workloads("ended").await;
    let stage = &tenant.real.stage;
    let before = tenant.as_written().await;
    let containers = tenant.containers().await.unwrap();
    let effects = ["PreventDeletion", "SuspendProcessing", "EndProcessing"];
    let mut case = hold(tenant.name(), "case-1", &effects);
    case["spec"]["endingGrace"] = json!("PT4S");
    stage.holds(&case).await;

    // First what will be lost is told, while everything runs.
    let published = stage
        .hold_is(tenant.name(), "case-1", "Ended", "False", "Waiting")
        .await;
    assert_eq!(tenant.containers().await.unwrap(), containers);
    tenant.all_write(&containers).await;
    let losses = published["status"]["ending"]["losses"].as_array().unwrap();
    let of = |kind: &str| losses.iter().filter(|loss| loss["kind"] == kind).count();
    assert_eq!(
        (of("EmptyDir"), of("Logs"), of("BarePod"), losses.len()),
        (5, 5, 1, 11),
        "{losses:?}"
    );

    // Then the containers end, which hear no request and have a grace of ten minutes.
    let pods = ["pods", "-n", tenant.name()];
    let asked = eventually("the end is asked for", PATIENCE, || async {
        let pods = stage.cluster.admin().get(&pods).await?;
        let asked = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
        anyhow::ensure!(asked, "nobody asked");
        anyhow::Ok(Instant::now())
    })
    .await
    .unwrap();
    eventually("no process is left", GONE_WITHIN, || async {
        let left = tenant.processes(&containers);
        anyhow::ensure!(left == 0, "{left} processes");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    println!(
        "ended: no process of {} containers was left {:.1} s after their end was asked for",
        containers.len(),
        asked.elapsed().as_secs_f64()
    );
    stage
        .hold_is(tenant.name(), "case-1", "Ended", "True", "Ended")
        .await;
    eventually("what was told to be lost is lost", PATIENCE, || async {
        let left = containers.values().find(|each| tenant.lines(each) > 0);
        anyhow::ensure!(left.is_none(), "{left:?} has its volume still");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    always("nothing is started", WATCHED, || async {
        let pods = stage.cluster.admin().get(&pods).await?;
        anyhow::ensure!(pods["items"] == json!([]), "{pods}");
        anyhow::Ok(())
    })
    .await
    .unwrap();

    let released = Instant::now();
    stage.releases(tenant.name(), "case-1").await;
    let back = [("db", 1), ("job", 1), ("web", 2)];
    let after = tenant.runs(&back).await;
    println!(
        "released: {} new containers wrote {:.1} s later",
        after.len(),
        released.elapsed().as_secs_f64()
    );
    let old: Vec<&String> = containers.values().map(|container| &container.id).collect();
    assert!(
        after
            .values()
            .all(|container| !old.contains(&&container.id))
    );
    stage
        .hold_is(tenant.name(), "case-1", "Restored", "True", "GraceOver")
        .await;
    assert_eq!(
        tenant.runs(&back).await,
        after,
        "the bare pod does not come back, as was told"
    );
    assert_eq!(before, tenant.as_written().await);
    let job = stage.get(&["job", "import", "-n", tenant.name()]).await;
    assert_eq!(job["status"]["active"], 1, "{job}");
    assert_eq!(failed(&job), None, "an end counts as one try of seven");
    let uid = published["metadata"]["uid"].as_str().unwrap();
    tenant
        .tenant
        .events(
            uid,
            &[
                "HoldEnforced",
                "HoldReleased",
                "HoldRestored",
                "LossesPublished",
                "ProcessingEnded",
                "ProcessingSuspended",
            ],
        )
        .await;
}

/// Why a Job has failed for good.
fn failed(job: &Value) -> Option<&Value> {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == "Failed")
}
