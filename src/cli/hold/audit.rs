//! What holds have refused, out of an API server's audit log: also what people tried, of which no event tells.
//!
//! May not: keep the log in memory, however long it is, or take a line that it cannot read for one that says nothing: such
//! lines are counted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::model::ObjectKey;
use crate::render::Refused;

/// Longest line that is read; what is behind that of a line is passed over.
const LONGEST_LINE: u64 = 1 << 20;
/// Objects that are told of one by one for a hold; further ones are added up.
const MOST: usize = 1_000;
/// What further objects are called.
const OTHERS: &str = "others";

/// Refusals by hold and by object.
#[derive(Debug, Default)]
pub(super) struct Audited {
    by_hold: BTreeMap<String, BTreeMap<String, Refused>>,
    unreadable: usize,
}

impl Audited {
    /// Reads a log.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read to its end.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("no audit log at {shown}"))?;
        let mut audited = Self::default();
        audited
            .take(BufReader::new(file))
            .with_context(|| format!("the audit log {shown} cannot be read to its end"))?;
        if audited.unreadable > 0 {
            anstream::eprintln!(
                "warning: {} lines of {shown} are no audit events, and tell nothing",
                audited.unreadable
            );
        }
        Ok(audited)
    }

    /// What this hold refused.
    pub(super) fn of(&self, hold: &ObjectKey) -> Vec<Refused> {
        let refused = self.by_hold.get(&hold.to_string());
        refused
            .into_iter()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    fn take(&mut self, mut log: impl BufRead) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if log
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Ok(());
            }
            if line.last() != Some(&b'\n') {
                skip_line(&mut log)?;
            }
            // Most lines are about something else, and need not be read.
            if !line
                .windows(MARK.len())
                .any(|window| window == MARK.as_bytes())
            {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(event) => self.event(&event),
                Err(_) => self.unreadable += 1,
            }
        }
    }

    fn event(&mut self, event: &Value) {
        let said = event["responseStatus"]["message"]
            .as_str()
            .unwrap_or_default();
        let refused = event["responseStatus"]["code"]
            .as_u64()
            .is_some_and(|code| code == 403 || code == 422);
        // A request is written down at several stages; at the last of them its answer is known.
        let over = event["stage"] == "ResponseComplete";
        let Some((said, hold)) = of_a_hold(said).filter(|_| refused && over) else {
            return;
        };
        let object = object_of(said);
        let objects = self.by_hold.entry(hold.to_owned()).or_default();
        let object = if objects.len() >= MOST && !objects.contains_key(&object) {
            OTHERS.to_owned()
        } else {
            object
        };
        let last: Option<Timestamp> = event["stageTimestamp"]
            .as_str()
            .and_then(|text| text.parse().ok());
        let refused = objects.entry(object.clone()).or_insert_with(|| Refused {
            object,
            said: String::new(),
            count: 0,
            last: None,
        });
        refused.count += 1;
        if refused.said.is_empty() || last >= refused.last {
            refused.said = said.trim().to_owned();
            refused.last = last;
        }
    }
}

const MARK: &str = "[ProcessingHold ";

/// What was said of a refusal, and in the name of which hold.
fn of_a_hold(message: &str) -> Option<(&str, &str)> {
    let (said, name) = message.split_once(MARK)?;
    let (hold, _) = name.split_once(']')?;
    let said = said
        .split_once("denied request: ")
        .map_or(said, |(_, said)| said);
    Some((said, hold))
}

/// A refusal begins with the kind, the namespace and the name of its object.
fn object_of(said: &str) -> String {
    let mut words = said.split_whitespace();
    let kind = words.next().unwrap_or("?");
    let name = words.next().unwrap_or("?");
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    format!("{kind}/{name}")
}

fn skip_line(log: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = log.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                log.consume(end + 1);
                return Ok(());
            }
            None => {
                let length = buffer.len();
                log.consume(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use serde_json::json;

    use super::*;

    fn line(stage: &str, code: u16, object: &str, user: &str, hold: &str, at: &str) -> String {
        let message = format!(
            "x \"a\" is forbidden: ValidatingAdmissionPolicy 'covenant-holds' with binding 'covenant-holds' denied request: {object} is under ProcessingHold {hold} (PreventDeletion): {user} may not DELETE it. [ProcessingHold {hold}]"
        );
        let event = json!({
            "stage": stage, "stageTimestamp": at, "responseStatus": { "code": code, "message": message }
        });
        format!("{event}\n")
    }

    fn audited(log: &str) -> Audited {
        let mut audited = Audited::default();
        audited.take(log.as_bytes()).unwrap();
        audited
    }

    #[test]
    fn refusals_of_a_hold_are_told_by_object_with_the_latest_words() {
        let (hold, early, late) = (
            "acme/case-1",
            "2026-11-24T10:00:00Z",
            "2026-11-24T11:00:00Z",
        );
        let log = [
            line(
                "ResponseComplete",
                403,
                "ConfigMap acme/ledger",
                "gitops",
                hold,
                late,
            ),
            line(
                "ResponseComplete",
                403,
                "ConfigMap acme/ledger",
                "somebody",
                hold,
                early,
            ),
            line(
                "RequestReceived",
                403,
                "ConfigMap acme/ledger",
                "somebody",
                hold,
                early,
            ),
            line(
                "ResponseComplete",
                200,
                "ConfigMap acme/ledger",
                "somebody",
                hold,
                early,
            ),
            line(
                "ResponseComplete",
                403,
                "Namespace acme",
                "somebody",
                hold,
                early,
            ),
            line(
                "ResponseComplete",
                403,
                "Secret acme/key",
                "somebody",
                "acme/case-2",
                early,
            ),
            "{\"message\": \"[ProcessingHold torn\n".to_owned(),
            "nothing\n".to_owned(),
        ]
        .concat();
        let audited = audited(&log);
        let told: Vec<(String, i64)> = audited
            .of(&ObjectKey::new("acme", "case-1"))
            .into_iter()
            .map(|refused| (refused.object, refused.count))
            .collect();
        let expected = [("ConfigMap/ledger", 2), ("Namespace/acme", 1)];
        assert_eq!(
            told,
            expected.map(|(object, count)| (object.to_owned(), count))
        );
        let ledger = &audited.of(&ObjectKey::new("acme", "case-1"))[0];
        assert!(
            ledger.said.contains("gitops may not DELETE it"),
            "{ledger:?}"
        );
        assert_eq!(ledger.last, Some(late.parse().unwrap()));
        assert_eq!(audited.of(&ObjectKey::new("acme", "case-2")).len(), 1);
        assert_eq!(audited.of(&ObjectKey::new("acme", "case-3")), []);
        assert_eq!(audited.unreadable, 1);
    }

    #[test]
    fn a_log_without_end_takes_bounded_memory() {
        let hold = "acme/case-1";
        let at = "2026-11-24T10:00:00Z";
        let mut log: String = (0..MOST + 5)
            .map(|number| {
                let object = format!("ConfigMap acme/c{number}");
                line("ResponseComplete", 403, &object, "somebody", hold, at)
            })
            .collect();
        // A line that is longer than any event, with one behind it.
        log.push_str(&"x".repeat(usize::try_from(LONGEST_LINE).unwrap() * 3));
        log.push('\n');
        log.push_str(&line(
            "ResponseComplete",
            403,
            "Secret acme/last",
            "somebody",
            hold,
            at,
        ));
        let told = audited(&log).of(&ObjectKey::new("acme", "case-1"));
        assert_eq!(told.len(), MOST + 1);
        let others = told
            .iter()
            .find(|refused| refused.object == OTHERS)
            .unwrap();
        assert_eq!(others.count, 6);
    }
}
