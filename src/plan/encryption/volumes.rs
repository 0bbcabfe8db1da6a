//! Volumes and scratch space of a namespace: each listed class with what it rests on, and what does not comply.
//!
//! May not: list what complies claim by claim; a posture is not written for each of them.

use jiff::Timestamp;

use super::classes::{self, ClassProblem, Rests};
use super::item;
use crate::api::{EmptyDirRule, EncryptionItem, EncryptionScope, EncryptionState};
use crate::model::{AtRestTerms, ClassGround, ClassRule, ObservedClaim, World};
use crate::plan::decision::Earliest;

const SCOPE: EncryptionScope = EncryptionScope::AtRest;
const MOVE: &str = "copy its data to a claim of a listed class";

/// A listed class, and what it rests on.
type Judged<'a> = (&'a ClassRule, Result<Rests, ClassProblem>);

/// The items of a namespace.
pub(super) fn items(
    world: &World,
    namespace: &str,
    terms: Option<&AtRestTerms>,
    now: Timestamp,
    next: &mut Earliest,
) -> Vec<EncryptionItem> {
    let Some(terms) = terms else {
        let found = (EncryptionState::NotJudged, "NotInBaseline");
        let evidence = "the baseline says nothing of encryption at rest; claims may name any class";
        return vec![item(SCOPE, "PersistentVolumeClaims", found, evidence, None)];
    };
    let judge = |rule| (rule, classes::judge(world, terms, rule, now));
    let judged: Vec<Judged<'_>> = terms.classes.iter().map(judge).collect();
    let mut items: Vec<EncryptionItem> = judged
        .iter()
        .map(|judged| of_class(judged, now, next))
        .collect();
    let claims = world.claims_in(namespace);
    items.extend(claims.filter_map(|claim| of_claim(world, &judged, claim)));
    items.extend(scratch(world, namespace, terms, now, next));
    items
}

fn of_class((rule, judged): &Judged<'_>, now: Timestamp, next: &mut Earliest) -> EncryptionItem {
    let name = format!("StorageClass/{}", rule.name);
    if let ClassGround::Attestation(attestation) = &rule.ground {
        next.note(attestation.at, now);
        next.note(attestation.until, now);
    }
    match judged {
        Ok(rests) => {
            let reason = match rests.state {
                EncryptionState::Attested => "Attested",
                _ => "ProvenByParameters",
            };
            item(
                SCOPE,
                name,
                (rests.state, reason),
                &rests.evidence,
                rests.since,
            )
        }
        Err(problem) => {
            let found = (problem.state(), problem.reason());
            let evidence = format!("{problem}. No claim may name it");
            item(SCOPE, name, found, &evidence, None)
        }
    }
}

/// What is wrong with a claim, if something is. A lapsed attestation is its class's to tell: the volume is what it was.
fn of_claim(world: &World, judged: &[Judged<'_>], claim: &ObservedClaim) -> Option<EncryptionItem> {
    let name = format!("PersistentVolumeClaim/{}", claim.meta.key.name);
    let report = |state, reason: &str, evidence: String| {
        let created = claim.meta.created;
        Some(item(
            SCOPE,
            name.clone(),
            (state, reason),
            &evidence,
            created,
        ))
    };
    let unknown = EncryptionState::Unknown;
    let Some(class) = &claim.class else {
        return report(unknown, "NoClass", format!("it names no class; {MOVE}"));
    };
    let Some((rule, judged)) = judged.iter().find(|(rule, _)| rule.name == *class) else {
        let evidence = format!("the baseline does not list its class {class}; {MOVE}");
        return report(unknown, "ClassNotListed", evidence);
    };
    match judged {
        Ok(_) | Err(ClassProblem::AttestationLapsed { .. }) => {}
        Err(problem) => {
            let evidence = format!("of its class {class}: {problem}");
            return report(problem.state(), problem.reason(), evidence);
        }
    }
    let made = world.class(class).and_then(|class| class.meta.created);
    let claimed = claim.meta.created;
    if claimed
        .zip(made)
        .is_some_and(|(claimed, made)| claimed < made)
    {
        let evidence = format!(
            "it is older than its class {class}, which was made anew since; what the class said then is not known; {MOVE}"
        );
        return report(unknown, "ClaimOlderThanClass", evidence);
    }
    if let ClassGround::Attestation(attestation) = &rule.ground
        && claimed.is_some_and(|claimed| claimed >= attestation.until)
    {
        let evidence =
            format!("it was made after the attestation of its class {class} ended; {MOVE}");
        return report(unknown, "ClaimAfterAttestation", evidence);
    }
    let provisioner = world.class(class).map(|class| class.provisioner.as_str());
    let volume = claim.volume.as_ref().and_then(|name| world.volume(name));
    if let (Some(volume), Some(provisioner)) = (volume, provisioner)
        && volume.driver.as_deref() != Some(provisioner)
    {
        let driver = volume.driver.as_deref().unwrap_or("none of CSI");
        let evidence = format!(
            "its volume {} was not made by its class {class}: its driver is {driver}, the class's {provisioner}; {MOVE}",
            volume.meta.key.name
        );
        return report(unknown, "VolumeNotOfItsClass", evidence);
    }
    None
}

fn scratch(
    world: &World,
    namespace: &str,
    terms: &AtRestTerms,
    now: Timestamp,
    next: &mut Earliest,
) -> Option<EncryptionItem> {
    const ITEM: &str = "EmptyDir";
    if !world.has_scratch(namespace) {
        return None;
    }
    if let Some(attestation) = &terms.node_disks {
        next.note(attestation.at, now);
        next.note(attestation.until, now);
        return Some(match classes::in_time(attestation, now) {
            Ok(()) => {
                let found = (EncryptionState::Attested, "NodeDisksAttested");
                let told = classes::told(attestation);
                item(SCOPE, ITEM, found, &told, Some(attestation.at))
            }
            Err(problem) => {
                let found = (problem.state(), problem.reason());
                item(
                    SCOPE,
                    ITEM,
                    found,
                    &format!("of the nodes' disks: {problem}"),
                    None,
                )
            }
        });
    }
    let evidence = match terms.empty_dir {
        EmptyDirRule::Refuse => {
            "pods from before it was refused keep scratch space on their node's disk; replace them, with medium: Memory or a claim"
        }
        EmptyDirRule::Report => {
            "pods keep scratch space on their node's disk, of which nothing is known; use medium: Memory or a claim, or let somebody attest atRest.nodeDisks"
        }
    };
    let found = (EncryptionState::Unknown, "ScratchOnNode");
    Some(item(SCOPE, ITEM, found, evidence, None))
}
