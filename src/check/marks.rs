//! What no mark may be: anything but what an agent reads that is stopped in this namespace, or in the place of somebody else's
//! word.
//!
//! May not: read what guards are told. It asks the baseline which agents there are.

use std::collections::BTreeSet;

use super::{Findings, Rule, in_force};
use crate::api::TelemetryChannel;
use crate::model::{Carried, Kind, Marks, World};
use crate::plan::MarkPlan;

pub(super) fn check(findings: &mut Findings, world: &World, namespace: &str, planned: &[MarkPlan]) {
    for mark in planned {
        let target = &mark.target;
        let mut add = |message: String| findings.add(Rule::MarkNeedsOptOut, target, message);
        let found = match target.kind {
            Kind::Namespace if target.key.name == namespace => world
                .namespace(namespace)
                .map(|known| (known.meta.uid.as_str(), &known.marks)),
            Kind::Pod if target.key.namespace == namespace => world
                .marked_pod(&target.key)
                .map(|known| (&*known.uid, &known.marks)),
            _ => None,
        };
        let Some((uid, marks)) = found else {
            add("it is neither the namespace nor a pod of it that is known".to_owned());
            continue;
        };
        if uid != mark.uid {
            add("another object has this name by now".to_owned());
        }
        let is_pod = target.kind == Kind::Pod;
        for (planned, field) in [
            (&mark.marks.annotations, Field::Annotations),
            (&mark.marks.labels, Field::Labels),
        ] {
            let asked = asked(world, namespace, is_pod, field);
            let carried = field.of(marks);
            for (key, value) in planned {
                let there = carried.get(key);
                let stays = there.is_some_and(|mark| mark.is_ours && *mark.value == **value);
                if !stays && !asked.contains(&(key, value)) {
                    add(format!(
                        "no agent that is stopped here reads {key}: {value}"
                    ));
                }
                if there.is_some_and(|mark| !mark.is_ours) {
                    add(format!("{key} is somebody else's word"));
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Field {
    Annotations,
    Labels,
}

impl Field {
    fn of(self, marks: &Marks) -> &Carried {
        match self {
            Self::Annotations => &marks.annotations,
            Self::Labels => &marks.labels,
        }
    }
}

/// The markers of every agent that is stopped in a namespace.
fn asked<'a>(
    world: &'a World,
    namespace: &str,
    is_pod: bool,
    field: Field,
) -> BTreeSet<(&'a String, &'a String)> {
    let channels: BTreeSet<TelemetryChannel> = world
        .opt_outs_in(namespace)
        .flat_map(|opt_out| opt_out.channels.iter().copied())
        .collect();
    let known = world.namespace(namespace);
    let baseline = known.and_then(|known| world.baseline(&known.baseline));
    let Some(Ok(terms)) = baseline.map(|baseline| &baseline.terms) else {
        return BTreeSet::new();
    };
    let agents = terms.telemetry.agents.iter();
    let stopped =
        agents.filter(|agent| in_force(world, namespace) && channels.contains(&agent.channel));
    let sets = stopped.map(|agent| {
        if is_pod {
            &agent.markers.pods
        } else {
            &agent.markers.namespaces
        }
    });
    sets.flat_map(|set| match field {
        Field::Annotations => &set.annotations,
        Field::Labels => &set.labels,
    })
    .collect()
}
