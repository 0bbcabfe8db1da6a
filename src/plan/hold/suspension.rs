//! Whether what a hold suspends is cut off: by what was read back, and past what adds up with it.
//!
//! May not: count what is planned as done.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::Making;
use crate::api::HoldEffect;
use crate::api::names::{LABEL_PART, MANAGER_NETWORK, PART_PATH, POLICY_DEFAULT_DENY};
use crate::model::{ObjectKey, ObservedPolicy, PodProblem};

type Policies = BTreeMap<String, NetworkPolicy>;

impl Making<'_> {
    /// What runs is cut off once default deny was read back, nothing of ours beside it, and nothing of others that reaches
    /// out: policies add up, and one from before enrolment may be held itself.
    pub(super) fn suspended(&mut self, policies: &Policies) {
        if !self.hold.has(HoldEffect::SuspendProcessing) {
            return;
        }
        let (status, reason, message) = self
            .not_standing(policies)
            .map(|message| ("False", "Cutting", message))
            .or_else(|| self.open_beside())
            .unwrap_or_else(|| {
                let message = "what runs is denied both ways; whether the network carries that out is not observed here, and whether something new starts is what Enforced tells";
                ("True", "CutOff", message.to_owned())
            });
        self.turn("Suspended", status, reason, &message, "ProcessingSuspended");
    }

    /// Sharing is suspended once no path stands, and what takes its place was read back: siblings are peers as well.
    pub(super) fn sharing_suspended(&mut self, policies: &Policies) {
        if !self.hold.has(HoldEffect::SuspendSharing) {
            return;
        }
        let is_path = |policy: &&ObservedPolicy| {
            policy
                .labels
                .get(LABEL_PART)
                .is_some_and(|part| part == PART_PATH)
        };
        let in_namespace = self.world.policies_in(&self.hold.meta.key.namespace);
        let open = in_namespace.filter(is_path).count();
        let paths = (open > 0).then(|| format!("{open} paths of grants still stand"));
        let (status, reason, message) = paths
            .or_else(|| self.not_standing(policies))
            .map(|message| ("False", "Closing", message))
            .or_else(|| self.open_beside())
            .unwrap_or_else(|| {
                let message =
                    "no path of a grant stands in the namespace, and no peer outside it is left";
                ("True", "PathsClosed", message.to_owned())
            });
        self.turn(
            "SharingSuspended",
            status,
            reason,
            &message,
            "SharingSuspended",
        );
    }

    /// The first policy of ours that is not as planned.
    fn not_standing(&self, policies: &Policies) -> Option<String> {
        let namespace = &self.hold.meta.key.namespace;
        let ours = |policy: &&ObservedPolicy| policy.is_ours(MANAGER_NETWORK);
        let left = self
            .world
            .policies_in(namespace)
            .filter(ours)
            .find(|policy| !policies.contains_key(&policy.meta.key.name));
        if let Some(left) = left {
            return Some(format!("NetworkPolicy {} still stands", left.meta.key.name));
        }
        if !policies.contains_key(POLICY_DEFAULT_DENY) {
            return Some(format!(
                "NetworkPolicy {POLICY_DEFAULT_DENY} does not stand: Covenant writes none where a namespace is not enrolled in force"
            ));
        }
        let stands = |name: &str, planned: &NetworkPolicy| {
            self.world
                .policy(&ObjectKey::new(namespace, name))
                .is_some_and(|policy| policy.stands_as(planned))
        };
        let missing = policies
            .iter()
            .find(|(name, planned)| !stands(name, planned));
        missing.map(|(name, _)| format!("NetworkPolicy {name} does not stand as it must yet"))
    }

    /// What lets data out beside Covenant's own policies.
    fn open_beside(&self) -> Option<(&'static str, &'static str, String)> {
        let namespace = &self.hold.meta.key.namespace;
        let wide = self
            .world
            .policies_in(namespace)
            .find(|policy| !policy.is_ours(MANAGER_NETWORK) && policy.reaches_out());
        if let Some(policy) = wide {
            let message = format!(
                "NetworkPolicy {} is not Covenant's and reaches beyond the namespace, which adds up with default deny; remove it (where the hold keeps it, an officer leaves its kind out first: kubectl covenant hold narrow {} -n {namespace} --except networking.k8s.io/NetworkPolicy)",
                policy.meta.key.name, self.hold.meta.key.name
            );
            return Some(("False", "OpenedByOthers", message));
        }
        let pod = self.world.pods_in(namespace).next()?;
        let how = match pod.problems.first()? {
            PodProblem::HostNetwork => "is on the host's network".to_owned(),
            PodProblem::NodeVolume(kind) => {
                format!("has a {kind} volume, which is the node's to read or mount")
            }
            PodProblem::ProbeHost(host) => {
                format!("has the node connect to {host} by a probe or hook")
            }
        };
        let message = format!(
            "Pod {} {how}, past every policy; delete it (where the hold keeps it, an officer leaves pods out first: kubectl covenant hold narrow {} -n {namespace} --except Pod)",
            pod.meta.key.name, self.hold.meta.key.name
        );
        Some(("False", "ReachesFurther", message))
    }
}
