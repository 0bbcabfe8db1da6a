//! Grants and acceptances, read.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::core::DynamicObject;

use super::error::{FieldError, read};
use super::identity::Meta;
use super::time;
use crate::api::{
    DataCategory, DataSharingGrantSpec, DataSharingGrantStatus, Direction, IntOrName, PortRule,
    Protocol, Purpose, Selector, SharingAcceptanceSpec, SharingAcceptanceStatus, WhenText,
};

/// What was read of a spec: its terms, or everything that is wrong with it.
pub type Validity<T> = Result<T, Vec<FieldError>>;

/// A grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Metadata.
    pub meta: Meta,
    /// The spec, if it could be read. A grant without terms is closed.
    pub terms: Validity<GrantTerms>,
    /// The stored status: the operator's memory of the end that it fixed.
    pub status: DataSharingGrantStatus,
}

/// What a readable grant says.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantTerms {
    /// Who receives.
    pub recipient: RecipientTerms,
    /// Who connects.
    pub direction: Direction,
    /// What is shared.
    pub categories: BTreeSet<DataCategory>,
    /// What for.
    pub purpose: Purpose,
    /// Which of our pods.
    pub source: Selector,
    /// Ports of our pods; with `Pull` at least one.
    pub ports: Vec<PortTerms>,
    /// First instant of the window; none means always.
    pub not_before: Option<Timestamp>,
    /// First instant after the window.
    pub not_after: Timestamp,
    /// The tenant's reason for revoking it.
    pub revoked: Option<String>,
}

/// Who receives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecipientTerms {
    /// A vendor, at these endpoints.
    Processor {
        /// Name of the DataProcessor.
        name: String,
        /// Names of its endpoints.
        endpoints: BTreeSet<String>,
    },
    /// A namespace of the same tenant.
    Namespace {
        /// Its name.
        name: String,
    },
}

impl RecipientTerms {
    /// As status and tables show it: `processor/NAME` or `namespace/NAME`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Processor { name, .. } => format!("processor/{name}"),
            Self::Namespace { name } => format!("namespace/{name}"),
        }
    }
}

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortTerms {
    /// Number or name.
    pub port: IntOrName,
    /// Protocol.
    pub protocol: Protocol,
}

/// An acceptance.
#[derive(Clone, Debug, PartialEq)]
pub struct Acceptance {
    /// Metadata.
    pub meta: Meta,
    /// The spec, if it could be read. Without terms it accepts nothing.
    pub terms: Validity<AcceptanceTerms>,
    /// The stored status.
    pub status: SharingAcceptanceStatus,
}

/// What a readable acceptance says.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptanceTerms {
    /// Namespace of the grant.
    pub from_namespace: String,
    /// Name of the grant.
    pub grant: String,
    /// Categories accepted.
    pub categories: BTreeSet<DataCategory>,
    /// Which of the recipient's pods.
    pub pods: Selector,
    /// Ports of the recipient's pods, for `Push`.
    pub ports: Vec<PortTerms>,
    /// First instant after the acceptance; none means never.
    pub not_after: Option<Timestamp>,
}

impl Grant {
    /// Reads a grant. What cannot be read is kept as errors.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        let terms = read::<DataSharingGrantSpec>(spec, "spec").and_then(grant_terms);
        Self {
            meta,
            terms,
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

impl Acceptance {
    /// Reads an acceptance. What cannot be read is kept as errors.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        let terms = read::<SharingAcceptanceSpec>(spec, "spec").and_then(acceptance_terms);
        Self {
            meta,
            terms,
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

/// Takes an object apart without copying its parts.
pub(super) fn split(object: DynamicObject) -> (Meta, serde_json::Value, serde_json::Value) {
    let meta = Meta::of(&object.metadata);
    let mut data = object.data;
    let mut take = |field: &str| {
        data.get_mut(field)
            .map(serde_json::Value::take)
            .unwrap_or_default()
    };
    let spec = take("spec");
    let status = take("status");
    (meta, spec, status)
}

/// Collects the error of a part and goes on.
pub(super) fn keep<T, E: std::fmt::Display>(
    errors: &mut Vec<FieldError>,
    path: impl Into<String>,
    result: Result<T, E>,
) -> Option<T> {
    result
        .map_err(|error| errors.push(FieldError::new(path, error)))
        .ok()
}

fn grant_terms(spec: DataSharingGrantSpec) -> Validity<GrantTerms> {
    let mut errors = Vec::new();
    let DataSharingGrantSpec {
        recipient,
        direction,
        data_categories,
        purpose,
        legal_basis: _,
        justification,
        source,
        ports,
        window,
        revoked,
    } = spec;

    let recipient = match (recipient.processor, recipient.namespace) {
        (Some(processor), None) => {
            if processor.endpoints.is_empty() {
                errors.push(FieldError::new(
                    "spec.recipient.processor.endpoints",
                    "name at least one endpoint",
                ));
            }
            Some(RecipientTerms::Processor {
                name: processor.name,
                endpoints: processor.endpoints.into_iter().collect(),
            })
        }
        (None, Some(namespace)) => Some(RecipientTerms::Namespace {
            name: namespace.name,
        }),
        _ => {
            errors.push(FieldError::new(
                "spec.recipient",
                "exactly one of processor and namespace must be given",
            ));
            None
        }
    };
    if data_categories.is_empty() {
        errors.push(FieldError::new(
            "spec.dataCategories",
            "name at least one category",
        ));
    }
    if justification.is_empty() {
        errors.push(FieldError::new(
            "spec.justification",
            "say why in a sentence",
        ));
    }
    if source.pod_selector.is_empty() {
        errors.push(FieldError::new(
            "spec.source.podSelector",
            "an empty selector is refused: name the pods, for instance by matchLabels",
        ));
    }
    match (direction, ports.is_empty()) {
        (Direction::Pull, true) => errors.push(FieldError::new(
            "spec.ports",
            "direction Pull needs the ports of our pods that the recipient may connect to",
        )),
        (Direction::Push, false) => errors.push(FieldError::new(
            "spec.ports",
            "ports belong to direction Pull; with Push the recipient's endpoints or its acceptance name the ports",
        )),
        _ => {}
    }
    let ports = port_terms(&mut errors, "spec.ports", ports);
    let not_before = window
        .not_before
        .as_ref()
        .and_then(|text| keep(&mut errors, "spec.window.notBefore", time::beginning(text)));
    let not_after = keep(
        &mut errors,
        "spec.window.notAfter",
        time::end(&window.not_after),
    );
    if let (Some(from), Some(until)) = (not_before, not_after)
        && from >= until
    {
        errors.push(FieldError::new(
            "spec.window",
            "notAfter must be later than notBefore",
        ));
    }
    match (recipient, not_after) {
        (Some(recipient), Some(not_after)) if errors.is_empty() => Ok(GrantTerms {
            recipient,
            direction,
            categories: data_categories.into_iter().collect(),
            purpose,
            source: source.pod_selector,
            ports,
            not_before,
            not_after,
            revoked: revoked.map(|revocation| revocation.reason),
        }),
        _ => Err(errors),
    }
}

fn acceptance_terms(spec: SharingAcceptanceSpec) -> Validity<AcceptanceTerms> {
    let mut errors = Vec::new();
    let SharingAcceptanceSpec {
        from,
        data_categories,
        pod_selector,
        ports,
        not_after,
    } = spec;
    if data_categories.is_empty() {
        errors.push(FieldError::new(
            "spec.dataCategories",
            "name at least one category",
        ));
    }
    if pod_selector.is_empty() {
        errors.push(FieldError::new(
            "spec.podSelector",
            "an empty selector is refused: name the pods, for instance by matchLabels",
        ));
    }
    let ports = port_terms(&mut errors, "spec.ports", ports);
    let end = |text: &WhenText| time::end(text);
    let not_after = not_after
        .as_ref()
        .and_then(|text| keep(&mut errors, "spec.notAfter", end(text)));
    if errors.is_empty() {
        Ok(AcceptanceTerms {
            from_namespace: from.namespace,
            grant: from.grant,
            categories: data_categories.into_iter().collect(),
            pods: pod_selector,
            ports,
            not_after,
        })
    } else {
        Err(errors)
    }
}

fn port_terms(errors: &mut Vec<FieldError>, path: &str, ports: Vec<PortRule>) -> Vec<PortTerms> {
    let mut terms = Vec::with_capacity(ports.len());
    for (index, rule) in ports.into_iter().enumerate() {
        let wrong = match &rule.port {
            IntOrName::Number(number) => !(1..=65535).contains(number),
            IntOrName::Name(name) => !is_port_name(name),
        };
        if wrong {
            errors.push(FieldError::new(
                format!("{path}[{index}].port"),
                "a port is a number from 1 to 65535, or a container port's name of at most 15 lower-case letters, digits and dashes",
            ));
        }
        terms.push(PortTerms {
            port: rule.port,
            protocol: rule.protocol.unwrap_or_default(),
        });
    }
    terms
}

/// IANA service name, as Kubernetes wants container port names.
fn is_port_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}
