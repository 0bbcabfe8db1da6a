//! Policies and minimums, as the oracle of retention reads them.

use serde_json::{Value, json};

use super::calendar::{self, Period};
use super::raw::{group, list, readable, selects, starts_at, text};

const DAY: i64 = 86_400;

/// A minimum: what it selects, from when it counts, and how long; without a period it never ends.
pub struct Minimum<'a> {
    pub source: String,
    pub entry: &'a Value,
    pub starts_at: &'a str,
    pub at_least: Option<(&'a str, Option<Period>)>,
}

impl Minimum<'_> {
    pub fn period(&self) -> Option<Period> {
        self.at_least?.1
    }

    /// As guards read it.
    pub fn rule(&self) -> Value {
        let written = self.at_least.map_or("unreadable", |(text, _)| text);
        let mut rule = json!({
            "rule": self.source, "apiGroup": group(text(self.entry, "/apiVersion")), "kind": self.entry["kind"],
            "startsAt": self.starts_at, "atLeast": written,
        });
        for part in ["matchLabels", "namePrefix", "names"] {
            if let Some(value) = self.entry.get(part) {
                rule[part] = value.clone();
            }
        }
        rule
    }
}

pub struct Policy<'a> {
    pub name: &'a str,
    pub raw: &'a Value,
    pub starts_at: &'a str,
    pub at_most: Option<Period>,
    /// Whether all of it can be read. Otherwise nothing goes by it.
    pub is_whole: bool,
    pub disposes: bool,
}

fn is_longer(least: &Period, most: &Period) -> bool {
    // Every day of four years and of a century's turn: what holds on each of them is held to hold always.
    (0..1461)
        .chain(47_000..48_000)
        .all(|day| calendar::add(day * DAY, least) > calendar::add(day * DAY, most))
}

impl<'a> Policy<'a> {
    pub fn read(raw: &'a Value) -> Self {
        let spec = &raw["spec"];
        let least = spec["keep"]
            .get("atLeast")
            .map(|value| value.as_str().and_then(calendar::period));
        let most = spec["keep"]
            .get("atMost")
            .map(|value| value.as_str().and_then(calendar::period));
        let begins = starts_at(spec.get("startsAt"));
        let entries = list(spec, "/select");
        let completes = |entry: &&Value| matches!(text(entry, "/kind"), "Job" | "Pod");
        let mode = spec.pointer("/disposal/mode");
        let is_whole = least != Some(None)
            && most != Some(None)
            && (least.is_some() || most.is_some())
            && begins.is_some()
            && !entries.is_empty()
            && entries.iter().all(|entry| readable(entry))
            && (begins != Some("CompletedAt") || entries.iter().all(completes))
            && !text(spec, "/basis").is_empty()
            && !text(spec, "/dataCategory").is_empty()
            && (spec.get("disposal").is_none()
                || matches!(mode.and_then(Value::as_str), Some("Preview" | "Dispose")))
            && !matches!((&least, &most), (Some(Some(least)), Some(Some(most))) if is_longer(least, most));
        Self {
            name: text(raw, "/metadata/name"),
            raw,
            starts_at: begins.unwrap_or("CreatedAt"),
            at_most: most.flatten(),
            is_whole,
            disposes: mode.and_then(Value::as_str) == Some("Dispose"),
        }
    }

    pub fn entries(&self) -> Vec<&'a Value> {
        list(self.raw, "/spec/select")
    }

    pub fn selects(&self, object: &Value) -> bool {
        self.entries()
            .into_iter()
            .any(|entry| selects(entry, object))
    }

    /// From when on a disposal counts: what is stored of this generation.
    pub fn since(&self, now: i64) -> i64 {
        let current = self.raw.pointer("/status/observedGeneration")
            == self.raw.pointer("/metadata/generation");
        let stored = calendar::instant(text(self.raw, "/status/since"));
        stored.filter(|_| current).unwrap_or(now)
    }

    /// How many it has disposed of so far, and how many more it may past the limit.
    pub fn lifted(&self) -> Option<i64> {
        let total = self
            .raw
            .pointer("/status/disposed/total")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        let generation = self.raw["metadata"]["generation"].as_i64();
        let lifts = list(self.raw, "/status/decisions")
            .into_iter()
            .filter(|decision| {
                text(decision, "/type") == "LimitLifted"
                    && decision["generation"].as_i64() == generation
            });
        let until = lifts
            .filter_map(|decision| decision["untilTotal"].as_i64())
            .max()?;
        (until > total).then_some(until - total)
    }
}
