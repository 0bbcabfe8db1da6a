//! Whether Secrets are ciphertext in etcd, as far as it was tried, and who wants to know.
//!
//! May not: decide what an answer means.

use super::World;
use crate::model::{Dirty, SecretsTerms, SecretsTrial, Unit};

/// The part of the World that is about Secrets in etcd.
#[derive(Clone, Debug, Default)]
pub(super) struct Ciphered {
    trial: Option<SecretsTrial>,
    /// How often a server may have been started again.
    starts: u64,
}

impl Ciphered {
    pub(super) const fn note_start(&mut self) {
        self.starts = self.starts.saturating_add(1);
    }
}

impl World {
    /// What canaries showed about Secrets.
    pub fn learn_secrets(&mut self, mut trial: SecretsTrial) -> Dirty {
        let before = self.ciphered.trial.as_ref();
        let before = before.filter(|before| before.fingerprint == trial.fingerprint);
        let failures = before.map_or(0, |before| before.failures);
        trial.failures = if trial.is_open() {
            failures.saturating_add(1)
        } else {
            0
        };
        trial.repeats = before
            .filter(|before| before.answers == trial.answers)
            .map_or(0, |before| before.repeats.saturating_add(1));
        self.ciphered.trial = Some(trial);
        let mut dirty = Dirty::default();
        self.mark_verifying(&mut dirty);
        dirty
    }

    /// An API server broke off, or its address came or went: it may have been started again, with another configuration. By its
    /// Lease alone that is not always to be seen.
    pub fn suspect_start(&mut self) -> Dirty {
        self.ciphered.note_start();
        let mut dirty = Dirty::default();
        self.mark_verifying(&mut dirty);
        dirty
    }

    /// What canaries showed about Secrets, when it was last tried.
    #[must_use]
    pub fn secrets_trial(&self) -> Option<&SecretsTrial> {
        self.ciphered.trial.as_ref()
    }

    /// How often an API server may have been started again since this process looks.
    #[must_use]
    pub const fn server_starts(&self) -> u64 {
        self.ciphered.starts
    }

    /// Whether it is to be tried for this baseline: it says so, and somebody stands on it.
    #[must_use]
    pub fn verifies_secrets(&self, baseline: &str) -> bool {
        let terms = self
            .baseline(baseline)
            .and_then(|baseline| baseline.terms.as_ref().ok());
        let secrets = terms
            .and_then(|terms| terms.encryption.at_rest.as_ref())
            .and_then(|terms| terms.secrets.as_ref());
        secrets == Some(&SecretsTerms::Verify) && self.enrolled_on(baseline) > 0
    }

    /// Other servers, or another start of one, have to be tried.
    pub(super) fn mark_verifying(&self, dirty: &mut Dirty) {
        for name in self.baselines.keys() {
            if self.verifies_secrets(name) {
                dirty.unit(Unit::Baseline(name.clone()));
            }
        }
    }
}
