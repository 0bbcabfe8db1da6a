//! Whether Secrets are ciphertext in etcd, as far as it was tried, and who wants to know.
//!
//! May not: decide what an answer means.

use super::World;
use crate::model::{Dirty, SecretsTerms, SecretsTrial, Unit};

/// The part of the World that is about Secrets in etcd.
#[derive(Clone, Debug, Default)]
pub(super) struct Ciphered {
    trial: Option<SecretsTrial>,
}

impl World {
    /// What canaries showed about Secrets.
    pub fn learn_secrets(&mut self, mut trial: SecretsTrial) -> Dirty {
        let before = self.ciphered.trial.as_ref();
        let in_a_row = before
            .filter(|before| before.fingerprint == trial.fingerprint)
            .map_or(0, |before| before.failures);
        trial.failures = if trial.is_open() {
            in_a_row.saturating_add(1)
        } else {
            0
        };
        self.ciphered.trial = Some(trial);
        let mut dirty = Dirty::default();
        self.mark_verifying(&mut dirty);
        dirty
    }

    /// What canaries showed about Secrets, when it was last tried.
    #[must_use]
    pub fn secrets_trial(&self) -> Option<&SecretsTrial> {
        self.ciphered.trial.as_ref()
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
