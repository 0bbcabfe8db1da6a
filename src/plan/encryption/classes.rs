//! Whether the volumes of a storage class are encrypted, by what the class says and what somebody says of it.
//!
//! May not: trust a class of the same name that was made later than its attestation.

use jiff::Timestamp;
use thiserror::Error;

use crate::api::{AllowedClass, EncryptionState, StorageClassProof};
use crate::model::encryption::drivers::{self, Shows};
use crate::model::{
    AtRestTerms, AttestationTerms, ClassGround, ClassRule, ObservedClass, World, time,
};

/// Why a listed class does not count as encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ClassProblem {
    /// There is no such class.
    #[error("there is no StorageClass of this name")]
    Missing,
    /// Another driver makes its volumes.
    #[error(
        "its provisioner is {found}, and the baseline's proof says {wanted}; correct one of the two"
    )]
    OtherProvisioner {
        /// What the baseline says.
        wanted: String,
        /// What the class says.
        found: String,
    },
    /// A parameter is not as it must be.
    #[error("its parameter {name} is {}, and must be {wanted}{}", found.as_deref().unwrap_or("absent"), by.as_deref().unwrap_or_default())]
    OtherParameter {
        /// Its name.
        name: String,
        /// What it must be.
        wanted: String,
        /// What it is.
        found: Option<String>,
        /// Who asks for it, where that is not the baseline's proof.
        by: Option<String>,
    },
    /// A parameter is given twice, in upper and lower case; which of them the driver takes is its own secret.
    #[error(
        "its parameter {name} is given more than once, but for upper and lower case; which one counts cannot be told"
    )]
    AmbiguousParameter {
        /// Its name.
        name: String,
    },
    /// The driver is in no table.
    #[error(
        "of the driver {provisioner} it is not known what encrypts; add it to atRest.drivers, or attest the class"
    )]
    UnknownDriver {
        /// Its provisioner.
        provisioner: String,
    },
    /// Nothing on a class of this driver shows it.
    #[error("of the driver {provisioner} no class shows it: {why}. Attest the class")]
    DriverShowsNothing {
        /// Its provisioner.
        provisioner: String,
        /// Why.
        why: &'static str,
    },
    /// The attestation is over.
    #[error("the attestation of {by} ended at {until}; attest it anew")]
    AttestationLapsed {
        /// Who attested.
        by: String,
        /// When it ended.
        until: Timestamp,
    },
    /// The attestation is dated in the future.
    #[error("the attestation of {by} is dated {at}, which is still to come")]
    AttestationNotYet {
        /// Who attested.
        by: String,
        /// Its date.
        at: Timestamp,
    },
    /// The class was made after it was attested.
    #[error(
        "it was made at {made}, after the attestation of {by}, which was about another one; attest it anew"
    )]
    AttestationOlderThanClass {
        /// Who attested.
        by: String,
        /// When the class was made.
        made: Timestamp,
    },
}

impl ClassProblem {
    /// Its name.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "ClassMissing",
            Self::OtherProvisioner { .. } => "OtherProvisioner",
            Self::OtherParameter { .. } => "OtherParameter",
            Self::AmbiguousParameter { .. } => "AmbiguousParameter",
            Self::UnknownDriver { .. } => "UnknownDriver",
            Self::DriverShowsNothing { .. } => "DriverShowsNothing",
            Self::AttestationLapsed { .. } => "AttestationLapsed",
            Self::AttestationNotYet { .. } => "AttestationNotYet",
            Self::AttestationOlderThanClass { .. } => "AttestationOlderThanClass",
        }
    }

    /// What it comes to: where something is said, and it is not enough, nothing is encrypted; else it is not known.
    pub const fn state(&self) -> EncryptionState {
        match self {
            Self::OtherProvisioner { .. } | Self::OtherParameter { .. } => {
                EncryptionState::NotEncrypted
            }
            _ => EncryptionState::Unknown,
        }
    }
}

/// What a class rests on.
pub(super) struct Rests {
    /// How it stands.
    pub state: EncryptionState,
    /// What shows it.
    pub evidence: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// What a listed class rests on now.
pub(super) fn judge(
    world: &World,
    terms: &AtRestTerms,
    rule: &ClassRule,
    now: Timestamp,
) -> Result<Rests, ClassProblem> {
    let class = world.class(&rule.name).ok_or(ClassProblem::Missing)?;
    match &rule.ground {
        ClassGround::Proof(proof) => {
            let cipher = proven(terms, proof, class)?;
            Ok(Rests {
                state: EncryptionState::Proven,
                evidence: format!("{}: {cipher}", class.provisioner),
                since: class.meta.created,
            })
        }
        ClassGround::Attestation(attestation) => {
            attested(attestation, class)?;
            in_time(attestation, now)?;
            Ok(Rests {
                state: EncryptionState::Attested,
                evidence: told(attestation),
                since: Some(attestation.at),
            })
        }
    }
}

/// Who says what, until when.
pub(super) fn told(attestation: &AttestationTerms) -> String {
    format!(
        "{} attests until {}: {}",
        attestation.by,
        time::text(attestation.until).0,
        attestation.statement
    )
}

/// Whether an attestation speaks of now.
pub(super) fn in_time(attestation: &AttestationTerms, now: Timestamp) -> Result<(), ClassProblem> {
    let by = attestation.by.clone();
    if attestation.until <= now {
        let until = attestation.until;
        return Err(ClassProblem::AttestationLapsed { by, until });
    }
    if attestation.at > now {
        let at = attestation.at;
        return Err(ClassProblem::AttestationNotYet { by, at });
    }
    Ok(())
}

/// The classes that claims may name. A lapsed one stays, with its end, which the guard compares: nothing has to be written at
/// that instant, and nobody has to be alive.
pub(super) fn allowed(world: &World, terms: &AtRestTerms) -> Vec<AllowedClass> {
    let allow = |rule: &ClassRule| {
        let class = world.class(&rule.name)?;
        let until = match &rule.ground {
            ClassGround::Proof(proof) => {
                proven(terms, proof, class).ok()?;
                None
            }
            ClassGround::Attestation(attestation) => {
                attested(attestation, class).ok()?;
                Some(attestation.until)
            }
        };
        Some(AllowedClass {
            name: rule.name.clone(),
            not_after: until.map(time::text),
        })
    };
    terms.classes.iter().filter_map(allow).collect()
}

fn attested(attestation: &AttestationTerms, class: &ObservedClass) -> Result<(), ClassProblem> {
    match class.meta.created {
        Some(made) if made > attestation.at => Err(ClassProblem::AttestationOlderThanClass {
            by: attestation.by.clone(),
            made,
        }),
        _ => Ok(()),
    }
}

/// The cipher by which a class's volumes are encrypted: it must say what the baseline's proof says and what its driver's row asks
/// for.
fn proven(
    terms: &AtRestTerms,
    proof: &StorageClassProof,
    class: &ObservedClass,
) -> Result<String, ClassProblem> {
    if class.provisioner != proof.provisioner {
        return Err(ClassProblem::OtherProvisioner {
            wanted: proof.provisioner.clone(),
            found: class.provisioner.clone(),
        });
    }
    for (name, wanted) in &proof.parameters {
        demand(class, name, &[wanted], false, None)?;
    }
    let provisioner = || class.provisioner.clone();
    if let Some(row) = drivers::of(&class.provisioner) {
        return match row.shows {
            Shows::Nothing(why) => Err(ClassProblem::DriverShowsNothing {
                provisioner: provisioner(),
                why,
            }),
            Shows::Parameters(demands, cipher) => {
                for wanted in demands {
                    let by = Some("the table of drivers");
                    demand(class, wanted.name, wanted.values, wanted.optional, by)?;
                }
                Ok(cipher.to_owned())
            }
        };
    }
    let Some(own) = terms.drivers.get(&class.provisioner) else {
        return Err(ClassProblem::UnknownDriver {
            provisioner: provisioner(),
        });
    };
    for (name, wanted) in &own.parameters {
        demand(class, name, &[wanted], false, Some("atRest.drivers"))?;
    }
    Ok(own.cipher.clone())
}

/// A parameter by its exact name. Some drivers take names in any case, others do not: one that differs by case only is no
/// proof, and beside the right one it may be what counts.
fn demand(
    class: &ObservedClass,
    name: &str,
    values: &[&str],
    optional: bool,
    by: Option<&str>,
) -> Result<(), ClassProblem> {
    let alike = |key: &&String| key.eq_ignore_ascii_case(name);
    if class.parameters.keys().filter(alike).count() > 1 {
        return Err(ClassProblem::AmbiguousParameter {
            name: name.to_owned(),
        });
    }
    let found = class.parameters.get(name);
    let is_met = match found {
        None => optional && !class.parameters.keys().any(|key| alike(&key)),
        Some(found) if values.is_empty() => !found.is_empty(),
        Some(found) => values.contains(&found.as_str()),
    };
    if is_met {
        return Ok(());
    }
    let wanted = if values.is_empty() {
        "given".to_owned()
    } else {
        values.join(" or ")
    };
    Err(ClassProblem::OtherParameter {
        name: name.to_owned(),
        wanted,
        found: found.cloned(),
        by: by.map(|by| format!(" by {by}")),
    })
}
