//! What a baseline asks of encryption, and how a posture says what was seen of it.
//!
//! May not: say which driver encrypts how; that is data of [`crate::model`].

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire::WhenText;

/// Encryption of what tenants keep and send. What is left out is not judged, and every posture says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineEncryption {
    /// What lies on disks and in etcd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest: Option<AtRest>,
    /// What goes over networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_transit: Option<InTransit>,
}

/// Encryption at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.storageClasses.all(one, self.storageClasses.exists_one(other, other.name == one.name))")
    .message("a class is listed once"))]
#[x_kube(validation = Rule::new("has(self.secrets) && self.secrets == 'Attested' ? has(self.secretsAttestation) : !has(self.secretsAttestation)")
    .message("secretsAttestation belongs to `secrets: Attested`, and it needs one"))]
pub struct AtRest {
    /// The only storage classes that claims of tenants may name. With an empty list no claim is let in.
    // Atomic: of a list that is merged by names, a server-side apply of `[]` takes away the list, and with it `encryption`.
    #[schemars(length(max = 64))]
    pub storage_classes: Vec<StorageClassRule>,
    /// Drivers that the table of this release does not have: what a class of theirs must say to be encrypted. A row of the
    /// table cannot be replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["provisioner".into()]))]
    pub drivers: Vec<DriverRule>,
    /// Scratch space of pods on the node's disk (`emptyDir` without `medium: Memory`). `Report` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirRule>,
    /// That the disks of nodes are encrypted, as somebody attests; it is shown beside reported scratch space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_disks: Option<Attestation>,
    /// Whether Secrets are ciphertext in etcd. Not judged when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsRule>,
    /// That Secrets are ciphertext in etcd, as somebody attests, where the API servers cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_attestation: Option<Attestation>,
}

/// A storage class that claims may name, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.proof) != has(self.attestation)")
    .message("a class is either proven or attested: exactly one of proof and attestation must be given"))]
pub struct StorageClassRule {
    /// Name of the StorageClass.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// What the class must say. It counts when its driver's row, in the table of this release or in `drivers`, is met too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<StorageClassProof>,
    /// That its volumes are encrypted with AES-256, as somebody attests. It holds for the class as it was then: one that is
    /// made anew is attested anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<Attestation>,
}

/// What a StorageClass must say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorageClassProof {
    /// Its provisioner, such as `ebs.csi.aws.com`.
    #[schemars(length(min = 1, max = 253))]
    pub provisioner: String,
    /// Parameters that it must have with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "parameter_map")]
    pub parameters: BTreeMap<String, String>,
}

/// A driver that the table does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriverRule {
    /// Its provisioner.
    #[schemars(length(min = 1, max = 253))]
    pub provisioner: String,
    /// Parameters with which its volumes are encrypted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "parameter_map")]
    pub parameters: BTreeMap<String, String>,
    /// The cipher and where that is written, such as `aes-xts-plain64 512, manual §4`.
    #[schemars(length(min = 1, max = 256))]
    pub cipher: String,
}

/// What somebody attests, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attestation {
    /// The team that answers for it.
    #[schemars(length(min = 1, max = 128))]
    pub by: String,
    /// What it states, such as `LUKS aes-xts-plain64 512`.
    #[schemars(length(min = 1, max = 512))]
    pub statement: String,
    /// When it was attested.
    pub at: WhenText,
    /// Until when it holds. A date counts to its end.
    pub expires: WhenText,
}

/// What becomes of scratch space on the node's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EmptyDirRule {
    /// Pods with an `emptyDir` that is not in memory are refused.
    Refuse,
    /// They are let in, and the posture says which there are.
    #[default]
    Report,
}

/// How it is known whether Secrets are ciphertext in etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretsRule {
    /// A canary Secret is written through every API server, and the server's own counters must say that it was encrypted.
    Verify,
    /// `secretsAttestation` says so.
    Attested,
    /// It is not looked at.
    Ignore,
}

/// Encryption in transit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InTransit {
    /// What gateways and ingresses of tenants must negotiate at least. Those that say less, or do not encrypt, are refused.
    #[serde(rename = "minimumTLS")]
    pub minimum_tls: MinimumTls,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MinimumTls {
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

/// What is encrypted in a namespace, as far as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptionInForce {
    /// Each item: classes that are listed, claims that do not comply, Secrets, scratch space, and what is published.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub items: Vec<EncryptionItem>,
    /// How many items there are, of which `items` lists the first 200.
    pub item_count: i64,
}

/// One thing that is encrypted, or is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptionItem {
    /// Where: at rest or in transit.
    pub scope: EncryptionScope,
    /// What: an object as `Kind/name`, or `Secrets`.
    #[schemars(length(max = 320))]
    pub item: String,
    /// How it stands.
    pub state: EncryptionState,
    /// Why, by name, such as `AttestationLapsed`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What shows it, and what to do where something is to be done.
    #[schemars(length(max = 512))]
    pub evidence: String,
    /// Since when what shows it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WhenText>,
}

/// Where data is encrypted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum EncryptionScope {
    /// On disks and in etcd.
    AtRest,
    /// On networks.
    InTransit,
}

/// How an item stands. Nothing is called encrypted that was not seen to be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum EncryptionState {
    /// It is not, or by less than was asked for.
    NotEncrypted,
    /// It could not be found out.
    Unknown,
    /// Nobody asked, or there is no way to tell.
    NotJudged,
    /// Somebody answers for it.
    Attested,
    /// What is written on it says so, by the documentation of who carries it out.
    Proven,
    /// It was tried, and seen.
    Verified,
}

impl EncryptionState {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotEncrypted => "NotEncrypted",
            Self::Unknown => "Unknown",
            Self::NotJudged => "NotJudged",
            Self::Attested => "Attested",
            Self::Proven => "Proven",
            Self::Verified => "Verified",
        }
    }
}

/// Whether Secrets are ciphertext in etcd, as a canary showed it on every API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretsInForce {
    /// How it stands: the weakest answer of all API servers.
    pub state: EncryptionState,
    /// Why, by name, such as `KeySizeNotVisible`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Which server, what it did with the canary, and what to do where something is to be done. Nothing is said of Secrets
    /// that were written earlier.
    #[schemars(length(max = 512))]
    pub evidence: String,
    /// Since when every try showed this.
    pub since: WhenText,
    /// When it was tried. A canary is written once a day; while the tries show the same, this moves no oftener than that.
    pub tried_at: WhenText,
}

fn parameter_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "description": "Parameters with exactly these names and values. A class that has one of the names in other letters as well is no proof.",
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 253 },
    })
}
