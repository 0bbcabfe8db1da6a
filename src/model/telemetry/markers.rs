//! The markers of agents: those of the table and those that a baseline adds, read and put together.
//!
//! What several agents ask for stands on the same pods, so no two may ask for different values of one marker, and all of them
//! must fit into what guards read. May not: let a baseline ask for a label or annotation that means something to Kubernetes or
//! to Covenant.

use std::collections::BTreeMap;

use super::AgentTerms;
use super::agents::{Agent, Markers};
use crate::api::{AgentMarkers, MarkerSet};
use crate::model::FieldError;

/// Most annotations, and most labels, that guards read of one kind of object.
pub const MOST: usize = 64;

/// The markers of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkerTerms {
    /// What pods must carry.
    pub pods: MarkerSet,
    /// What the namespace must carry.
    pub namespaces: MarkerSet,
    /// What nothing says otherwise.
    pub where_present: MarkerSet,
}

impl MarkerTerms {
    /// Those of a row of the table.
    #[must_use]
    pub fn of(row: &Agent) -> Self {
        Self {
            pods: set(&row.pods),
            namespaces: set(&row.namespaces),
            where_present: set(&row.where_present),
        }
    }
}

fn set(markers: &Markers) -> MarkerSet {
    let map = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    };
    MarkerSet {
        annotations: map(markers.annotations),
        labels: map(markers.labels),
    }
}

/// All markers of these sets.
#[must_use]
pub fn joined<'a>(sets: impl IntoIterator<Item = &'a MarkerSet>) -> MarkerSet {
    let mut all = MarkerSet::default();
    for set in sets {
        all.annotations.extend(set.annotations.clone());
        all.labels.extend(set.labels.clone());
    }
    all
}

/// The markers of an agent: its row's, and its own.
pub(super) fn terms(
    errors: &mut Vec<FieldError>,
    path: &str,
    row: Option<&Agent>,
    own: AgentMarkers,
) -> MarkerTerms {
    let mut terms = row.map(MarkerTerms::of).unwrap_or_default();
    for (field, own, known) in [
        ("pods", own.pods, &mut terms.pods),
        ("namespaces", own.namespaces, &mut terms.namespaces),
    ] {
        let own = own.unwrap_or_default();
        for (kind, pairs, known) in [
            ("annotations", own.annotations, &mut known.annotations),
            ("labels", own.labels, &mut known.labels),
        ] {
            for (key, value) in pairs {
                let problem = problem(&key).or_else(|| {
                    (kind == "labels" && !(value.is_empty() || is_name(&value)))
                        .then_some("its value is none that a label can have")
                });
                let disagrees = known.get(&key).is_some_and(|known| *known != value);
                let problem = problem.or_else(|| {
                    disagrees.then_some("the agent is known to read it with another value")
                });
                if let Some(problem) = problem {
                    errors.push(FieldError::new(
                        format!("{path}.{field}.{kind}[{key}]"),
                        problem,
                    ));
                }
                known.insert(key, value);
            }
        }
    }
    terms
}

/// Whether all agents' markers can stand together.
pub(super) fn together(errors: &mut Vec<FieldError>, agents: &[AgentTerms]) {
    type Pick = for<'a> fn(&'a MarkerTerms) -> Vec<&'a MarkerSet>;
    let kinds: [(&str, Pick); 2] = [
        ("pods", |terms| vec![&terms.pods, &terms.where_present]),
        ("namespaces", |terms| {
            vec![&terms.namespaces, &terms.where_present]
        }),
    ];
    for (what, pick) in kinds {
        let mut annotations = BTreeMap::new();
        let mut labels = BTreeMap::new();
        for agent in agents {
            for set in pick(&agent.markers) {
                agree(errors, what, agent, &mut annotations, &set.annotations);
                agree(errors, what, agent, &mut labels, &set.labels);
            }
        }
        if annotations.len() > MOST || labels.len() > MOST {
            errors.push(FieldError::new(
                "spec.telemetry.agents",
                format!("the markers of {what} are more than {MOST} annotations or labels"),
            ));
        }
    }
}

fn agree<'a>(
    errors: &mut Vec<FieldError>,
    what: &str,
    agent: &'a AgentTerms,
    all: &mut BTreeMap<&'a str, (&'a str, &'a str)>,
    pairs: &'a BTreeMap<String, String>,
) {
    for (key, value) in pairs {
        let (first, known) = *all.entry(key).or_insert((&agent.name, value));
        if known != value {
            errors.push(FieldError::new(
                "spec.telemetry.agents",
                format!(
                    "{first} asks for {key}: {known} on {what}, and {} for {key}: {value}; nothing can carry both",
                    agent.name
                ),
            ));
        }
    }
}

/// Whether a label or an annotation of this name could be an agent's marker.
pub(super) fn may_be_marker(key: &str) -> bool {
    problem(key).is_none()
}

/// What is wrong with a key.
fn problem(key: &str) -> Option<&'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_label = |part: &str| {
        let dashes = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty()
            && part.bytes().all(dashes)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let is_domain = |prefix: &str| prefix.len() <= 253 && prefix.split('.').all(is_label);
    if !is_name(name) || prefix.is_some_and(|prefix| !is_domain(prefix)) {
        return Some("is no name that a label or an annotation can have");
    }
    let within = |domain: &str| {
        prefix.is_some_and(|prefix| {
            let parent = prefix.strip_suffix(domain);
            parent.is_some_and(|parent| parent.is_empty() || parent.ends_with('.'))
        })
    };
    ["kubernetes.io", "k8s.io", "privacy.cloudnexus.io"]
        .into_iter()
        .any(within)
        .then_some("means something to Kubernetes or to Covenant, and is not a marker of an agent")
}

/// Whether it is the name of a label or an annotation, or a value of a label that is not empty.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= 63
        && text.bytes().all(inner)
        && ends
            .into_iter()
            .all(|byte| byte.is_some_and(|byte| byte.is_ascii_alphanumeric()))
}
