//! What one entry says, and its one spelling: a CloudEvent as RFC 8785 canonical JSON of at most 65,535 bytes.
//!
//! May not: carry personal data. Objects are named by uid, people by pseudonym; there is no field for more.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::kind::EntryKind;

/// The longest entry that a bundle can hold: its length is 16 bits.
pub const LONGEST_ENTRY: usize = 65_535;
/// The longest text of any one field that names something.
const LONGEST_NAME: usize = 1024;
/// Integers beyond it are not told apart by readers of JSON.
const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// One act, or one thing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Unique in its ledger; an outcome refers to its intent by it.
    pub id: String,
    /// When, by the operator's clock.
    pub time: Timestamp,
    /// What was done.
    pub kind: EntryKind,
    /// To which object.
    pub subject: Subject,
    /// Whose data it is about.
    pub tenant: Option<String>,
    /// Before the act, after it, or a fact by itself.
    pub phase: Phase,
    /// The rule, grant or hold because of which.
    pub cause: Option<Cause>,
    /// By whom: a service account in clear, a person as a pseudonym of [`super::Pseudonyms`].
    pub actor: Option<String>,
    /// The written policy in force.
    pub policy: Option<PolicyVersion>,
    /// What else is to be known, without personal data.
    pub detail: Map<String, Value>,
}

/// An object by its uid. A name may be personal data, a uid is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// As `apps/v1`.
    pub api_version: String,
    /// As `Deployment`.
    pub kind: String,
    /// Absent: it is in none.
    pub namespace: Option<String>,
    /// As the API server gave it.
    pub uid: String,
}

/// Where in an act an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is about to be done.
    Intent,
    /// What came of an intent.
    Outcome {
        /// Id of the intent.
        intent: String,
        /// False: accepted, and not complete yet; the intent stays open.
        settled: bool,
    },
    /// It happened, and nothing is to follow.
    Fact,
}

/// The rule, grant or hold because of which something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// As `RetentionPolicy`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Which version of its spec.
    pub generation: i64,
}

/// The written policy that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Which document.
    pub document: String,
    /// Which version of it.
    pub version: String,
}

/// Why there is no such entry.
#[derive(Debug, Error)]
pub enum EntryError {
    /// It does not fit.
    #[error(
        "the entry is {length} bytes long and a ledger holds at most 65,535; put less into its detail, or a digest of it"
    )]
    TooLong {
        /// Bytes that it would take.
        length: usize,
    },
    /// A field that must say something does not, or says too much, or what cannot be read back.
    #[error("the entry's {field} {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A number that readers of JSON do not agree on.
    #[error(
        "the entry's detail holds the number {0}, which JSON does not keep exactly; write it as a text"
    )]
    Number(String),
    /// No JSON, or not that of an entry.
    #[error("the bytes are no entry of a ledger; was this written by another program?")]
    Json(#[source] serde_json::Error),
    /// The same content has another spelling.
    #[error("the entry is not in canonical form (RFC 8785); was this written by another program?")]
    NotCanonical,
    /// Not an event that this reads.
    #[error(
        "the entry is a CloudEvent of version {0}, and this program reads 1.0; use a newer one"
    )]
    SpecVersion(String),
}

/// The CloudEvent as it is written. Attributes by the names that CloudEvents and its `authcontext` extension give them.
#[derive(Serialize, Deserialize)]
struct Event {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    time: Timestamp,
    subject: String,
    phase: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Data {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyVersion>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    detail: Map<String, Value>,
}

impl Entry {
    /// The bytes of the entry in the ledger of this origin.
    ///
    /// # Errors
    /// When it does not fit, a field cannot be read back, or a number is not exact.
    pub fn encode(&self, origin: &str) -> Result<Vec<u8>, EntryError> {
        self.check()?;
        let (phase, intent, settled) = match &self.phase {
            Phase::Intent => ("intent", None, None),
            Phase::Fact => ("fact", None, None),
            Phase::Outcome { intent, settled } => ("outcome", Some(intent.clone()), Some(*settled)),
        };
        let data = Data {
            cause: self.cause.clone(),
            policy: self.policy.clone(),
            detail: self.detail.clone(),
        };
        let event = Event {
            specversion: "1.0".to_owned(),
            id: self.id.clone(),
            source: origin.to_owned(),
            kind: self.kind.as_str().to_owned(),
            time: self.time,
            subject: self.subject.to_text(),
            phase: phase.to_owned(),
            intent,
            settled,
            tenant: self.tenant.clone(),
            authid: self.actor.clone(),
            data: (data != Data::default()).then_some(data),
        };
        let bytes = serde_json_canonicalizer::to_vec(&event).map_err(EntryError::Json)?;
        if bytes.len() > LONGEST_ENTRY {
            return Err(EntryError::TooLong {
                length: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// Reads an entry. Attributes that a newer version added are passed over.
    ///
    /// # Errors
    /// When the bytes are no entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > LONGEST_ENTRY {
            return Err(EntryError::TooLong {
                length: bytes.len(),
            });
        }
        let event: Event = serde_json::from_slice(bytes).map_err(EntryError::Json)?;
        if event.specversion != "1.0" {
            return Err(EntryError::SpecVersion(event.specversion));
        }
        let phase = match (event.phase.as_str(), event.intent) {
            ("intent", None) => Phase::Intent,
            ("fact", None) => Phase::Fact,
            ("outcome", Some(intent)) => Phase::Outcome {
                intent,
                settled: event.settled.unwrap_or(true),
            },
            _ => {
                return Err(EntryError::Field {
                    field: "phase",
                    why: "is none of intent, outcome (of an intent) and fact",
                });
            }
        };
        let data = event.data.unwrap_or_default();
        Ok(Self {
            id: event.id,
            time: event.time,
            kind: EntryKind::parse(&event.kind),
            subject: Subject::parse(&event.subject)?,
            tenant: event.tenant,
            phase,
            cause: data.cause,
            actor: event.authid,
            policy: data.policy,
            detail: data.detail,
        })
    }

    fn check(&self) -> Result<(), EntryError> {
        let mut names = vec![
            ("id", self.id.as_str()),
            ("type", self.kind.as_str()),
            ("subject", &self.subject.kind),
            ("subject", &self.subject.uid),
            ("subject", &self.subject.api_version),
        ];
        names.extend(self.subject.namespace.as_deref().map(|it| ("subject", it)));
        names.extend(self.tenant.as_deref().map(|it| ("tenant", it)));
        names.extend(self.actor.as_deref().map(|it| ("actor", it)));
        if let Phase::Outcome { intent, .. } = &self.phase {
            names.push(("intent", intent));
        }
        for (field, name) in names {
            let wrong = |why| EntryError::Field { field, why };
            if name.is_empty() {
                return Err(wrong("is empty; every entry says it"));
            }
            if name.len() > LONGEST_NAME {
                return Err(wrong(
                    "is longer than 1,024 bytes; it should only name something",
                ));
            }
            if name.chars().any(char::is_control) {
                return Err(wrong(
                    "holds a control character; it should only name something",
                ));
            }
        }
        let parts = [
            &self.subject.kind,
            &self.subject.uid,
            self.subject
                .namespace
                .as_ref()
                .unwrap_or(&self.subject.kind),
        ];
        if parts.iter().any(|part| part.contains('/')) {
            return Err(EntryError::Field {
                field: "subject",
                why: "holds a slash in its kind, namespace or uid, and could not be read back",
            });
        }
        self.detail.values().try_for_each(exact)
    }
}

/// Refuses numbers that do not come back as they were written.
fn exact(value: &Value) -> Result<(), EntryError> {
    match value {
        Value::Number(number) => {
            let beyond = match (number.as_u64(), number.as_i64()) {
                (Some(positive), _) => positive > LARGEST_INTEGER,
                (None, Some(negative)) => negative.unsigned_abs() > LARGEST_INTEGER,
                // RFC 8785 spells it as an integer, which would be read back as one.
                (None, None) => number.as_f64().is_some_and(is_spelled_as_a_large_integer),
            };
            if beyond {
                return Err(EntryError::Number(number.to_string()));
            }
            Ok(())
        }
        Value::Array(values) => values.iter().try_for_each(exact),
        Value::Object(fields) => fields.values().try_for_each(exact),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// From 1e21 on numbers are spelled with an exponent.
fn is_spelled_as_a_large_integer(number: f64) -> bool {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a power of two less one, rounded up to it"
    )]
    let largest = LARGEST_INTEGER as f64;
    number.fract() == 0.0 && number.abs() > largest && number.abs() < 1e21
}

/// Reads an entry of the ledger of this origin, and refuses any but its one spelling. Also for entries of newer versions.
pub(super) fn decode_strictly(bytes: &[u8], origin: &str) -> Result<Entry, EntryError> {
    let entry = Entry::decode(bytes)?;
    let value: Value = serde_json::from_slice(bytes).map_err(EntryError::Json)?;
    let canonical = serde_json_canonicalizer::to_vec(&value).map_err(EntryError::Json)?;
    if value.get("source").and_then(Value::as_str) != Some(origin) {
        return Err(EntryError::Field {
            field: "source",
            why: "is another ledger",
        });
    }
    if canonical != bytes {
        return Err(EntryError::NotCanonical);
    }
    Ok(entry)
}

impl Subject {
    /// `<apiVersion>/<Kind>/<namespace>/<uid>`; the namespace is empty where there is none.
    #[must_use]
    pub fn to_text(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        format!(
            "{}/{}/{namespace}/{}",
            self.api_version, self.kind, self.uid
        )
    }

    fn parse(text: &str) -> Result<Self, EntryError> {
        let mut parts = text.rsplitn(4, '/');
        let (Some(uid), Some(namespace), Some(kind), Some(api_version)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(EntryError::Field {
                field: "subject",
                why: "is not <apiVersion>/<Kind>/<namespace>/<uid>",
            });
        };
        Ok(Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()).filter(|it| !it.is_empty()),
            uid: uid.to_owned(),
        })
    }
}
