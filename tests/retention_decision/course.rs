//! The laws over the course of time: runs are carried out, objects come, go, are renewed and edited, holds and edits arrive
//! between decision and delete, the operator starts anew, and the clock goes on.

use std::collections::{BTreeMap, BTreeSet};

use covenant::diff::diff;
use covenant::plan::plan;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use testbed::effort::cases;

use crate::agreement::{stored_boundaries, verdict};
use crate::cluster::{Cluster, text, unit};
use crate::oracle::calendar;
use crate::oracle::retention::Namespace;
use crate::worlds::{NAMESPACE, Scene, hold, instant, item, objects};

const DAY: i64 = 86_400;

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    /// Nothing but time: to the planned instant, and so many seconds before it or after it.
    Planned(i64),
    /// Time goes on, whatever was planned.
    Pass(i64),
    /// The clock is set back.
    Back(i64),
    /// An object of this number is made, or made anew with the same name.
    Made(usize, Value),
    /// It gets another label, so that it is another version.
    Labelled(usize),
    /// A hold arrives, or another scope of it.
    Held(Value),
    /// It goes.
    Freed,
    /// A policy is edited: another period, or another mode.
    Edited(&'static str, &'static str, &'static str),
    /// Its limit is lifted for so many more.
    Lifted(&'static str, i64),
    /// The operator starts anew, and remembers nothing.
    Restarted,
    /// It comes between a decision and its deletes.
    Raced(Box<Event>),
}

fn event(now: i64) -> BoxedStrategy<Event> {
    let edit = (
        select(vec!["first", "second"]),
        select(vec!["atLeast", "atMost", "mode"]),
        select(vec!["PT1H", "P1D", "P1M", "P1Y"]),
    );
    let arrives = prop_oneof![
        3 => (0..8_usize).prop_flat_map(move |index| item(index, now).prop_map(move |item| Event::Made(index, item))),
        2 => (0..8_usize).prop_map(Event::Labelled),
        2 => hold().prop_map(Event::Held),
        1 => Just(Event::Freed),
        2 => edit.prop_map(|(policy, what, value)| Event::Edited(policy, what, value)),
    ]
    .boxed();
    prop_oneof![
        6 => select(vec![0, 0, 0, -1, 1]).prop_map(Event::Planned),
        3 => select(vec![1, 3600, DAY, DAY, 31 * DAY, 366 * DAY]).prop_map(Event::Pass),
        1 => select(vec![1, 3600, 40 * DAY]).prop_map(Event::Back),
        2 => (select(vec!["first", "second"]), 1..5_i64).prop_map(|(policy, more)| Event::Lifted(policy, more)),
        1 => Just(Event::Restarted),
        8 => arrives.clone(),
        4 => arrives.prop_map(|event| Event::Raced(Box::new(event))),
    ]
    .boxed()
}

/// What was seen on the way.
#[derive(Default)]
struct Seen {
    gone: BTreeSet<String>,
    boundaries: BTreeMap<String, Option<i64>>,
    version: u64,
}

impl Cluster {
    fn happen(&mut self, seen: &mut Seen, event: &Event) {
        match event {
            Event::Planned(off) => {
                let next = self
                    .plan()
                    .next
                    .map_or(self.known.now, |next| seconds_up(next) + off);
                self.known.now = next.max(self.known.now);
            }
            Event::Pass(by) => self.known.now += by,
            Event::Back(by) => self.known.now -= by,
            Event::Made(index, item) => {
                let mut item = item.clone();
                self.remove(&format!("log-{index}"));
                seen.version += 1;
                item["metadata"]["uid"] = json!(format!("item-{index}-{}", seen.version));
                item["metadata"]["resourceVersion"] = json!(format!("made-{}", seen.version));
                self.put(item);
            }
            Event::Labelled(index) => {
                let name = format!("log-{index}");
                let Some(mut raw) = self.named(&name) else {
                    return;
                };
                seen.version += 1;
                raw["metadata"]["resourceVersion"] = json!(format!("labelled-{}", seen.version));
                raw["metadata"]["labels"]["tier"] = json!("cold");
                self.put(raw);
            }
            Event::Held(hold) => self.put(hold.clone()),
            Event::Freed => self.drop_hold("case-1"),
            Event::Edited(name, what, value) => {
                let Some(mut raw) = self.policies().get(*name).map(|raw| (*raw).clone()) else {
                    return;
                };
                match (*what, raw["spec"]["disposal"]["mode"].as_str()) {
                    ("mode", Some("Dispose")) => {
                        raw["spec"]["disposal"] = json!({ "mode": "Preview" })
                    }
                    ("mode", _) => raw["spec"]["disposal"] = json!({ "mode": "Dispose" }),
                    (period, _) => {
                        if !raw["spec"]["keep"].is_object() {
                            raw["spec"]["keep"] = json!({});
                        }
                        raw["spec"]["keep"][period] = json!(value);
                    }
                }
                if raw["spec"]["disposal"].is_null() {
                    raw["spec"].as_object_mut().unwrap().remove("disposal");
                }
                raw["metadata"]["generation"] =
                    json!(raw["metadata"]["generation"].as_i64().unwrap() + 1);
                self.put(raw);
            }
            Event::Lifted(name, more) => {
                let Some(mut raw) = self.policies().get(*name).map(|raw| (*raw).clone()) else {
                    return;
                };
                let total = raw
                    .pointer("/status/disposed/total")
                    .and_then(Value::as_i64)
                    .unwrap_or(0);
                let decision = json!({
                    "type": "LimitLifted", "by": "officer", "reason": "seen",
                    "generation": raw["metadata"]["generation"], "untilTotal": total + more,
                });
                raw["status"]["decisions"] = json!([decision]);
                self.put(raw);
            }
            Event::Restarted => self.restart(),
            Event::Raced(event) => self.happen(seen, event),
        }
    }
}

/// The first whole second at or after an instant.
fn seconds_up(at: Timestamp) -> i64 {
    at.as_second() + i64::from(at.subsec_nanosecond() > 0)
}

/// What may go of a policy in one run, and of all within a day.
fn within_the_limits(
    here: &Namespace,
    gone: &[(String, Value)],
    told: &str,
) -> Result<(), TestCaseError> {
    let mut by_policy: BTreeMap<&str, i64> = BTreeMap::new();
    for (policy, _) in gone {
        *by_policy.entry(policy).or_default() += 1;
    }
    let may = here.may_dispose();
    for (policy, number) in by_policy {
        prop_assert!(
            number <= may[policy],
            "{} of {} went, {} may\n{}",
            number,
            policy,
            may[policy],
            told
        );
    }
    Ok(())
}

/// Plans, writes and carries out what is due, and holds every object that goes against the oracle as it is stored then.
fn run(
    cluster: &mut Cluster,
    seen: &mut Seen,
    between: Option<&Event>,
) -> Result<(), TestCaseError> {
    let planned = cluster.settle();
    let expected = verdict(cluster).goes;
    if let Some(event) = between {
        cluster.happen(seen, event);
    }
    let (stored, known, told) = (
        cluster.objects.clone(),
        cluster.known.clone(),
        cluster.told(),
    );
    let gone = cluster.dispose(&planned);
    let here = Namespace::new(stored.values(), NAMESPACE, &known);
    for (policy, raw) in &gone {
        let uid = text(raw, "/metadata/uid").to_owned();
        prop_assert!(
            !here.is_kept_longer(raw),
            "{} went by {} before a minimum\n{}",
            raw,
            policy,
            told
        );
        prop_assert!(
            !here.is_held(raw),
            "{} went by {} under a hold\n{}",
            raw,
            policy,
            told
        );
        prop_assert!(
            !here.is_guarded(raw),
            "{} went by {} past the guards\n{}",
            raw,
            policy,
            told
        );
        prop_assert!(seen.gone.insert(uid.clone()), "{} went twice", uid);
    }
    if between.is_none() {
        let uids: BTreeMap<String, String> = gone
            .iter()
            .map(|(policy, raw)| (text(raw, "/metadata/uid").to_owned(), policy.clone()))
            .collect();
        prop_assert_eq!(uids, expected, "{}", told);
        within_the_limits(&here, &gone, &told)?;
    }
    let boundaries = stored_boundaries(cluster);
    for (rule, at) in &boundaries {
        if let Some(known) = seen.boundaries.get(rule) {
            prop_assert!(
                at >= known,
                "{} went back from {:?} to {:?}",
                rule,
                known,
                at
            );
        }
    }
    seen.boundaries = boundaries;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(250)) })]

    #[test]
    fn nothing_goes_too_early_under_a_hold_over_the_limit_or_twice_and_no_boundary_goes_back(
        (now, objects, events) in instant().prop_flat_map(|now| (Just(now), objects(now), vec(event(now), 4..14)))
    ) {
        let known = crate::oracle::retention::Known { now, ..Default::default() };
        let mut cluster = Cluster::new(&Scene { objects, known });
        let mut seen = Seen::default();
        run(&mut cluster, &mut seen, None)?;
        for event in &events {
            if let Event::Raced(between) = event {
                run(&mut cluster, &mut seen, Some(between))?;
            } else {
                cluster.happen(&mut seen, event);
            }
            run(&mut cluster, &mut seen, None)?;
        }
    }

    /// Between two planned instants nothing is left to write and nobody goes, so that whoever wakes at each of them is never late.
    #[test]
    fn nothing_becomes_due_between_the_planned_instants(
        (now, objects) in instant().prop_flat_map(|now| (Just(now), objects(now))), places in vec(0..1000_i64, 6)
    ) {
        let known = crate::oracle::retention::Known { now, ..Default::default() };
        let mut cluster = Cluster::new(&Scene { objects, known });
        let mut seen = Seen::default();
        for place in places {
            // What went makes room, and what is counted of it is written.
            let mut planned = cluster.settle();
            while !Cluster::runs(&planned).is_empty() {
                run(&mut cluster, &mut seen, None)?;
                planned = cluster.settle();
            }
            let until = planned.next.map_or(cluster.known.now + 2 * 366 * DAY, seconds_up);
            prop_assert!(until > cluster.known.now, "{:?} is not to come", planned.next);
            let span = until - cluster.known.now - 1;
            for at in [1, span * place / 1000, span].into_iter().filter(|at| (1..=span).contains(at)) {
                let at = cluster.known.now + at;
                let meanwhile = plan(&cluster.world, &unit(), Timestamp::from_second(at).unwrap());
                let changes = diff(&meanwhile, &cluster.world);
                prop_assert!(
                    changes.is_empty() && meanwhile.inquiries.is_empty(),
                    "at {} before {}: {:?} {:?}\n{}", calendar::text(at), calendar::text(until), changes, meanwhile.inquiries, cluster.told()
                );
            }
            cluster.known.now = until;
        }
    }
}
