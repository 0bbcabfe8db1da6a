//! What earlier processes disposed of within the last day, read back from the ledger, so that the limit of a day and the
//! totals go on where they were.
//!
//! May not: count an object twice, or leave one out whose deletion was accepted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::ledger::{Entry, EntryKind, Phase, Reader, Violation};
use crate::model::{LastRun, RunResult};
use crate::record;

/// So much counts for the limit of a day.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Entries that are read at once, backwards.
const STEP: u64 = 4096;
/// What went within the same span counts as one run.
const SPAN: i64 = 60;

/// An object whose deletion was accepted.
struct Gone {
    namespace: String,
    policy: String,
    /// When that was first said.
    at: Timestamp,
    /// Where its intent is; none: before what was read.
    intent: Option<u64>,
}

/// The runs of the last day, oldest first. `last`: what the statuses of the policies tell of, by uid; what went up to there is
/// in their totals. `own`: ids that begin so are of this process, which knows of its runs by itself.
///
/// # Errors
/// When the ledger cannot be read.
pub fn runs(
    reader: &Reader,
    size: u64,
    own: &str,
    last: &BTreeMap<String, LastRun>,
    now: Timestamp,
) -> Result<Vec<RunResult>, Violation> {
    let counts = |at: Timestamp| now.duration_since(at) < DAY;
    let mut gone: BTreeMap<String, Gone> = BTreeMap::new();
    let mut end = size;
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        let mut any = false;
        let mut intents = Vec::new();
        for record in reader.entries(begin..end) {
            let record = record?;
            let Ok(entry) = record.entry else { continue };
            any |= counts(entry.time);
            take(&mut gone, &mut intents, record.index, entry, own);
        }
        for (id, index) in intents {
            if let Some(gone) = gone.get_mut(&id) {
                gone.intent = Some(index);
            }
        }
        // Only a clock that was set back puts an older entry behind a newer one, and nothing goes while it is wrong.
        if !any {
            break;
        }
        end = begin;
    }
    Ok(grouped(gone.into_values(), last, counts))
}

fn take(
    gone: &mut BTreeMap<String, Gone>,
    intents: &mut Vec<(String, u64)>,
    index: u64,
    entry: Entry,
    own: &str,
) {
    if entry.kind != EntryKind::Disposal {
        return;
    }
    match &entry.phase {
        Phase::Intent => intents.push((entry.id, index)),
        Phase::Outcome { intent, .. }
            if record::is_disposed(&entry) && !intent.starts_with(own) =>
        {
            let at = entry.time;
            let known = gone.entry(intent.clone()).or_insert_with(|| Gone {
                namespace: entry.subject.namespace.unwrap_or_default(),
                policy: entry.cause.map(|cause| cause.uid).unwrap_or_default(),
                at,
                intent: None,
            });
            known.at = known.at.min(at);
        }
        Phase::Outcome { .. } | Phase::Fact => {}
    }
}

fn grouped(
    gone: impl Iterator<Item = Gone>,
    last: &BTreeMap<String, LastRun>,
    counts: impl Fn(Timestamp) -> bool,
) -> Vec<RunResult> {
    let mut groups: BTreeMap<(i64, bool, String, String), RunResult> = BTreeMap::new();
    for one in gone {
        let last = last.get(&one.policy);
        let told = last.filter(|last| one.intent.is_none_or(|intent| intent <= last.to));
        // What a status contains is not later than what it says.
        let at = told.map_or(one.at, |last| one.at.min(last.at));
        if !counts(at) {
            continue;
        }
        let key = (
            at.as_second().div_euclid(SPAN),
            told.is_none(),
            one.namespace.clone(),
            one.policy.clone(),
        );
        let run = groups.entry(key).or_insert_with(|| RunResult {
            namespace: one.namespace,
            at,
            policies: BTreeMap::new(),
            refused: Vec::new(),
        });
        run.at = run.at.max(at);
        run.policies
            .entry(one.policy)
            .or_default()
            .count(one.intent);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::ledger::{Cause, DirectoryStore, Ledger, SigningKey, Subject};

    const ORIGIN: &str = "ledger.example.com/past";
    const OWN: &str = "own-";

    fn ago(hours: i64) -> Timestamp {
        let now: Timestamp = "2027-06-01T12:00:00Z".parse().unwrap();
        now.checked_sub(SignedDuration::from_hours(hours)).unwrap()
    }

    fn entry(id: String, at: Timestamp, phase: Phase, detail: serde_json::Value) -> Entry {
        Entry {
            id,
            time: at,
            kind: EntryKind::Disposal,
            subject: Subject {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                namespace: Some("acme-prod".to_owned()),
                uid: "object".to_owned(),
            },
            tenant: Some("acme".to_owned()),
            phase,
            cause: Some(Cause {
                kind: "RetentionPolicy".to_owned(),
                name: "logs".to_owned(),
                uid: "policy".to_owned(),
                generation: 1,
            }),
            actor: None,
            policy: None,
            detail: detail.as_object().unwrap().clone(),
        }
    }

    fn intent(name: &str, at: Timestamp) -> Entry {
        entry(format!("{name}-i"), at, Phase::Intent, json!({}))
    }

    fn outcome(name: &str, at: Timestamp, result: &str) -> Entry {
        let phase = Phase::Outcome {
            intent: format!("{name}-i"),
            settled: result == record::DELETED,
        };
        entry(
            format!("{name}-{result}"),
            at,
            phase,
            json!({ "result": result }),
        )
    }

    /// How many went, from and to which entry, of each run that is told.
    fn told(entries: &[Entry], last: Option<(u64, i64)>) -> Vec<(i64, Option<(u64, u64)>)> {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::create(folder.path()).unwrap());
        let key = SigningKey::generate(ORIGIN, [7; 32]).unwrap();
        let (mut ledger, _) = Ledger::open(store, key, ORIGIN).unwrap();
        ledger.append(entries).unwrap();
        let last = last.map(|(to, hours)| {
            let at = ago(hours);
            ("policy".to_owned(), LastRun { at, to })
        });
        let (reader, size) = (ledger.reader(), ledger.head().size);
        let runs = runs(&reader, size, OWN, &last.into_iter().collect(), ago(0)).unwrap();
        let part = |run: &RunResult| {
            assert_eq!(run.namespace, "acme-prod");
            let part = &run.policies["policy"];
            (part.disposed, part.ledger)
        };
        runs.iter().map(part).collect()
    }

    #[test]
    fn what_went_within_a_day_is_told_and_nothing_else() {
        let entries = [
            intent("old", ago(26)),
            outcome("old", ago(25), record::DELETED),
            intent("kept", ago(3)),
            outcome("kept", ago(3), "not deleted: refused"),
            intent("one", ago(3)),
            intent("two", ago(3)),
            outcome("one", ago(3), record::DELETED),
            outcome("two", ago(3), record::DELETED),
            intent("unknown", ago(2)),
            outcome("unknown", ago(2), "not known"),
            intent("own-three", ago(0)),
            outcome("own-three", ago(0), record::DELETED),
        ];
        assert_eq!(told(&entries, None), [(2, Some((4, 5)))]);
    }

    #[test]
    fn what_was_accepted_counts_once_and_then() {
        let entries = [
            intent("one", ago(30)),
            outcome("one", ago(30), record::ACCEPTED),
            outcome("one", ago(1), record::DELETED),
            intent("two", ago(20)),
            outcome("two", ago(20), record::ACCEPTED),
            outcome("two", ago(1), record::DELETED),
        ];
        assert_eq!(told(&entries, None), [(1, Some((3, 3)))]);
    }

    #[test]
    fn what_a_status_contains_is_told_apart_from_what_it_does_not() {
        let entries = [
            intent("one", ago(2)),
            intent("two", ago(2)),
            outcome("one", ago(2), record::DELETED),
            outcome("two", ago(2), record::DELETED),
        ];
        let contained = told(&entries, Some((0, 2)));
        assert_eq!(contained, [(1, Some((0, 0))), (1, Some((1, 1)))]);
        assert_eq!(told(&entries, Some((1, 2))), [(2, Some((0, 1)))]);
    }

    #[test]
    fn an_intent_thousands_of_entries_before_its_outcome_is_found() {
        let mut entries = vec![intent("one", ago(2))];
        let others = (0..3 * STEP).map(|number| intent(&format!("other-{number}"), ago(2)));
        entries.extend(others);
        entries.push(outcome("one", ago(2), record::DELETED));
        assert_eq!(told(&entries, None), [(1, Some((0, 0)))]);
    }
}
