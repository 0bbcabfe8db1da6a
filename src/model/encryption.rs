//! What a baseline says of encryption, read; what was seen of classes and claims; and the table of drivers.
//!
//! May not: decide what is encrypted. That is the planner's.

pub mod drivers;
mod publication;
pub mod published;
pub mod secrets;
mod storage;
pub mod transit;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::error::FieldError;
use super::grant::keep;
use super::time;
use crate::api::{
    AtRest, Attestation, BaselineEncryption, EmptyDirRule, MinimumTls, SecretsRule,
    StorageClassProof, StorageClassRule,
};

pub use publication::{ObservedPublication, Rests, Target as PublishedTarget};
pub use secrets::{SecretsAnswer, SecretsTrial, Unanswered};
pub use storage::{ObservedClaim, ObservedClass, has_scratch};

/// What a readable baseline says of encryption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionTerms {
    /// At rest; absent where it is not judged.
    pub at_rest: Option<AtRestTerms>,
    /// What gateways must negotiate at least; absent where they are not judged.
    pub minimum_tls: Option<MinimumTls>,
}

/// Encryption at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtRestTerms {
    /// The storage classes that claims may name, sorted.
    pub classes: Vec<ClassRule>,
    /// Drivers that the table does not have, by provisioner.
    pub drivers: BTreeMap<String, OwnDriver>,
    /// What becomes of scratch space on the node's disk.
    pub empty_dir: EmptyDirRule,
    /// That the disks of nodes are encrypted.
    pub node_disks: Option<AttestationTerms>,
    /// How it is known whether Secrets are ciphertext; absent where nobody asked.
    pub secrets: Option<SecretsTerms>,
}

/// How it is known whether Secrets are ciphertext in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsTerms {
    /// By a canary.
    Verify,
    /// By an attestation.
    Attested(AttestationTerms),
    /// It is not looked at.
    Ignore,
}

/// A storage class that claims may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRule {
    /// Its name.
    pub name: String,
    /// Why it may be named.
    pub ground: ClassGround,
}

/// Why a class may be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassGround {
    /// By what it says.
    Proof(StorageClassProof),
    /// By what somebody says of it.
    Attestation(AttestationTerms),
}

/// A driver that the table does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDriver {
    /// Parameters with which its volumes are encrypted.
    pub parameters: BTreeMap<String, String>,
    /// The cipher, and where that is written.
    pub cipher: String,
}

/// What somebody attests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationTerms {
    /// Who.
    pub by: String,
    /// What.
    pub statement: String,
    /// When.
    pub at: Timestamp,
    /// From when on it holds no more.
    pub until: Timestamp,
}

/// Reads what a baseline says of encryption.
pub(super) fn terms(
    errors: &mut Vec<FieldError>,
    spec: Option<BaselineEncryption>,
) -> EncryptionTerms {
    let Some(spec) = spec else {
        return EncryptionTerms::default();
    };
    EncryptionTerms {
        at_rest: spec.at_rest.map(|spec| at_rest(errors, spec)),
        minimum_tls: spec.in_transit.map(|spec| spec.minimum_tls),
    }
}

fn at_rest(errors: &mut Vec<FieldError>, spec: AtRest) -> AtRestTerms {
    const PATH: &str = "spec.encryption.atRest";
    let mut classes: Vec<ClassRule> = Vec::new();
    for (index, rule) in spec.storage_classes.into_iter().enumerate() {
        let path = format!("{PATH}.storageClasses[{index}]");
        if classes.iter().any(|known| known.name == rule.name) {
            let message = format!("the class `{}` is listed twice", rule.name);
            errors.push(FieldError::new(&path, message));
        }
        classes.extend(class_rule(errors, &path, rule));
    }
    classes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut drivers = BTreeMap::new();
    for (index, rule) in spec.drivers.into_iter().enumerate() {
        let path = format!("{PATH}.drivers[{index}]");
        if drivers::of(&rule.provisioner).is_some() {
            let message = format!(
                "the table of this release has a row of `{}`, which cannot be replaced; where it is not enough, attest the class",
                rule.provisioner
            );
            errors.push(FieldError::new(&path, message));
        }
        if rule.parameters.is_empty() {
            let message = "a driver of which nothing on the class shows encryption is attested";
            errors.push(FieldError::new(format!("{path}.parameters"), message));
        }
        let driver = OwnDriver {
            parameters: rule.parameters,
            cipher: rule.cipher,
        };
        if drivers.insert(rule.provisioner.clone(), driver).is_some() {
            let message = format!("the provisioner `{}` is listed twice", rule.provisioner);
            errors.push(FieldError::new(path, message));
        }
    }
    let attested = spec
        .secrets_attestation
        .map(|given| attestation(errors, &format!("{PATH}.secretsAttestation"), given));
    let secrets = match (spec.secrets, attested) {
        (Some(SecretsRule::Attested), Some(terms)) => terms.map(SecretsTerms::Attested),
        (Some(SecretsRule::Attested), None) => {
            errors.push(FieldError::new(
                format!("{PATH}.secretsAttestation"),
                "`secrets: Attested` needs an attestation",
            ));
            None
        }
        (_, Some(_)) => {
            errors.push(FieldError::new(
                format!("{PATH}.secretsAttestation"),
                "belongs to `secrets: Attested`",
            ));
            None
        }
        (Some(SecretsRule::Verify), None) => Some(SecretsTerms::Verify),
        (Some(SecretsRule::Ignore), None) => Some(SecretsTerms::Ignore),
        (None, None) => None,
    };
    let node_disks = spec
        .node_disks
        .and_then(|given| attestation(errors, &format!("{PATH}.nodeDisks"), given));
    AtRestTerms {
        classes,
        drivers,
        empty_dir: spec.empty_dir.unwrap_or_default(),
        node_disks,
        secrets,
    }
}

fn class_rule(
    errors: &mut Vec<FieldError>,
    path: &str,
    rule: StorageClassRule,
) -> Option<ClassRule> {
    let ground = match (rule.proof, rule.attestation) {
        (Some(proof), None) => ClassGround::Proof(proof),
        (None, Some(given)) => {
            let terms = attestation(errors, &format!("{path}.attestation"), given)?;
            ClassGround::Attestation(terms)
        }
        _ => {
            errors.push(FieldError::new(
                path,
                "exactly one of proof and attestation must be given",
            ));
            return None;
        }
    };
    Some(ClassRule {
        name: rule.name,
        ground,
    })
}

fn attestation(
    errors: &mut Vec<FieldError>,
    path: &str,
    given: Attestation,
) -> Option<AttestationTerms> {
    let at = keep(errors, format!("{path}.at"), time::beginning(&given.at));
    let until = keep(errors, format!("{path}.expires"), time::end(&given.expires));
    let (at, until) = (at?, until?);
    if until <= at {
        errors.push(FieldError::new(
            format!("{path}.expires"),
            "must be later than `at`",
        ));
        return None;
    }
    Some(AttestationTerms {
        by: given.by,
        statement: given.statement,
        at,
        until,
    })
}
