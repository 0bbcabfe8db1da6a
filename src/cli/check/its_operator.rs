//! The checks of the operator: whether it runs, and whether it is allowed what it needs and no more.
//!
//! May not: ask the operator. It is asked of the API server about it, so that a dead operator is seen.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::Value;

use super::probes::{Found, failed, passed, resource, unknown, unread};
use crate::api::names::{AUTHORITY_GROUP, AUTHORITY_RESOURCE, VERB_ENFORCE, VERB_NEVER_GRANTED};

/// What the operator must be allowed: verb, `resource/subresource.group`, and the namespace where it is not everywhere.
const RIGHTS: [(&str, &str, &str); 16] = [
    ("watch", "processingholds.privacy.cloudnexus.io", ""),
    ("delete", "processingholds.privacy.cloudnexus.io", ""),
    ("patch", "processingholds/status.privacy.cloudnexus.io", ""),
    ("watch", "datasharinggrants.privacy.cloudnexus.io", ""),
    (
        "patch",
        "datasharinggrants/status.privacy.cloudnexus.io",
        "",
    ),
    ("create", "datahandlingpostures.privacy.cloudnexus.io", ""),
    ("create", "networkpolicies.networking.k8s.io", ""),
    ("delete", "networkpolicies.networking.k8s.io", ""),
    ("create", "jobs.batch", ""),
    ("delete", "jobs.batch", ""),
    ("patch", "persistentvolumes", ""),
    ("delete", "pods", ""),
    ("patch", "replicasets/status.apps", ""),
    (
        "watch",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "",
    ),
    ("create", "events.events.k8s.io", ""),
    ("watch", "leases.coordination.k8s.io", "kube-system"),
];

pub(super) async fn runs(client: &Client, namespace: &str) -> Found {
    let deployments = resource("apps", "v1", "Deployment");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &deployments);
    match api.get_opt("covenant").await {
        Ok(Some(found)) => {
            let ready = found
                .data
                .pointer("/status/readyReplicas")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            if ready > 0 {
                passed("")
            } else {
                failed(
                    "no replica is ready; holds keep and open paths close all the same, but nothing opens: kubectl logs deploy/covenant",
                )
            }
        }
        Ok(None) => unknown(format!(
            "there is no Deployment covenant in {namespace}; it may run elsewhere (--namespace)"
        )),
        Err(error) => unread("Deployments", &error),
    }
}

/// Whether the operator may do something.
async fn may(
    client: &Client,
    namespace: &str,
    attributes: ResourceAttributes,
) -> Result<bool, kube::Error> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(operator_user(namespace)),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn operator_user(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:covenant")
}

pub(super) async fn appointment(client: &Client, namespace: &str) -> Found {
    let user = operator_user(namespace);
    let mut allowed = Vec::new();
    for verb in [VERB_ENFORCE, VERB_NEVER_GRANTED] {
        let attributes = ResourceAttributes {
            group: Some(AUTHORITY_GROUP.to_owned()),
            resource: Some(AUTHORITY_RESOURCE.to_owned()),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        match may(client, namespace, attributes).await {
            Ok(may) => allowed.push(may),
            Err(error) => return unread("what others may do (SubjectAccessReviews)", &error),
        }
    }
    match allowed.as_slice() {
        [true, false] => passed(""),
        [_, true] => failed(format!(
            "{user} holds a wildcard, which carries no authority: the guards refuse it; take the wildcard away"
        )),
        _ => failed(format!(
            "{user} may not {VERB_ENFORCE}; install the chart's roles"
        )),
    }
}

/// The rights without which something that is promised is not done. All of them are in the chart's roles, with reasons.
pub(super) async fn rights(client: &Client, namespace: &str) -> Found {
    let mut missing = Vec::new();
    for (verb, resource, only_in) in RIGHTS {
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(plural.to_owned()),
            subresource: Some(subresource.to_owned()),
            verb: Some(verb.to_owned()),
            namespace: Some(only_in.to_owned()),
            ..ResourceAttributes::default()
        };
        match may(client, namespace, attributes).await {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{verb} {resource}")),
            Err(error) => return unread("what others may do (SubjectAccessReviews)", &error),
        }
    }
    if missing.is_empty() {
        passed(format!("{} rights", RIGHTS.len()))
    } else {
        failed(format!(
            "{} may not {}; install the chart's roles",
            operator_user(namespace),
            missing.join(", ")
        ))
    }
}
