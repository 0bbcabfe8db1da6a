//! Whether Secrets are ciphertext in etcd, by what canaries showed on every API server: the weakest answer counts.
//!
//! AES-256 is promised. Of the providers only kms v2 has no other key; of aescbc, aesgcm and kms v1 nothing shows how long
//! the key is, and secretbox is another cipher.
//!
//! May not: claim anything of Secrets that were written before it was tried.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::EVIDENCE;
use crate::api::{EncryptionState, SecretsInForce};
use crate::model::{SecretsAnswer, SecretsTrial, Unanswered, World, time};
use crate::plan::decision::Earliest;
use crate::plan::inquiry::Inquiry;
use crate::plan::proof::of_servers;
use crate::plan::status::shortened;

/// What was found out is found out again after this long.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// What was left open is tried again after this long, and then after twice as long, and so on.
const AGAIN: SignedDuration = SignedDuration::from_secs(15);
/// It is never tried later than this after it was left open.
const AGAIN_AT_MOST: SignedDuration = SignedDuration::from_mins(5);
/// After so many trials that showed the same, a Lease that is out of step is taken for a slow server's, or for one that two
/// servers share.
const REPEATS: u32 = 2;
/// It is tried no sooner than after this long then.
const OUT_OF_STEP: SignedDuration = SignedDuration::from_mins(2);
/// A day's trial is stored with the baseline, and no other that shows the same.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_hours(23);
/// Leases that fall silent make servers fewer, and nothing tells: they are counted again after this long.
const COUNTED_AGAIN: SignedDuration = SignedDuration::from_secs(30);
/// Servers that are named; beyond this many the number says enough.
const NAMED: usize = 3;
/// Letters of a hash that are shown.
const OF_HASH: usize = 19;

/// What is known of Secrets for a baseline.
#[derive(Default)]
pub struct Verified {
    /// What its status says.
    pub told: Option<SecretsInForce>,
    /// What must be tried.
    pub inquiry: Option<Inquiry>,
    /// When it changes by time alone.
    pub next: Option<Timestamp>,
}

/// What is known of Secrets for a baseline, and what must be tried to know it.
pub fn verified(world: &World, name: &str, now: Timestamp) -> Verified {
    if !world.verifies_secrets(name) {
        return Verified::default();
    }
    let stored = world
        .baseline(name)
        .and_then(|baseline| baseline.status.secrets.as_ref());
    let Some(namespace) = world.settings().operator_namespace.clone() else {
        return Verified::default();
    };
    let fingerprint = of_servers(world);
    let ask = || Inquiry::Secrets {
        namespace: namespace.clone(),
        fingerprint: fingerprint.clone(),
        starts: world.server_starts(),
        servers: world.server_addresses(),
    };
    let Some(trial) = world.secrets_trial() else {
        // What an earlier process stored stands until it is tried, which is now.
        return Verified {
            told: stored.cloned(),
            inquiry: Some(ask()),
            next: None,
        };
    };
    let mut next = Earliest::default();
    let mut found = weakest(trial);
    let servers = world.live_servers();
    if found.state == EncryptionState::Verified && (servers == 0 || trial.answers.len() < servers) {
        found = uncounted(trial.answers.len(), servers);
    }
    if found.reason == "ServersUncounted" {
        next.note(now.checked_add(COUNTED_AGAIN).ok(), now);
    }
    let restarted = trial.starts != world.server_starts();
    let again = trial.at.checked_add(pause(trial, restarted)).ok();
    let due = again.is_none_or(|again| again <= now);
    // A clock that was set back does not make it wait for where it was.
    let due = due || trial.at > now || trial.fingerprint != fingerprint;
    next.note(again, now);
    Verified {
        told: Some(told(found, trial.at, stored)),
        inquiry: due.then(ask),
        next: next.instant(),
    }
}

fn pause(trial: &SecretsTrial, restarted: bool) -> SignedDuration {
    if restarted && trial.repeats < REPEATS {
        return SignedDuration::ZERO;
    }
    if restarted && !trial.is_open() {
        return OUT_OF_STEP;
    }
    if !trial.is_open() {
        return DAILY;
    }
    let doubled = trial.failures.saturating_sub(1).min(8);
    AGAIN
        .checked_mul(1 << doubled)
        .map_or(AGAIN_AT_MOST, |pause| pause.min(AGAIN_AT_MOST))
}

/// What was found, with the instants that stay while it stays.
fn told(found: Found, at: Timestamp, stored: Option<&SecretsInForce>) -> SecretsInForce {
    let Found {
        state,
        reason,
        evidence,
    } = found;
    let evidence = shortened(&evidence, EVIDENCE);
    // As conditions tell it, in whole seconds.
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    let same = stored.filter(|stored| {
        stored.state == state && stored.reason == reason && stored.evidence == evidence
    });
    let tried_at = same
        .map(|same| &same.tried_at)
        .filter(|tried| {
            let tried = time::beginning(tried).ok();
            tried.is_some_and(|tried| at.duration_since(tried) < TOLD_AGAIN && tried <= at)
        })
        .cloned();
    SecretsInForce {
        state,
        reason: reason.to_owned(),
        evidence,
        since: same.map_or_else(|| time::text(at), |same| same.since.clone()),
        tried_at: tried_at.unwrap_or_else(|| time::text(at)),
    }
}

/// State, reason and evidence.
struct Found {
    state: EncryptionState,
    reason: &'static str,
    evidence: String,
}

/// What one server's answer is worth: the lower, the weaker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Unconfigured,
    Plain,
    NotAes,
    Unwritten,
    Unreadable,
    Odd,
    Interfered,
    UnknownProvider,
    KeySizeNotVisible,
    KmsV2,
}

impl Worth {
    const fn told(self) -> (EncryptionState, &'static str) {
        match self {
            Self::Unconfigured => (EncryptionState::NotEncrypted, "NoEncryptionConfiguration"),
            Self::Plain => (EncryptionState::NotEncrypted, "StoredPlain"),
            Self::NotAes => (EncryptionState::NotEncrypted, "NotAes256"),
            Self::Unwritten => (EncryptionState::Unknown, "CanaryNotWritten"),
            Self::Unreadable => (EncryptionState::Unknown, "MetricsUnreadable"),
            Self::Odd => (EncryptionState::Unknown, "NotAttributable"),
            Self::Interfered => (EncryptionState::Unknown, "OtherWritesInterfered"),
            Self::UnknownProvider => (EncryptionState::Unknown, "ProviderUnknown"),
            Self::KeySizeNotVisible => (EncryptionState::Unknown, "KeySizeNotVisible"),
            Self::KmsV2 => (EncryptionState::Verified, "KmsV2"),
        }
    }

    /// What follows from it, or is to be done.
    const fn advice(self) -> &'static str {
        match self {
            Self::Unconfigured => {
                "It has no EncryptionConfiguration for secrets: give it one that begins with a kms v2 provider, and write every Secret again"
            }
            Self::Plain => {
                "Its EncryptionConfiguration has identity first, or nothing else for secrets: put a kms v2 provider first, and write every Secret again"
            }
            Self::NotAes => {
                "They are encrypted, by a cipher that is not AES-256: put a kms v2 provider first"
            }
            Self::Unwritten | Self::Odd | Self::Interfered => "It is tried again",
            Self::Unreadable => {
                "It is tried again. Where its metrics stay closed, attest it with `secrets: Attested`"
            }
            Self::UnknownProvider => {
                "This release does not know the provider: put a kms v2 provider first, or attest it with `secrets: Attested`"
            }
            Self::KeySizeNotVisible => {
                "They are encrypted, and no server tells whether the key has 256 bits: put a kms v2 provider first, or attest it with `secrets: Attested`"
            }
            Self::KmsV2 => "Of Secrets that were written earlier nothing is claimed",
        }
    }
}

/// The weakest of all answers, with the servers that gave it.
fn weakest(trial: &SecretsTrial) -> Found {
    let judged: Vec<(&str, Worth, String)> = trial
        .answers
        .iter()
        .map(|(server, answer)| {
            let (worth, words) = judge(answer);
            (server.as_str(), worth, words)
        })
        .collect();
    let Some(least) = judged.iter().map(|(_, worth, _)| *worth).min() else {
        return uncounted(0, 0);
    };
    let mut by_words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (server, _, words) in judged.iter().filter(|(_, worth, _)| *worth == least) {
        by_words.entry(words).or_default().push(server);
    }
    let all = judged.len();
    let told: Vec<String> = by_words
        .into_iter()
        .map(|(words, servers)| format!("{} {words}", named(&servers, all)))
        .collect();
    let (state, reason) = least.told();
    Found {
        state,
        reason,
        evidence: format!("{}. {}", told.join("; "), least.advice()),
    }
}

fn named(servers: &[&str], all: usize) -> String {
    let listed = servers
        .iter()
        .take(NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let more = servers.len().saturating_sub(NAMED);
    let tail = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    if all == 1 {
        listed
    } else {
        format!("{listed}{tail} ({} of {all} API servers)", servers.len())
    }
}

fn uncounted(tried: usize, servers: usize) -> Found {
    let count = if servers == 0 {
        "no identity Lease in kube-system tells how many API servers there are".to_owned()
    } else {
        format!("{servers} API servers say that they are there")
    };
    Found {
        state: EncryptionState::Unknown,
        reason: "ServersUncounted",
        evidence: format!(
            "{tried} encrypted a canary, and {count}; name each address with --api-server"
        ),
    }
}

/// What an answer is worth, and in words after the server's name.
fn judge(answer: &SecretsAnswer) -> (Worth, String) {
    match answer {
        SecretsAnswer::Unconfigured | SecretsAnswer::Plain => {
            let words = "stored a canary as plain text".to_owned();
            let worth = match answer {
                SecretsAnswer::Plain => Worth::Plain,
                _ => Worth::Unconfigured,
            };
            (worth, words)
        }
        SecretsAnswer::Encrypted {
            prefixes,
            keys,
            configuration,
        } => {
            let ways = prefixes.iter().map(|prefix| provider(prefix));
            let (worth, name) = ways
                .min()
                .unwrap_or((Worth::UnknownProvider, String::new()));
            let mut words = format!("stored a canary by {name}");
            let hashes = keys.iter().map(|hash| short(hash)).collect::<Vec<_>>();
            if !hashes.is_empty() {
                words.push_str(&format!(", key {}", hashes.join(" and ")));
            }
            if let Some(hash) = configuration {
                words.push_str(&format!(", configuration {}", short(hash)));
            }
            (worth, words)
        }
        SecretsAnswer::Interfered => {
            let words = "stored some Secrets encrypted and some not while it was tried";
            (Worth::Interfered, words.to_owned())
        }
        SecretsAnswer::Odd(why) => (
            Worth::Odd,
            format!("says nothing that a canary could be told by: {why}"),
        ),
        SecretsAnswer::Unreadable(unanswered) => (
            Worth::Unreadable,
            words_of(
                unanswered,
                "did not let its metrics be read",
                "the operator lacks the right to get the non-resource URL /metrics, which the chart gives",
            ),
        ),
        SecretsAnswer::Unwritten(unanswered) => (
            Worth::Unwritten,
            words_of(
                unanswered,
                "did not take a canary",
                "the operator lacks the right to create and patch its canary Secrets, which the chart gives",
            ),
        ),
    }
}

fn words_of(unanswered: &Unanswered, what: &str, right: &str) -> String {
    if unanswered.forbidden {
        format!("{what}: {right}")
    } else {
        format!("{what}: {}", unanswered.said)
    }
}

/// What a provider is worth, by what it puts before what it stores.
fn provider(prefix: &str) -> (Worth, String) {
    let named = |version: &str| {
        let name = prefix.strip_prefix(&format!("k8s:enc:kms:{version}:"))?;
        Some(name.trim_end_matches(':').to_owned())
    };
    if let Some(name) = named("v2") {
        let words = format!("kms v2 provider {name} (AES-GCM, 256 bits, a key for each write)");
        return (Worth::KmsV2, words);
    }
    if let Some(name) = named("v1") {
        return (Worth::KeySizeNotVisible, format!("kms v1 provider {name}"));
    }
    match prefix {
        "k8s:enc:aescbc:v1:" => (Worth::KeySizeNotVisible, "aescbc".to_owned()),
        "k8s:enc:aesgcm:v1:" => (Worth::KeySizeNotVisible, "aesgcm".to_owned()),
        "k8s:enc:secretbox:v1:" => (Worth::NotAes, "secretbox (XSalsa20-Poly1305)".to_owned()),
        other => (Worth::UnknownProvider, other.to_owned()),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..OF_HASH).unwrap_or(hash)
}
