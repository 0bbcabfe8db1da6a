//! How long what was refused is left alone: as long again as it has been refused for, between a minute and a quarter of an
//! hour. Each try is an intent and an outcome in the ledger, for as long as a right is missing or a webhook says no.
//!
//! May not: keep what was changed from being looked at again at once.

use jiff::{SignedDuration, Timestamp};

use crate::model::{RunResult, World};

/// The longest that what was refused is left alone.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// Puts off what was refused before for the same, and is refused again.
pub fn extend(world: &World, run: &mut RunResult) {
    for refused in &mut run.refused {
        let before = world.refusal(&refused.kind, &refused.key, &refused.uid);
        let goes_on = |until: Timestamp| run.at.duration_since(until) < LONGEST;
        let Some(before) =
            before.filter(|before| before.category == refused.category && goes_on(before.until))
        else {
            continue;
        };
        refused.since = before.since;
        if refused.category == "Changed" {
            continue;
        }
        let so_long = run.at.duration_since(refused.since).min(LONGEST);
        if let Ok(until) = run.at.checked_add(so_long) {
            refused.until = refused.until.max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{ObjectKey, RefusedItem, ResourceKind, Settings};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// After which second what is refused at this one is tried again.
    fn refused(world: &mut World, second: i64, category: &str) -> i64 {
        let refused = RefusedItem {
            kind: ResourceKind::parse("v1", "ConfigMap"),
            key: ObjectKey::new("acme-prod", "log"),
            uid: "log".to_owned(),
            category: category.to_owned(),
            message: "a webhook says no".to_owned(),
            since: at(second),
            until: at(second + 60),
        };
        let mut run = RunResult {
            namespace: "acme-prod".to_owned(),
            at: at(second),
            policies: BTreeMap::new(),
            refused: vec![refused],
        };
        extend(world, &mut run);
        let until = run.refused[0].until.as_second();
        world.learn_run(run);
        until
    }

    #[test]
    fn what_is_refused_again_and_again_is_left_alone_longer_and_longer_up_to_a_quarter_of_an_hour()
    {
        let mut world = World::new(Settings::default());
        let mut tries = vec![0];
        for _ in 0..7 {
            tries.push(refused(&mut world, *tries.last().unwrap(), "Refused"));
        }
        assert_eq!(tries, [0, 60, 120, 240, 480, 960, 1860, 2760]);
    }

    #[test]
    fn what_is_refused_for_something_else_or_after_a_break_or_changed_begins_anew() {
        let mut world = World::new(Settings::default());
        assert_eq!(refused(&mut world, 0, "Refused"), 60);
        assert_eq!(refused(&mut world, 300, "Refused"), 600);
        assert_eq!(refused(&mut world, 600, "Unknown"), 660);
        assert_eq!(refused(&mut world, 660, "Changed"), 720);
        assert_eq!(refused(&mut world, 720, "Changed"), 780);
        assert_eq!(refused(&mut world, 780, "Changed"), 840);
        assert_eq!(refused(&mut world, 9_000, "Changed"), 9_060);
        assert_eq!(refused(&mut world, 9_060, "Refused"), 9_120);
        assert_eq!(refused(&mut world, 20_000, "Refused"), 20_060);
    }
}
