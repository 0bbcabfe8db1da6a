//! What a posture says of Secrets in etcd.
//!
//! May not: say more than what was tried showed, or somebody attests.

use jiff::Timestamp;

use super::{classes, item as made};
use crate::api::{EncryptionItem, EncryptionScope, EncryptionState, SecretsInForce};
use crate::model::SecretsTerms;
use crate::plan::decision::Earliest;

const SCOPE: EncryptionScope = EncryptionScope::AtRest;
const ITEM: &str = "Secrets";

/// The item of Secrets, which is the same in every namespace on a baseline.
pub(super) fn item(
    verified: Option<&SecretsInForce>,
    terms: Option<&SecretsTerms>,
    now: Timestamp,
    next: &mut Earliest,
) -> EncryptionItem {
    let not_judged = |reason, evidence| {
        made(
            SCOPE,
            ITEM,
            (EncryptionState::NotJudged, reason),
            evidence,
            None,
        )
    };
    match terms {
        None => not_judged(
            "NotInBaseline",
            "the baseline says nothing of Secrets in etcd",
        ),
        Some(SecretsTerms::Ignore) => {
            not_judged("Ignored", "the baseline says that it is not looked at")
        }
        Some(SecretsTerms::Attested(attestation)) => {
            next.note(attestation.at, now);
            next.note(attestation.until, now);
            match classes::in_time(attestation, now) {
                Ok(()) => {
                    let found = (EncryptionState::Attested, "Attested");
                    made(
                        SCOPE,
                        ITEM,
                        found,
                        &classes::told(attestation),
                        Some(attestation.at),
                    )
                }
                Err(problem) => {
                    let found = (problem.state(), problem.reason());
                    made(SCOPE, ITEM, found, &problem.to_string(), None)
                }
            }
        }
        Some(SecretsTerms::Verify) => match verified {
            None => {
                let found = (EncryptionState::Unknown, "NotTriedYet");
                made(SCOPE, ITEM, found, "no canary was written yet", None)
            }
            Some(shown) => EncryptionItem {
                since: Some(shown.since.clone()),
                ..made(
                    SCOPE,
                    ITEM,
                    (shown.state, &shown.reason),
                    &shown.evidence,
                    None,
                )
            },
        },
    }
}
