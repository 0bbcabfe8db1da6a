//! When a Job finished or a Pod ended, by its status.
//!
//! May not: read it otherwise than the guard does (`charts/covenant/guards/retention.yaml`): of several instants the latest counts.

use jiff::Timestamp;
use serde_json::Value;

use super::ResourceKind;

/// When an object completed; none where it has not, or is of another kind.
#[must_use]
pub fn completed(kind: &ResourceKind, object: &Value) -> Option<Timestamp> {
    let instant = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let list = |at: &str| {
        let found = object.pointer(at).and_then(Value::as_array);
        found.into_iter().flatten()
    };
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("batch", "Job") => list("/status/conditions")
            .filter(|condition| {
                matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
                    && condition["status"] == "True"
            })
            .filter_map(|condition| instant(&condition["lastTransitionTime"]))
            .max(),
        ("", "Pod") => {
            let phase = object.pointer("/status/phase").and_then(Value::as_str);
            if !matches!(phase, Some("Succeeded" | "Failed")) {
                return None;
            }
            list("/status/containerStatuses")
                .chain(list("/status/initContainerStatuses"))
                .filter_map(|container| instant(container.pointer("/state/terminated/finishedAt")?))
                .max()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_several_instants_the_latest_counts_and_of_a_running_pod_none() {
        let over = |kind: &str, at: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": at });
        let job = json!({ "status": { "conditions": [
            over("Failed", "2026-11-01T00:00:00Z"), over("Complete", "2026-11-02T00:00:00Z"),
            over("Suspended", "2026-11-03T00:00:00Z")
        ] } });
        let kind = ResourceKind::parse("batch/v1", "Job");
        assert_eq!(completed(&kind, &job), "2026-11-02T00:00:00Z".parse().ok());
        let ended = |at: &str| json!({ "state": { "terminated": { "finishedAt": at } } });
        let pod = |phase: &str| {
            json!({ "status": {
                "phase": phase, "containerStatuses": [ended("2026-11-01T00:00:00Z")],
                "initContainerStatuses": [ended("2026-11-02T00:00:00Z")]
            } })
        };
        let kind = ResourceKind::parse("v1", "Pod");
        assert_eq!(
            completed(&kind, &pod("Failed")),
            "2026-11-02T00:00:00Z".parse().ok()
        );
        assert_eq!(completed(&kind, &pod("Running")), None);
    }
}
