//! Replays etcd's history and says at which revision a path stood without what must hold it.
//!
//! The property: at every revision, each policy of a path has exactly one owner, a Job that exists under that uid, was
//! started, and ends at or before the end that is stored in the grant's status (or, once the grant is gone, before the end
//! that the timer itself carries).

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use testbed::history::Event;

/// What was wrong, at a revision.
#[derive(Debug, PartialEq, Eq)]
pub struct Breach {
    pub revision: u64,
    pub policy: String,
    pub what: String,
}

/// Replays a history from the first revision on. Returns the breaches and how often a standing path was looked at.
pub fn replay(history: &[Event]) -> (Vec<Breach>, usize) {
    let mut world = World::default();
    let (mut breaches, mut looks) = (Vec::new(), 0);
    for (index, event) in history.iter().enumerate() {
        world.take(event);
        let last_of_revision = history
            .get(index + 1)
            .is_none_or(|next| next.revision != event.revision);
        if !last_of_revision || !is_of_interest(&event.key) {
            continue;
        }
        for (key, policy) in &world.policies {
            looks += 1;
            if let Err(what) = world.check(policy) {
                breaches.push(Breach {
                    revision: event.revision,
                    policy: key.clone(),
                    what,
                });
            }
        }
    }
    (breaches, looks)
}

#[derive(Default)]
struct World {
    policies: BTreeMap<String, Value>,
    jobs: BTreeMap<String, Value>,
    grants: BTreeMap<String, Value>,
}

fn is_of_interest(key: &str) -> bool {
    ["/networkpolicies/", "/jobs/", "/datasharinggrants/"]
        .iter()
        .any(|kind| key.contains(kind))
}

impl World {
    fn take(&mut self, event: &Event) {
        let map = if event.key.contains("/networkpolicies/") {
            &mut self.policies
        } else if event.key.contains("/jobs/") {
            &mut self.jobs
        } else if event.key.contains("/datasharinggrants/") {
            &mut self.grants
        } else {
            return;
        };
        match event.object() {
            // Only paths are looked at; the floor has no timer.
            Some(object)
                if event.key.contains("/networkpolicies/") && part(object) != Some("path") =>
            {
                map.remove(&event.key);
            }
            Some(object) => {
                map.insert(event.key.clone(), object.clone());
            }
            None => {
                map.remove(&event.key);
            }
        }
    }

    fn check(&self, policy: &Value) -> Result<(), String> {
        let owners = policy["metadata"]["ownerReferences"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let [owner] = owners.as_slice() else {
            return Err(format!("{} owners", owners.len()));
        };
        let job = self
            .jobs
            .values()
            .find(|job| job["metadata"]["uid"] == owner["uid"])
            .ok_or("its owner does not exist")?;
        let started = instant(&job["status"]["startTime"]).ok_or("its timer was not started")?;
        let seconds = job["spec"]["activeDeadlineSeconds"]
            .as_i64()
            .ok_or("its timer has no deadline")?;
        let deadline = started
            .checked_add(SignedDuration::from_secs(seconds))
            .map_err(|error| error.to_string())?;
        let uid = &policy["metadata"]["labels"]["privacy.cloudnexus.io/grant-uid"];
        let grant = self
            .grants
            .values()
            .find(|grant| &grant["metadata"]["uid"] == uid);
        let end = match grant {
            Some(grant) => {
                instant(&grant["status"]["closesAt"]).ok_or("no end is stored in the grant")?
            }
            None => instant(&job["metadata"]["annotations"]["privacy.cloudnexus.io/closes-at"])
                .ok_or("no end anywhere")?,
        };
        if deadline <= end {
            Ok(())
        } else {
            Err(format!("its timer ends at {deadline}, after {end}"))
        }
    }
}

fn part(object: &Value) -> Option<&str> {
    object["metadata"]["labels"]["privacy.cloudnexus.io/part"].as_str()
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

mod tests {
    use serde_json::json;
    use testbed::history::Change;

    use super::*;

    fn put(revision: u64, kind: &str, object: Value) -> Event {
        Event {
            revision,
            key: format!("/registry/{kind}/acme/x"),
            change: Change::Put(object),
        }
    }

    fn gone(revision: u64, kind: &str) -> Event {
        Event {
            revision,
            key: format!("/registry/{kind}/acme/x"),
            change: Change::Delete,
        }
    }

    fn grant() -> Event {
        put(
            1,
            "datasharinggrants",
            json!({ "metadata": { "uid": "g" }, "status": { "closesAt": "2026-11-23T00:01:00Z" } }),
        )
    }

    fn job(revision: u64, started: bool, seconds: i64) -> Event {
        let status = if started {
            json!({ "startTime": "2026-11-23T00:00:00Z" })
        } else {
            json!({})
        };
        put(
            revision,
            "jobs",
            json!({ "metadata": { "uid": "j" }, "spec": { "activeDeadlineSeconds": seconds }, "status": status }),
        )
    }

    fn path(revision: u64, owners: Value) -> Event {
        let labels =
            json!({ "privacy.cloudnexus.io/part": "path", "privacy.cloudnexus.io/grant-uid": "g" });
        put(
            revision,
            "networkpolicies",
            json!({ "metadata": { "labels": labels, "ownerReferences": owners } }),
        )
    }

    fn breaches(history: &[Event]) -> Vec<(u64, String)> {
        replay(history)
            .0
            .into_iter()
            .map(|breach| (breach.revision, breach.what))
            .collect()
    }

    #[test]
    fn a_path_that_is_held_as_it_must_be_is_no_breach() {
        let history = [
            grant(),
            job(2, true, 60),
            path(3, json!([{ "uid": "j" }])),
            gone(4, "networkpolicies"),
            gone(5, "jobs"),
        ];
        assert_eq!(breaches(&history), []);
        assert_eq!(replay(&history).1, 1);
    }

    #[test]
    fn every_way_of_standing_unheld_is_a_breach() {
        let owner = || json!([{ "uid": "j" }]);
        assert_eq!(
            breaches(&[grant(), job(2, true, 60), path(3, json!([]))])[0].1,
            "0 owners"
        );
        assert_eq!(
            breaches(&[
                grant(),
                job(2, true, 60),
                path(3, json!([{ "uid": "j" }, { "uid": "k" }]))
            ])[0]
                .1,
            "2 owners"
        );
        assert_eq!(
            breaches(&[grant(), path(3, owner())])[0].1,
            "its owner does not exist"
        );
        assert_eq!(
            breaches(&[grant(), job(2, false, 60), path(3, owner())])[0].1,
            "its timer was not started"
        );
        assert!(
            breaches(&[grant(), job(2, true, 61), path(3, owner())])[0]
                .1
                .starts_with("its timer ends at")
        );
        assert_eq!(
            breaches(&[grant(), job(2, true, 60), path(3, owner()), gone(4, "jobs")])[0].0,
            4
        );
        assert!(
            breaches(&[
                grant(),
                job(2, true, 60),
                path(3, owner()),
                job(4, true, 90)
            ])[0]
                .1
                .starts_with("its timer ends at")
        );
    }
}
