//! The planner and the oracle agree on who goes, on what keeps the rest, and from where on guards let go.

use std::collections::{BTreeMap, BTreeSet};

use covenant::plan::{Plan, Withheld};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::Value;
use testbed::effort::cases;

use crate::cluster::Cluster;
use crate::oracle::calendar;
use crate::oracle::retention::{Keeps, Namespace, Verdict};
use crate::worlds::{NAMESPACE, scene};

pub fn verdict(cluster: &Cluster) -> Verdict {
    Namespace::new(cluster.objects.values(), NAMESPACE, &cluster.known).disposals()
}

/// What the planner wants gone now: uid and the policy's name.
pub fn proposed(planned: &Plan) -> BTreeMap<String, String> {
    let mut proposed = BTreeMap::new();
    for candidate in Cluster::runs(planned)
        .into_iter()
        .flat_map(|run| &run.candidates)
    {
        let twice = proposed.insert(candidate.uid.clone(), candidate.policy.name.clone());
        assert_eq!(twice, None, "{} twice", candidate.uid);
    }
    proposed
}

fn named(withheld: &Withheld) -> Keeps {
    match withheld {
        Withheld::Hold { .. } => Keeps::Hold,
        Withheld::NotInForce => Keeps::Standing,
        Withheld::Minimum(_) => Keeps::Minimum,
        Withheld::ManagedElsewhere(_) => Keeps::Elsewhere,
        Withheld::Owner => Keeps::Owner,
        Withheld::Grace(_) => Keeps::Grace,
        Withheld::Limit { .. } => Keeps::Limit,
        Withheld::Otherwise(_) => Keeps::Otherwise,
    }
}

/// What a policy's stored status counts: due now, and withheld by each reason in the order in which they are asked.
fn counted(status: &Value) -> Option<[i64; 8]> {
    let withheld = status.get("withheld")?;
    let number = |field: &str| withheld[field].as_i64().unwrap_or(0);
    Some([
        status["due"]["now"].as_i64().unwrap_or(0),
        number("byHold"),
        number("byMinimum"),
        number("managedElsewhere"),
        number("byOwner"),
        number("byGrace"),
        number("byLimit"),
        number("otherwise"),
    ])
}

fn says_that_its_limit_is_exceeded(policy: &Value) -> bool {
    let conditions = policy["status"]["conditions"].as_array();
    let exceeded =
        |condition: &Value| condition["type"] == "LimitExceeded" && condition["status"] == "True";
    conditions.into_iter().flatten().any(exceeded)
}

fn expected(verdict: &Verdict, policy: &str) -> [i64; 8] {
    let of = |keeps: &[Keeps]| {
        let kept = verdict
            .kept
            .get(policy)
            .into_iter()
            .flat_map(BTreeMap::values);
        i64::try_from(kept.filter(|one| keeps.contains(one)).count()).unwrap()
    };
    let due = verdict.due.get(policy).map_or(0, BTreeSet::len);
    [
        i64::try_from(due).unwrap(),
        of(&[Keeps::Hold]),
        of(&[Keeps::Minimum]),
        of(&[Keeps::Elsewhere]),
        of(&[Keeps::Owner]),
        of(&[Keeps::Grace]),
        of(&[Keeps::Limit]),
        of(&[Keeps::Standing, Keeps::Otherwise]),
    ]
}

/// What the planner has guards read against what the oracle says that it may: nothing that was free before is kept again, none
/// is freed that must be kept, and none that may be freed waits.
fn boundaries_are_right(
    cluster: &Cluster,
    before: &BTreeMap<String, Option<i64>>,
) -> Result<(), TestCaseError> {
    let here = Namespace::new(cluster.objects.values(), NAMESPACE, &cluster.known);
    let after = stored_boundaries(cluster);
    if !here.is_in_force() {
        return Ok(());
    }
    let mut expected = BTreeMap::new();
    for (rule, past) in here.boundaries() {
        expected.insert(rule.to_string(), past);
    }
    for (rule, at) in &after {
        let stays = here.is_of_unreadable(rule);
        prop_assert!(
            expected.contains_key(rule) || (stays && before.get(rule) == Some(at)),
            "{} is nobody's\n{}",
            rule,
            cluster.told()
        );
    }
    for (rule, past) in expected {
        let (known, now) = (
            before.get(&rule).copied().flatten(),
            after.get(&rule).copied(),
        );
        prop_assert!(now.is_some(), "{} lacks\n{}", rule, cluster.told());
        let now = now.flatten();
        if cluster.known.clock_doubted {
            prop_assert_eq!(now, known, "{}", rule);
            continue;
        }
        prop_assert!(
            now >= known,
            "{} goes back from {:?} to {:?}",
            rule,
            known,
            now
        );
        prop_assert!(
            now <= past.max(known),
            "{} is at {:?}, past {:?}\n{}",
            rule,
            now,
            past,
            cluster.told()
        );
        if known.is_none() {
            prop_assert_eq!(now, past, "{} begins\n{}", rule, cluster.told());
        }
        // What cannot be seen is freed once a day.
        let parsed: Value = serde_json::from_str(&rule).unwrap();
        if cluster
            .known
            .unread
            .iter()
            .any(|(_, kind)| parsed["kind"] == kind.as_str())
        {
            continue;
        }
        let waits = here.freed_between(&rule, now, past);
        prop_assert!(
            waits.is_empty(),
            "{} keeps {:?} that may go\n{}",
            rule,
            waits,
            cluster.told()
        );
    }
    Ok(())
}

/// By everything that a rule says but for how far it has come.
pub fn stored_boundaries(cluster: &Cluster) -> BTreeMap<String, Option<i64>> {
    let all = cluster
        .objects
        .values()
        .filter(|object| object["kind"] == "GuardParameters");
    let rules = all.flat_map(|object| {
        object["spec"]["retention"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    rules
        .map(|mut rule| {
            let at = rule.as_object_mut().unwrap().remove("startedBefore");
            let at = at.and_then(|at| calendar::instant(at.as_str()?));
            (rule.to_string(), at)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(2000)) })]

    #[test]
    fn who_goes_what_keeps_the_rest_and_what_guards_let_go_is_what_the_oracle_says(scene in scene()) {
        let mut cluster = Cluster::new(&scene);
        let before = stored_boundaries(&cluster);
        let planned = cluster.settle();
        boundaries_are_right(&cluster, &before)?;
        let verdict = verdict(&cluster);
        prop_assert_eq!(proposed(&planned), verdict.goes.clone(), "{:?}\n{}", verdict, cluster.told());
        for (name, raw) in cluster.policies() {
            if let Some(counted) = counted(&raw["status"]) {
                prop_assert_eq!(counted, expected(&verdict, &name), "{}: {:?}\n{}", name, verdict, cluster.told());
                let tripped = verdict.tripped.contains(&name);
                prop_assert_eq!(says_that_its_limit_is_exceeded(raw), tripped, "{}: {:?}\n{}", name, verdict, cluster.told());
            }
        }
        for (raw, fate) in cluster.fates() {
            let judged = |name: &String| counted(&cluster.policies()[name]["status"]).is_some();
            let Some(by) = fate.goes_by.as_ref().filter(|by| judged(&by.name)) else {
                continue;
            };
            let kept = verdict.kept.get(&by.name).and_then(|kept| kept.get(&fate.uid)).copied();
            let due = verdict.due.get(&by.name).is_some_and(|due| due.contains(&fate.uid));
            let told = || format!("{raw} by {}: {fate:?}\n{verdict:?}\n{}", by.name, cluster.told());
            // A hold is told of before the maximum has passed, too.
            if kept.is_some() || due {
                prop_assert_eq!(fate.withheld.as_ref().map(named), kept, "{}", told());
            }
            prop_assert!(!due || fate.goes_at.is_some_and(|at| at <= cluster.now()), "{}", told());
        }
    }
}
