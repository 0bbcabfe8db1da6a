//! Which labels a selector matches, as a set that can be narrowed and taken away from.
//!
//! Of each key it is said whether it may be absent, and which values it may have. What selectors can express is closed under
//! "both match", and the labels that a selector does not match are a union of what selectors match. So taking an agent's
//! pods away from a peer loses nothing and leaves nothing.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::{LabelOperator, LabelRequirement, Selector};

/// What one key may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Allowed {
    absent: bool,
    present: Values,
}

/// The values that a key may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Values {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
}

impl Values {
    fn both(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::In(mine), Self::In(theirs)) => Self::In(mine & theirs),
            (Self::In(some), Self::NotIn(out)) | (Self::NotIn(out), Self::In(some)) => {
                Self::In(some - out)
            }
            (Self::NotIn(mine), Self::NotIn(theirs)) => Self::NotIn(mine | theirs),
        }
    }

    fn none() -> Self {
        Self::In(BTreeSet::new())
    }

    fn any() -> Self {
        Self::NotIn(BTreeSet::new())
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::In(some) if some.is_empty())
    }

    fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::In(mine), Self::In(theirs)) => mine.is_subset(theirs),
            (Self::In(mine), Self::NotIn(out)) => mine.is_disjoint(out),
            (Self::NotIn(_), Self::In(_)) => false,
            (Self::NotIn(mine), Self::NotIn(theirs)) => theirs.is_subset(mine),
        }
    }
}

impl Allowed {
    fn of(requirement: &LabelRequirement) -> Self {
        let values = || requirement.values.iter().cloned().collect();
        match requirement.operator {
            LabelOperator::In => Self {
                absent: false,
                present: Values::In(values()),
            },
            LabelOperator::NotIn => Self {
                absent: true,
                present: Values::NotIn(values()),
            },
            LabelOperator::Exists => Self {
                absent: false,
                present: Values::any(),
            },
            LabelOperator::DoesNotExist => Self {
                absent: true,
                present: Values::none(),
            },
        }
    }

    fn both(&self, other: &Self) -> Self {
        Self {
            absent: self.absent && other.absent,
            present: self.present.both(&other.present),
        }
    }

    fn is_nothing(&self) -> bool {
        !self.absent && self.present.is_none()
    }

    fn within(&self, other: &Self) -> bool {
        (other.absent || !self.absent) && self.present.within(&other.present)
    }

    /// What it does not allow, as what requirements can express: at most two.
    fn others(&self) -> Vec<Self> {
        let absent = Self {
            absent: true,
            present: Values::none(),
        };
        match &self.present {
            // The complement of values is said together with absence; that of exclusions is not, by any operator.
            Values::In(some) => vec![Self {
                absent: !self.absent,
                present: Values::NotIn(some.clone()),
            }],
            Values::NotIn(out) => {
                let values = Self {
                    absent: false,
                    present: Values::In(out.clone()),
                };
                let values = (!out.is_empty()).then_some(values);
                let absent = (!self.absent).then_some(absent);
                absent.into_iter().chain(values).collect()
            }
        }
    }

    fn requirements(&self, key: &str) -> Vec<LabelSelectorRequirement> {
        let requirement = |operator: &str, values: Option<&BTreeSet<String>>| {
            let values = values.map(|values| values.iter().cloned().collect());
            LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values,
            }
        };
        match (&self.present, self.absent) {
            (Values::In(_), true) => vec![requirement("DoesNotExist", None)],
            (Values::In(some), false) => vec![requirement("In", Some(some))],
            (Values::NotIn(out), true) => vec![requirement("NotIn", Some(out))],
            (Values::NotIn(out), false) if out.is_empty() => vec![requirement("Exists", None)],
            (Values::NotIn(out), false) => {
                vec![requirement("Exists", None), requirement("NotIn", Some(out))]
            }
        }
    }
}

/// Labels that a selector matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels(BTreeMap<String, Allowed>);

impl Labels {
    /// Those that a selector matches.
    pub fn of(selector: &Selector) -> Self {
        let mut labels = Self::default();
        for (key, value) in &selector.match_labels {
            labels.narrow(
                key,
                &Allowed {
                    absent: false,
                    present: Values::In([value.clone()].into()),
                },
            );
        }
        for requirement in &selector.match_expressions {
            labels.narrow(&requirement.key, &Allowed::of(requirement));
        }
        labels
    }

    fn narrow(&mut self, key: &str, allowed: &Allowed) {
        let narrowed = match self.0.get(key) {
            Some(known) => known.both(allowed),
            None => allowed.clone(),
        };
        // A requirement that lets everything through is none.
        if narrowed.absent && narrowed.present == Values::any() {
            self.0.remove(key);
        } else {
            self.0.insert(key.to_owned(), narrowed);
        }
    }

    /// Those that are in both.
    pub fn both(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (key, allowed) in &other.0 {
            both.narrow(key, allowed);
        }
        both
    }

    /// Whether nothing has such labels.
    pub fn is_nothing(&self) -> bool {
        self.0.values().any(Allowed::is_nothing)
    }

    /// Whether every one is in the other as well.
    pub fn within(&self, other: &Self) -> bool {
        other.0.iter().all(|(key, allowed)| {
            self.0
                .get(key)
                .is_some_and(|narrower| narrower.within(allowed))
        })
    }

    /// Those that are not in it, as a union.
    pub fn others(&self) -> Vec<Self> {
        let of_key = |(key, allowed): (&String, &Allowed)| {
            allowed
                .others()
                .into_iter()
                .map(|other| Self([(key.clone(), other)].into()))
                .collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_key).collect()
    }

    /// Whether they hold these.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, allowed)| match labels.get(key) {
            None => allowed.absent,
            Some(value) => match &allowed.present {
                Values::In(some) => some.contains(value),
                Values::NotIn(out) => !out.contains(value),
            },
        })
    }

    /// A selector that matches exactly these.
    pub fn selector(&self) -> LabelSelector {
        let mut equal = BTreeMap::new();
        let mut expressions = Vec::new();
        for (key, allowed) in &self.0 {
            match (&allowed.present, allowed.absent) {
                (Values::In(some), false) if some.len() == 1 => {
                    let values = some.iter().map(|value| (key.clone(), value.clone()));
                    equal.extend(values);
                }
                _ => expressions.extend(allowed.requirements(key)),
            }
        }
        LabelSelector {
            match_labels: (!equal.is_empty()).then_some(equal),
            match_expressions: (!expressions.is_empty()).then_some(expressions),
        }
    }
}
