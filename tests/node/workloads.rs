//! Suspend, end and release, with real containers: what runs goes on untouched, what is ended is gone from the machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::{always, eventually};

use crate::case::{TOLD_OF_AN_ENDING, hold};
use crate::containers::{EVERYTHING, PATIENCE, RealStage, shared};
use crate::stage::condition;

/// How long what must stay true is watched.
const WATCHED: Duration = Duration::from_secs(5);
/// A container must be gone this long after its end was asked for, whatever grace it was given: the hold's grace is four
/// seconds, and the rest is for a machine that is busy with other things.
const GONE_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn real_containers_of_suspended_workloads_go_on_untouched_and_nothing_is_started_or_entered()
{
    let tenant = shared().await.with_workloads("kept").await;
    let stage = &tenant.real.stage;
    let before = stage.workloads_as_written(tenant.name()).await;
    let containers = tenant.containers().await.unwrap();
    let enter = ["exec", "bare", "--", "cat", "/data/lines"];
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
        says_that_it_failed(web),
        vec!["delete", "deployment", "web"],
        vec!["delete", "job", "import"],
        enter.to_vec(),
        vec!["attach", web],
        vec!["port-forward", "pod/bare", ":80"],
        made_by_hand(&["debug", "bare", "--profile=baseline"]),
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
    assert_eq!(before, stage.workloads_as_written(tenant.name()).await);
    // Its controller works again: what a person deletes is made anew.
    tenant
        .may(&["delete", "pod", web, "--grace-period=1", "--wait=false"])
        .await;
    let after = tenant.runs(&EVERYTHING).await;
    assert!(!after.contains_key(web), "{after:?}");
    // And what nobody might say under the hold would have been the end of a container: its kubelet believes it with the
    // next change of the pod, such as an annotation, which is free.
    let frail = tenant.runs_bare("frail", 1).await;
    let admin = stage.cluster.admin();
    let mut arguments = vec!["-n", tenant.name()];
    arguments.extend(says_that_it_failed("frail"));
    admin.kubectl(&arguments).await.unwrap().success().unwrap();
    tenant.may(&["annotate", "pod", "frail", "a=b"]).await;
    eventually("its kubelet stops it", PATIENCE, || async {
        let left = tenant.processes_of(&frail).len();
        anyhow::ensure!(left == 0, "{left} processes");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

fn says_that_it_failed(pod: &str) -> Vec<&str> {
    let status = r#"{"status":{"phase":"Failed"}}"#;
    let patch = ["--subresource=status", "--type=merge", "-p", status];
    [&["patch", "pod", pod][..], &patch].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn real_containers_that_a_hold_ends_are_gone_from_the_machine_in_seconds_and_new_ones_run_after_release()
 {
    let tenant = shared().await.with_workloads("ended").await;
    let stage = &tenant.real.stage;
    let before = stage.workloads_as_written(tenant.name()).await;
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
    // That is said of processes; a node gives back what its pods had, and the pods themselves, a little later.
    assert_eq!(tenant.processes(&containers), 0);
    eventually("what was told to be lost is lost", PATIENCE, || async {
        let left = containers.values().find(|each| tenant.lines(each) > 0);
        anyhow::ensure!(left.is_none(), "{left:?} has its volume still");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    tenant
        .real
        .stage
        .cluster
        .admin()
        .wait_until_none(&pods, PATIENCE)
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
    assert_eq!(before, stage.workloads_as_written(tenant.name()).await);
    let job = stage.get(&["job", "import", "-n", tenant.name()]).await;
    assert_eq!(job["status"]["active"], 1, "{job}");
    assert_eq!(failed(&job), None, "an end counts as one try of seven");
    let uid = published["metadata"]["uid"].as_str().unwrap();
    tenant.tenant.events(uid, &TOLD_OF_AN_ENDING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_by_itself_is_started_again_in_its_pod_and_a_job_waits_for_the_release()
 {
    let tenant = shared().await.with_workloads("crashed").await;
    let stage = &tenant.real.stage;
    let containers = tenant.containers().await.unwrap();
    let effects = ["PreventDeletion", "SuspendProcessing"];
    stage.holds(&hold(tenant.name(), "case-1", &effects)).await;
    stage
        .hold_is(tenant.name(), "case-1", "Suspended", "True", "CutOff")
        .await;
    stage.proven(tenant.name(), "case-1").await;
    for (pod, container) in &containers {
        if container.app != "web" {
            let first = tenant.processes_of(container).into_iter().min().unwrap();
            let kill = std::process::Command::new("kill")
                .args(["-KILL", &first.to_string()])
                .status();
            assert!(kill.unwrap().success(), "{pod}");
        }
    }
    // Of a node nobody asks admission: it goes on with the pods that it has.
    let during = eventually("what was killed runs again", PATIENCE, || async {
        let during = tenant.containers().await?;
        let expected = containers.iter().filter(|(_, each)| each.app != "job");
        for (pod, container) in expected {
            let again = during.get(pod).map(|each| (&each.pod_uid, each.restarts));
            let restarts = i64::from(container.app != "web");
            anyhow::ensure!(
                again == Some((&container.pod_uid, restarts)),
                "{pod}: {during:?}"
            );
        }
        anyhow::ensure!(during.len() == 4, "{during:?}");
        anyhow::Ok(during)
    })
    .await
    .unwrap();
    // A Job would have to make a pod.
    always("the Job has no other pod", WATCHED, || async {
        let running = tenant.containers().await?;
        anyhow::ensure!(running == during, "{running:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    stage.releases(tenant.name(), "case-1").await;
    tenant.runs(&EVERYTHING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_not_claimed_while_a_node_that_hears_nothing_runs_on_and_a_node_leaves_nothing_behind()
 {
    let settings = settings();
    let real = RealStage::new().await;
    let tenant = real.with_workloads("unheard").await;
    let containers = tenant.containers().await.unwrap();
    real.node.pause_kubelet().unwrap();
    let effects = ["PreventDeletion", "SuspendProcessing", "EndProcessing"];
    let mut case = hold(tenant.name(), "case-1", &effects);
    case["spec"]["endingGrace"] = json!("PT1S");
    real.stage.holds(&case).await;
    real.stage
        .hold_is(tenant.name(), "case-1", "Ended", "False", "Ending")
        .await;
    always(
        "they run, and nothing else is said",
        2 * WATCHED,
        || async {
            let hold = ["phold", "case-1", "-n", tenant.name()];
            let hold = real.stage.cluster.admin().get(&hold).await?;
            let said = condition(&hold, "Ended").0;
            let running = tenant.processes(&containers);
            anyhow::ensure!(
                said == "False" && running >= containers.len(),
                "{said} with {running} processes"
            );
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    tenant.all_write(&containers).await;
    real.node.resume_kubelet().unwrap();
    real.stage
        .hold_is(tenant.name(), "case-1", "Ended", "True", "Ended")
        .await;
    assert_eq!(tenant.processes(&containers), 0);

    real.stage.releases(tenant.name(), "case-1").await;
    tenant.runs(&[("db", 1), ("job", 1), ("web", 2)]).await;
    let folder = real.stage.cluster.folder().to_owned();
    assert_ne!(traces(&folder), Vec::<String>::new());
    drop(tenant);
    drop(real);
    eventually("nothing of the node is left", GONE_WITHIN, || async {
        let traces = traces(&folder);
        anyhow::ensure!(traces.is_empty(), "{traces:#?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    assert_eq!(settings, self::settings());
}

/// What a node could have changed for the whole machine.
fn settings() -> Vec<String> {
    [
        "vm/overcommit_memory",
        "kernel/panic",
        "net/ipv4/ip_forward",
    ]
    .iter()
    .map(|setting| std::fs::read_to_string(format!("/proc/sys/{setting}")).unwrap())
    .collect()
}

/// Processes, mounts, control groups and files that belong to a cluster's folder.
fn traces(folder: &Path) -> Vec<String> {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file));
        for file in ["cmdline", "cgroup"] {
            if read(file).is_ok_and(|text| text.contains(name)) {
                found.push(format!("{} of {:?}", file, entry.file_name()));
            }
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(name))
            .map(str::to_owned),
    );
    let tops = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    let groups = tops
        .map(|top| top.path())
        .flat_map(|top| [top.join(name), top]);
    let own = |path: &PathBuf| path.file_name().is_some_and(|last| last == name) && path.exists();
    found.extend(groups.filter(own).map(|path| path.display().to_string()));
    if folder.exists() {
        found.push(folder.display().to_string());
    }
    found
}

/// Why a Job has failed for good.
fn failed(job: &Value) -> Option<&Value> {
    let mut conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == "Failed")
}
