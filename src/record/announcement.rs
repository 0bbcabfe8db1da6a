//! Announcements: the version of the written policy that a tenant stands under from now on.
//!
//! May not: say that anybody was told. That is recorded by who delivers it.

use super::{Draft, cause, subject};
use crate::api::PolicyReference;
use crate::ledger::{EntryKind, PolicyVersion};
use crate::model::{Baseline, Kind, World};

/// One announcement for each tenant.
#[must_use]
pub fn announcements<'a>(
    world: &World,
    baseline: &Baseline,
    policy: &PolicyReference,
    tenants: impl IntoIterator<Item = &'a String>,
) -> Vec<Draft> {
    let before = baseline.status.announced.as_ref();
    let of_tenant = |tenant: &String| {
        let about = subject(Kind::Baseline, &baseline.meta);
        let mut draft = Draft::new(world, EntryKind::PolicyAnnounced, about)
            .because(cause(Kind::Baseline, &baseline.meta));
        draft.tenant = Some(tenant.clone());
        draft.policy = Some(PolicyVersion {
            document: policy.document.clone(),
            version: policy.version.clone(),
        });
        match before {
            Some(before) => draft.with("before", before.policy.version.as_str()),
            None => draft,
        }
    };
    tenants.into_iter().map(of_tenant).collect()
}
