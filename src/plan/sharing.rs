//! The decision about a grant: every gate in order, every reason that applies.
//!
//! A path may be open only while all gates are passed (design rule 2); its end is the earliest end of what they found.

use jiff::Timestamp;

use super::decision::{Decision, Deliberation};
use super::reason::{EndCause, Refusal};
use super::restraint;
use super::standing::{Floor, Standing, standing};
use super::telemetry;
use super::vendor;
use crate::api::{Direction, Purpose};
use crate::model::{Acceptance, AcceptanceTerms, Grant, GrantTerms, RecipientTerms, World, time};

/// Decides about a grant at an instant.
#[must_use]
pub fn decide(world: &World, grant: &Grant, now: Timestamp) -> Decision {
    let mut deliberation = Deliberation::at(now);
    if grant.meta.deleting {
        deliberation.refuse(Refusal::Deleting);
    }
    let terms = match &grant.terms {
        Ok(terms) => terms,
        Err(errors) => {
            deliberation.refuse(Refusal::Invalid {
                errors: errors.clone(),
            });
            return deliberation.conclude();
        }
    };
    let standing = standing(world, &grant.meta.key.namespace);
    holds(&mut deliberation, world, grant, terms);
    tenants_own_word(&mut deliberation, terms);
    enrolment(&mut deliberation, &standing);
    prohibitions(&mut deliberation, world, grant, terms, &standing);
    for refusal in telemetry::covering(world, grant, terms) {
        deliberation.refuse(refusal);
    }
    window(&mut deliberation, terms);
    maximum_duration(&mut deliberation, grant, terms, &standing);
    fixed_end(&mut deliberation, grant);
    match &terms.recipient {
        RecipientTerms::Processor { name, endpoints } => {
            vendor::gate(&mut deliberation, world, terms, name, endpoints, &standing);
        }
        RecipientTerms::Namespace { name } => {
            recipient_namespace(&mut deliberation, world, grant, terms, name, &standing);
        }
    }
    deliberation.conclude()
}

/// A hold beats everything. One at the recipient's end closes the path as well: nothing is to arrive where nothing may
/// be processed.
fn holds(deliberation: &mut Deliberation, world: &World, grant: &Grant, terms: &GrantTerms) {
    let recipient = match &terms.recipient {
        RecipientTerms::Namespace { name } => Some(name.as_str()),
        RecipientTerms::Processor { .. } => None,
    };
    for namespace in [Some(grant.meta.key.namespace.as_str()), recipient]
        .into_iter()
        .flatten()
    {
        for (hold, effect) in restraint::closing(world, namespace) {
            deliberation.refuse(Refusal::Held {
                hold: hold.meta.key.to_string(),
                effect,
            });
        }
    }
}

fn tenants_own_word(deliberation: &mut Deliberation, terms: &GrantTerms) {
    if let Some(reason) = &terms.revoked {
        deliberation.refuse(Refusal::Revoked {
            reason: reason.clone(),
        });
    }
    if matches!(
        terms.purpose,
        Purpose::SellDataToThirdParties | Purpose::Advertising
    ) {
        deliberation.refuse(Refusal::ForbiddenPurpose {
            purpose: terms.purpose,
        });
    }
}

fn enrolment(deliberation: &mut Deliberation, standing: &Standing) {
    match standing {
        Standing::NotEnrolled => deliberation.refuse(Refusal::NamespaceNotEnrolled),
        Standing::Exempt => deliberation.refuse(Refusal::NamespaceExempt),
        Standing::Terminating { .. } => deliberation.refuse(Refusal::NamespaceTerminating),
        Standing::Observing { .. } => deliberation.refuse(Refusal::NamespaceObserving),
        Standing::InForce { .. } => {}
    }
    if let Standing::Observing {
        baseline, floor, ..
    }
    | Standing::InForce {
        baseline, floor, ..
    } = standing
    {
        match floor {
            Floor::Readable(_) => {}
            Floor::Missing => deliberation.refuse(Refusal::BaselineMissing {
                baseline: baseline.clone(),
            }),
            Floor::Invalid => deliberation.refuse(Refusal::BaselineInvalid {
                baseline: baseline.clone(),
            }),
        }
    }
}

fn prohibitions(
    deliberation: &mut Deliberation,
    world: &World,
    grant: &Grant,
    terms: &GrantTerms,
    standing: &Standing,
) {
    for prohibition in world.prohibitions().values() {
        if prohibition.binds(standing.tenant(), &grant.meta.key.namespace)
            && prohibition.covers(&terms.recipient, &terms.categories)
        {
            deliberation.refuse(Refusal::Prohibited {
                prohibition: prohibition.meta.key.name.clone(),
                reason: prohibition.reason.clone(),
            });
        }
    }
}

fn window(deliberation: &mut Deliberation, terms: &GrantTerms) {
    let now = deliberation.now;
    if let Some(not_before) = terms.not_before
        && now < not_before
    {
        deliberation.changes(not_before);
        deliberation.refuse(Refusal::NotYet { not_before });
    }
    if now >= terms.not_after {
        deliberation.refuse(Refusal::WindowOver {
            not_after: terms.not_after,
        });
    } else {
        deliberation.ends(terms.not_after, EndCause::WindowEnds);
    }
}

/// Counted from when the grant may first open: its `notBefore` or its creation, whichever is later. An edit does not
/// start it again.
fn maximum_duration(
    deliberation: &mut Deliberation,
    grant: &Grant,
    terms: &GrantTerms,
    standing: &Standing,
) {
    let Some(floor) = standing.floor() else {
        return;
    };
    let created = grant
        .meta
        .created
        .or(terms.not_before)
        .unwrap_or(deliberation.now);
    let from = terms
        .not_before
        .map_or(created, |not_before| not_before.max(created));
    // The period was read with the baseline; what cannot be added to this instant lies beyond the years that are read.
    let Ok(at) = time::after(from, &floor.maximum_duration) else {
        return;
    };
    if deliberation.now >= at {
        deliberation.refuse(Refusal::MaximumDurationOver { at });
    } else {
        deliberation.ends(at, EndCause::MaximumDurationReached);
    }
}

/// An end that was stored for this generation and has passed never moves forward again.
fn fixed_end(deliberation: &mut Deliberation, grant: &Grant) {
    if grant.status.observed_generation != Some(grant.meta.generation) {
        return;
    }
    if let Some(at) = stored_end(grant)
        && at <= deliberation.now
    {
        let because = grant
            .status
            .closes_because
            .clone()
            .unwrap_or_else(|| "its end".to_owned());
        deliberation.refuse(Refusal::EndPassed { at, because });
    }
}

/// The end that is stored in the grant's status.
pub(super) fn stored_end(grant: &Grant) -> Option<Timestamp> {
    grant
        .status
        .closes_at
        .as_ref()
        .and_then(|text| time::beginning(text).ok())
}

fn recipient_namespace(
    deliberation: &mut Deliberation,
    world: &World,
    grant: &Grant,
    terms: &GrantTerms,
    name: &str,
    source: &Standing,
) {
    let namespace = name.to_owned();
    if name == grant.meta.key.namespace {
        deliberation.refuse(Refusal::RecipientIsSource);
        return;
    }
    if world.namespace(name).is_none() {
        deliberation.refuse(Refusal::RecipientUnknown { namespace });
        return;
    }
    let recipient = standing(world, name);
    if recipient.tenant().is_none() || recipient.tenant() != source.tenant() {
        deliberation.refuse(Refusal::RecipientOtherTenant { namespace });
        return;
    }
    let not_in_force = match &recipient {
        Standing::InForce {
            floor: Floor::Readable(_),
            ..
        } if world.breached(name) => {
            Some("something in it reaches further than its grants; its posture lists what")
        }
        Standing::InForce {
            floor: Floor::Readable(_),
            ..
        } => None,
        Standing::InForce { .. } => Some("its baseline does not exist or cannot be read"),
        Standing::Observing { .. } => Some("it only observes"),
        Standing::Terminating { .. } => Some("it is being deleted"),
        Standing::NotEnrolled | Standing::Exempt => Some("it is not enrolled"),
    };
    if let Some(because) = not_in_force {
        deliberation.refuse(Refusal::RecipientNotInForce {
            namespace,
            because: because.to_owned(),
        });
    }
    acceptance(deliberation, world, grant, terms, name);
}

fn acceptance(
    deliberation: &mut Deliberation,
    world: &World,
    grant: &Grant,
    terms: &GrantTerms,
    recipient: &str,
) {
    let now = deliberation.now;
    let standing = || {
        world
            .acceptances_of(&grant.meta.key, recipient)
            .filter(|acceptance| !acceptance.meta.deleting)
    };
    if let Some((_, accepted)) = sufficient(world, grant, terms, recipient, now) {
        if let Some(not_after) = accepted.not_after {
            deliberation.ends(not_after, EndCause::AcceptanceEnds);
        }
        return;
    }
    if standing().next().is_none() {
        deliberation.refuse(Refusal::NotAccepted {
            namespace: recipient.to_owned(),
        });
    }
    for acceptance in standing() {
        for refusal in shortcomings(acceptance, terms, now) {
            deliberation.refuse(refusal);
        }
    }
}

/// The first acceptance, by name, that covers the grant now. Several are not added up: each must suffice alone.
pub(super) fn sufficient<'a>(
    world: &'a World,
    grant: &Grant,
    terms: &GrantTerms,
    recipient: &str,
    now: Timestamp,
) -> Option<(&'a Acceptance, &'a AcceptanceTerms)> {
    world
        .acceptances_of(&grant.meta.key, recipient)
        .filter(|acceptance| {
            !acceptance.meta.deleting && shortcomings(acceptance, terms, now).is_empty()
        })
        .find_map(|acceptance| {
            acceptance
                .terms
                .as_ref()
                .ok()
                .map(|accepted| (acceptance, accepted))
        })
}

fn shortcomings(acceptance: &Acceptance, terms: &GrantTerms, now: Timestamp) -> Vec<Refusal> {
    let name = acceptance.meta.key.to_string();
    // One that cannot be read names no grant, so none is found by it; its own status says what to correct.
    let Ok(accepted) = &acceptance.terms else {
        let namespace = acceptance.meta.key.namespace.clone();
        return vec![Refusal::NotAccepted { namespace }];
    };
    let mut refusals = Vec::new();
    let lacking: std::collections::BTreeSet<_> = terms
        .categories
        .difference(&accepted.categories)
        .copied()
        .collect();
    if !lacking.is_empty() {
        refusals.push(Refusal::AcceptanceTooNarrow {
            acceptance: name.clone(),
            categories: lacking,
        });
    }
    if terms.direction == Direction::Push && accepted.ports.is_empty() {
        refusals.push(Refusal::AcceptanceWithoutPorts {
            acceptance: name.clone(),
        });
    }
    if let Some(at) = accepted.not_after
        && now >= at
    {
        refusals.push(Refusal::AcceptanceOver {
            acceptance: name,
            at,
        });
    }
    refusals
}
