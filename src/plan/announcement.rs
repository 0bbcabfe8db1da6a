//! Whether the version of the written policy that a baseline carries out was announced to every tenant on it.
//!
//! An announcement is an entry of the ledger for each tenant; whoever delivers it reads it there. It is made at least once: a crash
//! between the entries and the status makes them again. May not: announce to who enrols later; they begin under this version.

use crate::api::{PolicyAnnouncement, PolicyReference};
use crate::model::World;

use super::Inquiry;

/// What was announced last, and what is to be announced now.
pub(super) struct Announcement {
    /// What the baseline's status says.
    pub told: Option<PolicyAnnouncement>,
    /// What is to be recorded.
    pub inquiry: Option<Inquiry>,
}

/// What is to be announced about a baseline.
pub(super) fn announcement(world: &World, name: &str) -> Announcement {
    let Some(baseline) = world.baseline(name) else {
        return Announcement {
            told: None,
            inquiry: None,
        };
    };
    let learned = world.announced(&baseline.meta.uid);
    let told = learned.or(baseline.status.announced.as_ref()).cloned();
    let terms = baseline.terms.as_ref().ok();
    let policy = terms.and_then(|terms| terms.policy_ref.as_ref());
    let Some(policy) = policy.filter(|policy| !is_about(told.as_ref(), policy)) else {
        return Announcement {
            told,
            inquiry: None,
        };
    };
    let tenants = world.tenants_on(name);
    if tenants.is_empty() {
        let told = Some(PolicyAnnouncement {
            policy: policy.clone(),
            tenants: 0,
            ledger: None,
        });
        return Announcement {
            told,
            inquiry: None,
        };
    }
    let inquiry = Some(Inquiry::Announce {
        baseline: baseline.meta.key.clone(),
        uid: baseline.meta.uid.clone(),
        policy: policy.clone(),
        tenants,
    });
    Announcement { told, inquiry }
}

fn is_about(told: Option<&PolicyAnnouncement>, policy: &PolicyReference) -> bool {
    told.is_some_and(|told| told.policy == *policy)
}
