//! What is encrypted in a namespace, as far as it was seen, and what guards must know of it.
//!
//! May not: call anything encrypted that nothing shows.

mod classes;
mod secrets;
mod transit;
mod trial;
mod volumes;

use jiff::Timestamp;

use super::decision::Earliest;
use super::standing::Standing;
use crate::api::{
    AllowedClass, EmptyDirRule, EncryptionInForce, EncryptionItem, EncryptionScope,
    EncryptionState, MinimumTls, SecretsInForce, WhenText,
};
use crate::model::{World, time};

pub(super) use trial::verified;

/// A posture is read by people; beyond this many items they read the count.
const LISTED: usize = 200;
/// Longest that an item's evidence is.
const EVIDENCE: usize = 512;

/// What a posture says of encryption.
pub(super) struct Encryption {
    /// The items; none where the baseline cannot be read.
    pub in_force: Option<EncryptionInForce>,
    /// Status, reason and message of the condition `Encrypted`.
    pub condition: (&'static str, &'static str, String),
    /// When it changes by time alone.
    pub next: Option<Timestamp>,
}

/// What is encrypted in a namespace.
pub(super) fn encryption(
    world: &World,
    namespace: &str,
    standing: &Standing,
    now: Timestamp,
) -> Encryption {
    let Some(terms) = standing.floor().map(|terms| &terms.encryption) else {
        let message = "the baseline cannot be read; no claim is let in".to_owned();
        return Encryption {
            in_force: None,
            condition: ("Unknown", "BaselineUnreadable", message),
            next: None,
        };
    };
    let mut next = Earliest::default();
    let mut items = volumes::items(world, namespace, terms.at_rest.as_ref(), now, &mut next);
    let secrets = terms
        .at_rest
        .as_ref()
        .and_then(|terms| terms.secrets.as_ref());
    let verified = verified_on(world, standing);
    items.push(secrets::item(verified, secrets, now, &mut next));
    items.extend(transit::items(world, namespace, terms.minimum_tls));
    items.sort();
    let condition = condition(&items);
    let item_count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    items.truncate(LISTED);
    Encryption {
        in_force: Some(EncryptionInForce { items, item_count }),
        condition,
        next: next.instant(),
    }
}

/// What canaries showed of Secrets, as it is stored with the baseline. Its day of trial is told there and not here, or every
/// posture were written every day.
fn verified_on<'a>(world: &'a World, standing: &Standing) -> Option<&'a SecretsInForce> {
    let (Standing::Observing { baseline, .. } | Standing::InForce { baseline, .. }) = standing
    else {
        return None;
    };
    world.baseline(baseline)?.status.secrets.as_ref()
}

fn condition(items: &[EncryptionItem]) -> (&'static str, &'static str, String) {
    let of = |state: EncryptionState| items.iter().filter(move |item| item.state == state);
    for (state, status, reason) in [
        (EncryptionState::NotEncrypted, "False", "NotEncrypted"),
        (EncryptionState::Unknown, "Unknown", "NotKnown"),
        (EncryptionState::NotJudged, "Unknown", "NotJudged"),
    ] {
        if let Some(first) = of(state).next() {
            let count = of(state).count();
            let message = format!(
                "{count} of {}: first {}: {}",
                items.len(),
                first.item,
                first.evidence
            );
            return (status, reason, message);
        }
    }
    let message = format!(
        "each of {} items was verified, proven or attested",
        items.len()
    );
    ("True", "Shown", message)
}

/// What guards must know of a namespace's encryption.
#[derive(Default)]
pub(super) struct Guarded {
    pub storage_classes: Option<Vec<AllowedClass>>,
    pub empty_dir: Option<EmptyDirRule>,
    pub minimum_tls: Option<MinimumTls>,
}

/// What guards must know: without a readable baseline, that no class may be named.
pub(super) fn guarded(world: &World, standing: &Standing) -> Guarded {
    let Some(terms) = standing.floor().map(|terms| &terms.encryption) else {
        return Guarded {
            storage_classes: Some(Vec::new()),
            ..Guarded::default()
        };
    };
    let at_rest = terms.at_rest.as_ref();
    Guarded {
        storage_classes: at_rest.map(|terms| classes::allowed(world, terms)),
        empty_dir: at_rest.map(|terms| terms.empty_dir),
        minimum_tls: terms.minimum_tls,
    }
}

fn item(
    scope: EncryptionScope,
    item: impl Into<String>,
    (state, reason): (EncryptionState, &str),
    evidence: &str,
    since: Option<Timestamp>,
) -> EncryptionItem {
    EncryptionItem {
        scope,
        item: item.into(),
        state,
        reason: reason.to_owned(),
        // People write some of it, and terminals show it.
        evidence: super::status::shortened(&evidence.replace(char::is_control, " "), EVIDENCE),
        since: since.map(|since| -> WhenText { time::text(since) }),
    }
}
