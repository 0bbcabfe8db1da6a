//! How an API server stored a canary Secret, read off the counters on its `/metrics` before and after.
//!
//! A server counts each value that it prepares for etcd by the prefix that it puts before it. A provider puts its own,
//! `k8s:enc:…`, and within it one for its key; `identity` puts an empty one. A server without an EncryptionConfiguration
//! does not count at all.
//!
//! May not: say what a provider is worth. That is the planner's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use thiserror::Error;

const STORED: &str = "apiserver_storage_transformation_operations_total";
const KEYS: &str = "apiserver_envelope_encryption_key_id_hash_total";
const CONFIGURATION: &str = "apiserver_encryption_config_controller_last_config_info";
const STARTED: &str = "process_start_time_seconds";
/// What every provider that encrypts puts before what it stores.
const ENCRYPTED: &str = "k8s:enc:";
/// How a value that is not encrypted is counted.
const PLAIN: [&str; 2] = ["", "identity"];
/// Rounds that must show the same, one after the other.
const ALIKE: usize = 3;
/// Rounds after which it is given up.
const MOST: usize = 9;
/// Beyond this a counter cannot be told from its neighbour.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Whether a line of a page of metrics is one that counts here; all others may be left out.
#[must_use]
pub fn is_of_interest(line: &str) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    [STORED, KEYS, CONFIGURATION, STARTED].contains(&name)
}

/// A page of metrics, as far as it is about Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// When the server's process began, as it says it: another process counts anew.
    started: String,
    /// How many values were prepared for etcd, by prefix.
    stored: BTreeMap<String, u64>,
    /// How often each key of a kms v2 provider was used for that, by the provider's name and the key's hash.
    keys: BTreeMap<(String, String), u64>,
    /// Hash of the EncryptionConfiguration, where the server tells it.
    configuration: Option<String>,
}

/// Why a page of metrics cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnreadableMetrics {
    /// A line is not in the text format.
    #[error("`{0}` is not in the text format of metrics")]
    Line(String),
    /// A counter is no number that can be counted with.
    #[error("`{0}` is no count")]
    Count(String),
    /// The page lacks what every API server tells.
    #[error("it lacks {STARTED}, so that it is not an API server's, or not whole")]
    NotAServers,
}

impl Reading {
    /// Reads the lines of a page.
    ///
    /// # Errors
    /// When a line that counts cannot be read, or the page is not an API server's.
    pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, UnreadableMetrics> {
        let mut reading = Self::default();
        for line in lines.into_iter().filter(|line| is_of_interest(line)) {
            let sample =
                Sample::read(line).ok_or_else(|| UnreadableMetrics::Line(line.to_owned()))?;
            if sample.name == STARTED {
                reading.started = sample.value.to_owned();
                continue;
            }
            if sample.name == CONFIGURATION {
                reading.configuration = sample.labels.get("hash").cloned();
                continue;
            }
            let label = |name: &str| sample.labels.get(name).map(String::as_str);
            if label("transformation_type") != Some("to_storage") {
                continue;
            }
            let count =
                || counted(sample.value).ok_or_else(|| UnreadableMetrics::Count(line.to_owned()));
            if sample.name == STORED {
                if label("resource") == Some("secrets") && label("status") == Some("OK") {
                    let prefix = label("transformer_prefix").unwrap_or_default().to_owned();
                    *reading.stored.entry(prefix).or_default() += count()?;
                }
            } else {
                let of = |name| label(name).unwrap_or_default().to_owned();
                let key = (of("provider_name"), of("key_id_hash"));
                *reading.keys.entry(key).or_default() += count()?;
            }
        }
        if reading.started.is_empty() {
            return Err(UnreadableMetrics::NotAServers);
        }
        Ok(reading)
    }
}

/// One line of a page of metrics.
struct Sample<'a> {
    name: &'a str,
    labels: BTreeMap<String, String>,
    value: &'a str,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let at = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at_checked(at)?;
        let mut labels = BTreeMap::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                if let Some(after) = rest.strip_prefix('}') {
                    rest = after;
                    break;
                }
                let (label, after) = rest.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                labels.insert(label.to_owned(), value);
                rest = after.strip_prefix(',').unwrap_or(after);
                if !after.starts_with([',', '}']) {
                    return None;
                }
            }
        }
        // A value, and perhaps the instant at which it was taken.
        let mut words = rest.split_whitespace();
        let value = words.next()?;
        let is_whole = words.next().is_none_or(|at| at.parse::<i64>().is_ok());
        (is_whole && words.next().is_none()).then_some(Self {
            name,
            labels,
            value,
        })
    }
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other @ ('\\' | '"') => other,
                _ => return None,
            }),
            letter => value.push(letter),
        }
    }
    None
}

fn counted(text: &str) -> Option<u64> {
    let count: f64 = text.parse().ok()?;
    let is_count = count.is_finite() && (0.0..=LARGEST).contains(&count) && count.fract() == 0.0;
    is_count.then_some(count as u64)
}

/// What one canary between two readings showed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Round {
    /// What was stored in between went by these prefixes, each an encrypting provider's.
    Encrypted(BTreeSet<String>),
    /// Something was stored in between as it was.
    Plain,
    /// Nothing was counted, then as before.
    Uncounted,
    /// The readings cannot be compared, and why.
    Odd(&'static str),
}

fn round(before: &Reading, after: &Reading) -> Round {
    if before.started != after.started {
        return Round::Odd("another process answered than a moment before");
    }
    let count = |reading: &Reading, prefix: &str| reading.stored.get(prefix).copied();
    if before
        .stored
        .keys()
        .any(|prefix| count(after, prefix) < count(before, prefix))
    {
        return Round::Odd("its counters went back");
    }
    if after.stored.is_empty() {
        return Round::Uncounted;
    }
    let risen: BTreeSet<&String> = after
        .stored
        .keys()
        .filter(|prefix| count(after, prefix).unwrap_or(0) > count(before, prefix).unwrap_or(0))
        .collect();
    if risen.iter().any(|prefix| PLAIN.contains(&prefix.as_str())) {
        return Round::Plain;
    }
    // What is left are names of keys, which say nothing by themselves.
    let encrypted = risen
        .into_iter()
        .filter(|prefix| prefix.starts_with(ENCRYPTED));
    let encrypted: BTreeSet<String> = encrypted.cloned().collect();
    if encrypted.is_empty() {
        return Round::Odd("its counters did not rise with the canary");
    }
    Round::Encrypted(encrypted)
}

/// What an API server did with canaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsAnswer {
    /// It has no EncryptionConfiguration that is about Secrets.
    Unconfigured,
    /// It has one, and stores them as they are.
    Plain,
    /// It encrypts them.
    Encrypted {
        /// What it put before them.
        prefixes: BTreeSet<String>,
        /// Hashes of the keys that a kms v2 provider used, where the server tells them.
        keys: BTreeSet<String>,
        /// Hash of its EncryptionConfiguration, where it tells it.
        configuration: Option<String>,
    },
    /// It stored some encrypted and some not, so that it cannot be told which of them the canary was.
    Interfered,
    /// Its counters say nothing of the canary, and why.
    Odd(&'static str),
    /// They could not be read.
    Unreadable(Unanswered),
    /// The canary could not be written.
    Unwritten(Unanswered),
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Whether the operator lacks the right.
    pub forbidden: bool,
    /// What was said.
    pub said: String,
}

impl SecretsAnswer {
    /// Whether the server may say more when it is asked again.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        !matches!(
            self,
            Self::Unconfigured | Self::Plain | Self::Encrypted { .. }
        )
    }
}

/// Rounds of canaries on one server: a reading, a canary, a reading, a canary, a reading …
#[derive(Clone, Debug)]
pub struct Rounds {
    first: Reading,
    last: Reading,
    rounds: Vec<Round>,
}

impl Rounds {
    /// Begins with what the counters say before the first canary.
    #[must_use]
    pub fn after(reading: Reading) -> Self {
        Self {
            first: reading.clone(),
            last: reading,
            rounds: Vec::new(),
        }
    }

    /// Takes in what they say after a canary.
    pub fn take(&mut self, reading: Reading) {
        self.rounds.push(round(&self.last, &reading));
        self.last = reading;
    }

    /// What they come to; none while another canary may tell more.
    #[must_use]
    pub fn answer(&self) -> Option<SecretsAnswer> {
        let last = self.rounds.last()?;
        let tail = self.rounds.iter().rev().take(ALIKE);
        let alike = self.rounds.len() >= ALIKE && tail.clone().all(|round| round == last);
        let was_plain = self.rounds.contains(&Round::Plain);
        let was_encrypted = |round: &Round| matches!(round, Round::Encrypted(_));
        match last {
            Round::Encrypted(_) if alike && was_plain => Some(SecretsAnswer::Interfered),
            Round::Encrypted(prefixes) if alike => Some(SecretsAnswer::Encrypted {
                prefixes: prefixes.clone(),
                keys: self.keys(),
                configuration: self.last.configuration.clone(),
            }),
            Round::Plain if alike => Some(SecretsAnswer::Plain),
            Round::Uncounted if alike => Some(SecretsAnswer::Unconfigured),
            Round::Odd(why) if alike => Some(SecretsAnswer::Odd(why)),
            _ if self.rounds.len() < MOST => None,
            _ if was_plain || self.rounds.iter().any(was_encrypted) => {
                Some(SecretsAnswer::Interfered)
            }
            _ => Some(SecretsAnswer::Odd("it did not answer alike")),
        }
    }

    fn keys(&self) -> BTreeSet<String> {
        let risen = |(key, count): &(&(String, String), &u64)| {
            self.first
                .keys
                .get(*key)
                .is_none_or(|before| before < *count)
        };
        let keys = self.last.keys.iter().filter(risen);
        keys.map(|((_, hash), _)| hash.clone()).collect()
    }
}

/// What canaries showed on every API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsTrial {
    /// What was tried: the servers, each with its holder.
    pub fingerprint: String,
    /// How often one of them may have been started again until then.
    pub starts: u64,
    /// When.
    pub at: Timestamp,
    /// What each server did, by address.
    pub answers: Vec<(String, SecretsAnswer)>,
    /// How many trials in a row left something open.
    pub failures: u32,
    /// How many trials in a row showed what the one before them did.
    pub repeats: u32,
}

impl SecretsTrial {
    /// Whether it left something open that another one may tell.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answers.iter().any(|(_, answer)| answer.is_passing())
    }
}
