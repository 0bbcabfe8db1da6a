//! Every row of the table of drivers, by what a class of it may say; and the table as people read it.

use covenant::api::EncryptionState::{NotEncrypted, Proven, Unknown};
use covenant::model::encryption::drivers::{Checked, Demand, Driver, Shows, TABLE};
use serde_json::{Map, Value, json};

use crate::{allowed, at_rest, class, found, now, proof, world};

/// How a class of this name, provisioner and these parameters stands, and whether claims may name it.
fn judged(provisioner: &str, parameters: &Value) -> (covenant::api::EncryptionState, String, bool) {
    let rule = proof("disk", provisioner, json!({}));
    let world = world(&[
        at_rest(json!({ "storageClasses": [rule] })),
        class("disk", provisioner, parameters.clone()),
    ]);
    let (state, reason) = found(&world, now(), "StorageClass/disk").unwrap();
    (state, reason, allowed(&world, now()) == ["disk"])
}

/// Parameters that meet every demand.
fn meeting(demands: &[Demand]) -> Map<String, Value> {
    let meets = |demand: &Demand| {
        let value = demand.values.first().copied().unwrap_or("some-key");
        (demand.name.to_owned(), json!(value))
    };
    demands.iter().map(meets).collect()
}

fn refused(driver: &Driver, parameters: &Map<String, Value>, reason: &str) {
    let (state, found, allowed) = judged(driver.provisioner, &json!(parameters));
    assert_eq!(
        (found.as_str(), allowed),
        (reason, false),
        "{}: {parameters:?}",
        driver.provisioner
    );
    assert!(matches!(state, NotEncrypted | Unknown));
}

#[test]
fn each_driver_is_proven_by_exactly_what_its_row_says() {
    for driver in &TABLE {
        let Shows::Parameters(demands, _) = driver.shows else {
            let (state, reason, allowed) =
                judged(driver.provisioner, &json!({ "encrypted": "true" }));
            assert_eq!(
                (state, reason.as_str(), allowed),
                (Unknown, "DriverShowsNothing", false),
                "{}",
                driver.provisioner
            );
            continue;
        };
        let full = meeting(demands);
        let (state, reason, allowed) = judged(driver.provisioner, &json!(full));
        assert_eq!(
            (state, reason.as_str(), allowed),
            (Proven, "ProvenByParameters", true),
            "{}",
            driver.provisioner
        );
        for demand in demands {
            let mut without = full.clone();
            without.remove(demand.name);
            if demand.optional {
                assert!(judged(driver.provisioner, &json!(without)).2);
            } else {
                refused(driver, &without, "OtherParameter");
            }
            let mut other = full.clone();
            other.insert(demand.name.to_owned(), json!(""));
            refused(driver, &other, "OtherParameter");
            if !demand.values.is_empty() {
                other.insert(demand.name.to_owned(), json!("false"));
                refused(driver, &other, "OtherParameter");
            }
            let shouted = demand.name.to_uppercase();
            if shouted != demand.name {
                let mut twice = full.clone();
                twice.insert(shouted.clone(), json!("false"));
                refused(driver, &twice, "AmbiguousParameter");
                let mut renamed = without;
                renamed.insert(shouted, json!(demand.values.first().unwrap_or(&"some-key")));
                refused(driver, &renamed, "OtherParameter");
            }
        }
    }
}

#[test]
fn what_was_not_checked_proves_nothing_and_every_row_names_its_source() {
    for driver in &TABLE {
        assert!(!driver.source.is_empty(), "{}", driver.provisioner);
        if driver.checked == Checked::Not {
            assert!(
                matches!(driver.shows, Shows::Nothing(_)),
                "{} is not verified and must not prove anything",
                driver.provisioner
            );
        }
    }
    assert!(TABLE.is_sorted_by_key(|driver| driver.provisioner));
}

#[test]
fn a_driver_of_no_row_is_proven_only_by_a_row_of_the_baselines_own() {
    let parameters = json!({ "cipher": "aes-xts-plain64" });
    assert_eq!(judged("disk.example.com", &parameters).1, "UnknownDriver");
    let own = |wanted: Value| {
        let world = world(&[
            at_rest(json!({
                "storageClasses": [proof("disk", "disk.example.com", json!({}))],
                "drivers": [{ "provisioner": "disk.example.com", "parameters": wanted, "cipher": "aes-xts-plain64 512" }],
            })),
            class("disk", "disk.example.com", parameters.clone()),
        ]);
        found(&world, now(), "StorageClass/disk").unwrap()
    };
    assert_eq!(
        own(parameters.clone()),
        (Proven, "ProvenByParameters".to_owned())
    );
    let less = own(json!({ "cipher": "aes-xts-plain64", "size": "512" }));
    assert_eq!(less, (NotEncrypted, "OtherParameter".to_owned()));
}

#[test]
fn the_table_that_people_read_is_the_table() {
    let text = include_str!("../../docs/encryption.md");
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| driver |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let row = |driver: &Driver| {
        let shows = match driver.shows {
            Shows::Nothing(why) => format!("nothing: {why}"),
            Shows::Parameters(demands, cipher) => {
                let demand = |demand: &Demand| {
                    let values = match demand.values {
                        [] => "any value".to_owned(),
                        values => values.join(" or "),
                    };
                    let may = if demand.optional { ", or absent" } else { "" };
                    format!("`{}`: {values}{may}", demand.name)
                };
                let demands: Vec<String> = demands.iter().map(demand).collect();
                format!("{} → {cipher}", demands.join("; "))
            }
        };
        format!(
            "| `{}` | {shows} | {} | {} |",
            driver.provisioner, driver.source, driver.checked
        )
    };
    let expected: Vec<String> = TABLE.iter().map(row).collect();
    assert_eq!(
        rows,
        expected,
        "docs/encryption.md must have:\n{}",
        expected.join("\n")
    );
}
