//! What guards must not be told of encryption: a class that nothing shows to be encrypted, or less than the baseline asks for.
//!
//! Judged by what baseline and class say. May not: know the table of drivers, which the planner asks besides.

use super::{Findings, Rule};
use crate::api::names::PARAMETERS_NAME;
use crate::api::{AllowedClass, EmptyDirRule};
use crate::model::{AtRestTerms, ClassGround, Kind, ObjectKey, Target, World, time};
use crate::plan::ParametersPlan;

/// What guards must not be told.
pub(super) fn parameters(
    findings: &mut Findings,
    world: &World,
    namespace: &str,
    planned: &ParametersPlan,
) {
    let key = ObjectKey::new(namespace, PARAMETERS_NAME);
    let target = Target::new(Kind::GuardParameters, key);
    let mut add = |message: String| findings.add(Rule::ClassNeedsGround, &target, message);
    let Some(spec) = &planned.spec else {
        if super::in_force(world, namespace) {
            add("is taken away from a namespace that is in force".to_owned());
        }
        return;
    };
    let baseline = world.namespace(namespace).map(|known| &known.baseline);
    let terms = baseline
        .and_then(|name| world.baseline(name))
        .and_then(|baseline| baseline.terms.as_ref().ok());
    let allowed = spec.storage_classes.as_deref();
    let Some(terms) = terms.map(|terms| &terms.encryption) else {
        if allowed.is_none_or(|allowed| !allowed.is_empty()) {
            add("lets claims in without a baseline that can be read".to_owned());
        }
        return;
    };
    if spec.minimum_tls != terms.minimum_tls {
        add("asks gateways for another version than the baseline".to_owned());
    }
    let Some(at_rest) = &terms.at_rest else {
        return;
    };
    if at_rest.empty_dir == EmptyDirRule::Refuse && spec.empty_dir != Some(EmptyDirRule::Refuse) {
        add("lets scratch space in that the baseline refuses".to_owned());
    }
    let Some(allowed) = allowed else {
        add("leaves claims unjudged that the baseline judges".to_owned());
        return;
    };
    for class in allowed {
        if let Some(problem) = problem(world, at_rest, class) {
            add(format!("lets claims name {}, which {problem}", class.name));
        }
    }
}

fn problem(world: &World, terms: &AtRestTerms, allowed: &AllowedClass) -> Option<&'static str> {
    let Some(rule) = terms.classes.iter().find(|rule| rule.name == allowed.name) else {
        return Some("the baseline does not list");
    };
    let Some(class) = world.class(&allowed.name) else {
        return Some("is not there");
    };
    match &rule.ground {
        ClassGround::Proof(proof) => {
            let says = |(name, value)| class.parameters.get(name) == Some(value);
            let is_proven =
                class.provisioner == proof.provisioner && proof.parameters.iter().all(says);
            (!is_proven).then_some("does not say what its proof asks for")
        }
        ClassGround::Attestation(attestation) => {
            let until = allowed.not_after.as_ref();
            let until = until.and_then(|until| time::beginning(until).ok());
            if until.is_none_or(|until| until > attestation.until) {
                Some("goes on beyond its attestation")
            } else if class.meta.created.is_some_and(|made| made > attestation.at) {
                Some("was made after it was attested")
            } else {
                None
            }
        }
    }
}
