//! Guards and judge, with the same objects: both find the same wrong, or none.

use covenant::model::encryption::published::fault;
use testbed::raw::{Call, JSON};

use crate::cases;
use crate::stage::{passes, refused, stage};

#[test]
fn the_judge_finds_of_every_object_what_is_wrong() {
    for case in cases::all() {
        for version in case.kind.versions {
            let object = case.object(version, "acme-judged");
            assert_eq!(fault(case.reads, &object), case.fault, "{object}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_refuses_what_the_judge_finds_wrong_and_nothing_else() {
    let stage = stage().await;
    let namespace = "acme-cases";
    stage.asking(namespace).await;
    let admin = stage.admin();
    for case in cases::all() {
        for version in case.kind.versions {
            let object = case.object(version, namespace);
            let call = Call::new("POST", case.kind.all(version, namespace))
                .with(JSON, object)
                .dry();
            match case.fault {
                None => {
                    passes(&admin, call).await;
                }
                Some(fault) => {
                    let sign = format!("[{}]", fault.as_str());
                    let name = format!("{} {namespace}/{}", case.kind.kind, case.name);
                    refused(&admin, call, &[&sign, &name]).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_plain_text_is_refused_and_what_is_encrypted_is_let_through() {
    let stage = stage().await;
    let namespace = "acme-everybody";
    stage.asking(namespace).await;
    let cases = cases::all();
    for who in stage.everybody(namespace).await {
        for name in [
            "https",
            "http",
            "covered",
            "no-tls",
            "simple",
            "route-plain",
        ] {
            let case = cases.iter().find(|case| case.name == name).unwrap();
            let version = case.kind.versions[0];
            let call = Call::new("POST", case.kind.all(version, namespace))
                .with(JSON, case.object(version, namespace))
                .dry();
            match case.fault {
                None => {
                    passes(&who, call).await;
                }
                Some(fault) => refused(&who, call, &[fault.as_str()]).await,
            }
        }
    }
}
