//! What becomes of the World when one part of an object is written: a status, a timer's start.
//!
//! The World keeps what was read of an object, not the object, so these parts are set in place. Used where a cluster is
//! only simulated; with a real one the watch brings the whole object.

use jiff::Timestamp;
use serde_json::Value;

use super::World;
use crate::model::{Dirty, Kind, Target};

impl World {
    /// Takes in that the status of this object is now as given. Nothing happens where there is no such object, or its
    /// kind has no status that the World reads.
    pub fn take_status(&mut self, target: &Target, status: Value) -> Dirty {
        let key = &target.key;
        // The object with its new status; the kinds' statuses are of different types.
        macro_rules! with_status {
            ($object:expr) => {
                $object.cloned().map(|mut object| {
                    object.status = serde_json::from_value(status).unwrap_or_default();
                    object
                })
            };
        }
        match target.kind {
            Kind::Baseline => match with_status!(self.baselines.get(&key.name)) {
                Some(object) => self.set_baseline(&key.name, Some(object)),
                None => Dirty::default(),
            },
            Kind::Processor => match with_status!(self.processors.get(&key.name)) {
                Some(object) => self.set_processor(&key.name, Some(object)),
                None => Dirty::default(),
            },
            Kind::Prohibition => match with_status!(self.prohibitions.get(&key.name)) {
                Some(object) => self.set_prohibition(&key.name, Some(object)),
                None => Dirty::default(),
            },
            Kind::Grant => match with_status!(self.grant(key)) {
                Some(object) => self.set_grant(key, Some(object)),
                None => Dirty::default(),
            },
            Kind::Acceptance => {
                let stored = self
                    .acceptances
                    .get(&key.namespace)
                    .and_then(|acceptances| acceptances.get(&key.name));
                match with_status!(stored) {
                    Some(object) => self.set_acceptance(key, Some(object)),
                    None => Dirty::default(),
                }
            }
            Kind::Hold => {
                let taken = self.hold(key).cloned().map(|mut hold| {
                    hold.status = serde_json::from_value(status).unwrap_or_default();
                    hold.status.decisions = Vec::new();
                    hold
                });
                match taken {
                    Some(hold) => self.set_hold(key, Some(hold)),
                    None => Dirty::default(),
                }
            }
            Kind::RetentionPolicy => {
                let taken = self.retention_policy(key).cloned().map(|mut policy| {
                    policy.status = serde_json::from_value(status).unwrap_or_default();
                    policy.status.decisions = Vec::new();
                    policy
                });
                match taken {
                    Some(policy) => self.set_retention_policy(key, Some(policy)),
                    None => Dirty::default(),
                }
            }
            Kind::OptOut => match with_status!(self.opt_out(key)) {
                Some(object) => self.set_opt_out(key, Some(object)),
                None => Dirty::default(),
            },
            Kind::Posture => match with_status!(self.posture(key)) {
                Some(object) => self.set_posture(key, Some(object)),
                None => Dirty::default(),
            },
            Kind::Namespace
            | Kind::GuardParameters
            | Kind::NetworkPolicy
            | Kind::Job
            | Kind::Pod
            | Kind::EndpointSlice
            | Kind::Service
            | Kind::Volume
            | Kind::Guard
            | Kind::GuardBinding
            | Kind::Class
            | Kind::Claim
            | Kind::ServerLease => Dirty::default(),
        }
    }

    /// Takes in that a controller started this timer.
    pub fn start_timer(&mut self, target: &Target, started: Timestamp) -> Dirty {
        let Some(mut timer) = self.timer(&target.key).cloned() else {
            return Dirty::default();
        };
        timer.started = Some(started);
        self.set_timer(&target.key, Some(timer))
    }

    /// Takes in that these fields were merged into a volume.
    pub fn merge_volume(&mut self, target: &Target, body: &Value) -> Dirty {
        use crate::api::names::{ANNOTATION_RECLAIM_POLICY, LABEL_HELD};
        let Some(mut volume) = self.volume(&target.key.name).cloned() else {
            return Dirty::default();
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        volume.held = body["metadata"]["labels"][LABEL_HELD] == "true";
        volume.former_policy = text(&body["metadata"]["annotations"][ANNOTATION_RECLAIM_POLICY]);
        if let Some(policy) = text(&body["spec"]["persistentVolumeReclaimPolicy"]) {
            volume.reclaim_policy = policy;
        }
        self.set_volume(&target.key.name, Some(volume))
    }
}
