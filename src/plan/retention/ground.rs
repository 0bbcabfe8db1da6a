//! What every judgement in a namespace rests on: how it stands, its holds, its bounds, and why nothing at all may go.

use jiff::Timestamp;

use super::boundary::{self, Boundaries};
use super::fate::Withheld;
use crate::api::names::PARAMETERS_NAME;
use crate::model::{
    DisposalBounds, Held, Hold, Kind, KindState, ObjectKey, ResourceKind, RetentionPolicy, Shelf,
    Target, World,
};
use crate::plan::{Floor, Standing, standing};

/// What every judgement in a namespace rests on.
pub(super) struct Ground<'a> {
    pub world: &'a World,
    pub namespace: &'a str,
    pub now: Timestamp,
    pub standing: Standing,
    pub shelf: Option<&'a Shelf>,
    pub bounds: DisposalBounds,
    pub boundaries: Boundaries,
    /// Why nothing goes at all, where nothing is wrong with any policy.
    pub stopped: Option<String>,
    /// Holds that keep, and whether they are released and their grace runs.
    holds: Vec<(&'a Hold, bool)>,
}

impl<'a> Ground<'a> {
    pub fn new(world: &'a World, namespace: &'a str, now: Timestamp) -> Self {
        let standing = standing(world, namespace);
        let bounds = standing.floor().map(|terms| terms.disposal.clone());
        let boundaries = boundary::boundaries(world, namespace, &standing, now);
        let holds = world.holds_in(namespace).filter_map(|hold| {
            let is = |condition: &str| {
                let mut conditions = hold.status.conditions.iter();
                conditions.any(|found| found.type_ == condition && found.status == "True")
            };
            match hold.release {
                None => Some((hold, false)),
                Some(_) if is("Restored") => None,
                Some(_) => Some((hold, true)),
            }
        });
        let holds = holds.collect();
        let mut ground = Self {
            world,
            namespace,
            now,
            standing,
            shelf: world.shelf(namespace),
            bounds: bounds.unwrap_or_default(),
            boundaries,
            stopped: None,
            holds,
        };
        ground.stopped = ground.stop();
        ground
    }

    /// Whether every object of a kind is known.
    pub fn is_synced(&self, kind: &ResourceKind) -> bool {
        self.world.kind_state(kind) == KindState::Synced
    }

    fn stop(&self) -> Option<String> {
        if let Some(problem) = self.world.clock_problem() {
            return Some(format!("the clock is doubted: {problem}"));
        }
        if self
            .world
            .ledger()
            .is_some_and(|ledger| ledger.problem.is_some())
        {
            return Some("the ledger cannot be written".to_owned());
        }
        None
    }

    /// Why a policy cannot be judged by, if a kind that it selects is not fully read: of half of what is due nobody could say
    /// whether it is too much. Others go on, so that a policy about a kind that there is not stops nobody else's.
    pub fn unread(&self, policy: &RetentionPolicy) -> Option<String> {
        let mut selected = policy.selections.iter().map(|selection| &selection.kind);
        let unread = selected.find(|kind| !self.is_synced(kind))?;
        Some(format!("{unread} is not fully read"))
    }

    /// Why the bounds of disposal are not known, if so.
    pub fn baseline_problem(&self) -> Option<String> {
        let (Standing::InForce {
            baseline, floor, ..
        }
        | Standing::Observing {
            baseline, floor, ..
        }) = &self.standing
        else {
            return None;
        };
        match floor {
            Floor::Readable(_) => None,
            Floor::Missing => Some(format!("there is no TenantBaseline {baseline}")),
            Floor::Invalid => Some(format!("TenantBaseline {baseline} cannot be read")),
        }
    }

    /// Why what guards must read could not be stored, if so.
    pub fn parameters_problem(&self) -> Option<(&'a str, String)> {
        let key = ObjectKey::new(self.namespace, PARAMETERS_NAME);
        let failure = self
            .world
            .failure(&Target::new(Kind::GuardParameters, key))?;
        let message = format!("GuardParameters could not be stored: {}", failure.message);
        Some((&failure.category, message))
    }

    /// A hold that keeps an object, or a namespace that is not in force, or of which the bounds of disposal are not known.
    pub fn obstacle(&self, held: &Held) -> Option<Withheld> {
        let keeps = |(hold, _): &&(&Hold, bool)| covers(hold, held);
        if let Some((hold, released)) = self.holds.iter().find(keeps) {
            return Some(Withheld::Hold {
                name: hold.meta.key.name.clone(),
                released: *released,
            });
        }
        let is_bound = self.standing.is_in_force() && self.baseline_problem().is_none();
        (!is_bound).then_some(Withheld::NotInForce)
    }
}

/// Any unreleased hold keeps what is within its scope, whatever its effects. A scope that cannot be read is read as everything.
fn covers(hold: &Hold, held: &Held) -> bool {
    hold.covers_kind(&held.kind.group, &held.kind.kind)
        && held.item.has_labels(&hold.scope.match_labels)
}
