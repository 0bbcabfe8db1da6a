//! What a baseline may say of encryption, and what becomes of what it may not.

use covenant::model::{Baseline, FieldError};
use serde_json::{Value, json};

use crate::{at_rest, attested, baseline, proof};

/// Where a baseline with these terms is wrong.
fn wrong(baseline: Value) -> Vec<String> {
    let object = serde_json::from_value(baseline).unwrap();
    let errors: Vec<FieldError> = Baseline::read(object).terms.err().unwrap_or_default();
    errors.into_iter().map(|error| error.path).collect()
}

#[test]
fn every_mistake_is_found_at_its_place() {
    const REST: &str = "spec.encryption.atRest";
    let good = proof("fast", "ebs.csi.aws.com", json!({ "encrypted": "true" }));
    assert!(wrong(at_rest(json!({ "storageClasses": [good] }))).is_empty());
    let neither = json!({ "name": "fast" });
    let mut both = good.clone();
    both["attestation"] = attested("x", "2026-01-01", "2027-01-01")["attestation"].clone();
    let own = |provisioner: &str, parameters: Value| json!({ "storageClasses": [], "drivers": [{ "provisioner": provisioner, "parameters": parameters, "cipher": "AES" }] });
    let statement =
        json!({ "by": "team", "statement": "yes", "at": "2026-01-01", "expires": "2027-01-01" });
    let cases = [
        (
            json!({ "storageClasses": [good, good] }),
            "storageClasses[1]",
        ),
        (json!({ "storageClasses": [neither] }), "storageClasses[0]"),
        (json!({ "storageClasses": [both] }), "storageClasses[0]"),
        (
            json!({ "storageClasses": [attested("v", "2026-01-01", "2025-01-01")] }),
            "storageClasses[0].attestation.expires",
        ),
        (
            json!({ "storageClasses": [attested("v", "9999-01-01", "99999-01-01")] }),
            "storageClasses[0].attestation.at",
        ),
        (own("ebs.csi.aws.com", json!({ "a": "b" })), "drivers[0]"),
        (own("disk.example.com", json!({})), "drivers[0].parameters"),
        (
            json!({ "storageClasses": [], "secrets": "Attested" }),
            "secretsAttestation",
        ),
        (
            json!({ "storageClasses": [], "secrets": "Verify", "secretsAttestation": statement }),
            "secretsAttestation",
        ),
    ];
    for (terms, place) in cases {
        let found = wrong(at_rest(terms.clone()));
        assert!(
            found.contains(&format!("{REST}.{place}")),
            "{terms}: {found:?}"
        );
    }
    let unknown = [
        json!({ "atRest": { "storageClasses": [], "secrets": "Perhaps" } }),
        json!({ "atRest": { "storageClasses": [], "emptyDir": "Allow" } }),
        json!({ "atRest": {} }),
        json!({ "inTransit": { "minimumTLS": "1.2" } }),
        json!({ "inTransit": {} }),
        json!({ "onTheMoon": {} }),
    ];
    for terms in unknown {
        assert!(!wrong(baseline(terms.clone())).is_empty(), "{terms}");
    }
}
