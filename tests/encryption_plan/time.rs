//! Attestations begin and end.

use covenant::api::EncryptionState::{Attested, Unknown};
use covenant::model::Unit;
use covenant::plan::plan;
use jiff::SignedDuration;
use serde_json::json;

use crate::{NAMESPACE, allowed, at, at_rest, attested, claim, class, found, guarded, world};

const FROM: &str = "2026-05-01T00:00:00Z";
const UNTIL: &str = "2027-05-01T00:00:00Z";

#[test]
fn an_attestation_ends_at_its_instant_and_nothing_is_written_to_guards_then() {
    let rule = attested("vault", FROM, UNTIL);
    let world = world(&[
        at_rest(json!({ "storageClasses": [rule] })),
        class("vault", "vault.example.com", json!({})),
        claim("data", Some("vault")),
    ]);
    let (before, after) = (at(UNTIL) - SignedDuration::from_secs(1), at(UNTIL));
    let vault = "StorageClass/vault";
    assert_eq!(
        found(&world, before, vault),
        Some((Attested, "Attested".to_owned()))
    );
    assert_eq!(
        found(&world, after, vault),
        Some((Unknown, "AttestationLapsed".to_owned()))
    );
    // The volume of a claim of before is what it was: its class says that nobody answers for it any more.
    assert_eq!(found(&world, after, "PersistentVolumeClaim/data"), None);
    assert_eq!(guarded(&world, before), guarded(&world, after));
    let told = guarded(&world, before).storage_classes.unwrap();
    assert_eq!(told[0].not_after.as_ref().unwrap().0, UNTIL);
    let unit = Unit::Namespace(NAMESPACE.to_owned());
    assert_eq!(plan(&world, &unit, before).next, Some(after));
}

#[test]
fn an_attestation_of_the_future_shows_nothing_yet() {
    let rule = attested("vault", FROM, UNTIL);
    let world = world(&[
        at_rest(json!({ "storageClasses": [rule] })),
        class("vault", "vault.example.com", json!({})),
    ]);
    let before = at(FROM) - SignedDuration::from_secs(1);
    let early = Some((Unknown, "AttestationNotYet".to_owned()));
    assert_eq!(found(&world, before, "StorageClass/vault"), early);
    let unit = Unit::Namespace(NAMESPACE.to_owned());
    assert_eq!(plan(&world, &unit, before).next, Some(at(FROM)));
    assert_eq!(allowed(&world, at(FROM)), ["vault"]);
}

#[test]
fn a_date_counts_to_its_end() {
    let rule = attested("vault", "2026-05-01", "2027-05-01");
    let world = world(&[
        at_rest(json!({ "storageClasses": [rule] })),
        class("vault", "vault.example.com", json!({})),
    ]);
    let told = guarded(&world, at(FROM)).storage_classes.unwrap();
    assert_eq!(
        told[0].not_after.as_ref().unwrap().0,
        "2027-05-02T00:00:00Z"
    );
}

#[test]
fn a_claim_that_was_made_after_its_attestation_ended_is_told() {
    let rule = attested("vault", FROM, "2026-10-01T00:00:00Z");
    let world = world(&[
        at_rest(json!({ "storageClasses": [rule] })),
        class("vault", "vault.example.com", json!({})),
        claim("late", Some("vault")),
    ]);
    let late = Some((Unknown, "ClaimAfterAttestation".to_owned()));
    assert_eq!(
        found(&world, crate::now(), "PersistentVolumeClaim/late"),
        late
    );
}
