//! Opt-outs: which channels a namespace opts out of from now on. Recorded as the posture changes, so that leaving is too.
//!
//! May not: say that something was stopped. The status of the opt-out says what was read back.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Draft, subject};
use crate::diff::Change;
use crate::ledger::EntryKind;
use crate::model::{Kind, World};

/// What a new posture says of opt-outs that the stored one did not.
pub(super) fn changed(world: &World, change: &Change, body: &Value) -> Option<Draft> {
    let listed = body.pointer("/spec/optOuts").and_then(Value::as_array);
    let after: BTreeSet<&str> = listed
        .into_iter()
        .flatten()
        .filter_map(|told| told.get("channel")?.as_str())
        .collect();
    let stored = world
        .posture(&change.target.key)
        .and_then(|posture| posture.spec.as_ref());
    let before: BTreeSet<&str> = stored
        .into_iter()
        .flat_map(|spec| &spec.opt_outs)
        .map(|told| told.channel.as_str())
        .collect();
    if before == after {
        return None;
    }
    let namespace = world.namespace(&change.target.key.namespace)?;
    let mut about = subject(Kind::Namespace, &namespace.meta);
    about.namespace = Some(change.target.key.namespace.clone());
    let [after, before] =
        [after, before].map(|channels| channels.into_iter().collect::<Vec<&str>>());
    let draft = Draft::new(world, EntryKind::OptOutChanged, about);
    Some(draft.with("channels", after).with("before", before))
}
