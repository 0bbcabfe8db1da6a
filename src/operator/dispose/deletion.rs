//! One delete, with the object's uid and resourceVersion as preconditions: what was replaced, renewed or changed since it was
//! planned stays.
//!
//! May not: try twice, or leave a delete behind that the API server carries out when nobody waits for it any more.

use http::Uri;
use kube::api::{DeleteParams, DynamicObject, Preconditions, PropagationPolicy, Request};
use kube::core::{ApiResource, Resource as _};
use kube::{Client, Error};

use super::PATIENCE;
use crate::api::Propagation;
use crate::plan::Candidate;

/// Seconds after which the API server gives a delete up; less than [`PATIENCE`].
const GIVEN_UP: u64 = 7;

/// What became of an object.
#[derive(Debug)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// It will go: finalizers, or what it owns, go first.
    Accepted,
    /// Somebody else was first.
    WasGone,
    /// It is not the object that was planned any more.
    Changed,
    /// The run was halted first.
    NotTried,
    /// The API server said no: a guard, or a right that is missing.
    Refused(String),
    /// No answer, or none that says.
    Unknown(String),
}

/// Deletes one object.
pub async fn delete(client: &Client, resource: &ApiResource, candidate: &Candidate) -> Deleted {
    let place = DynamicObject::url_path(resource, Some(&candidate.key.namespace));
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(candidate.uid.clone()),
            resource_version: Some(candidate.version.clone()),
        }),
        propagation_policy: Some(match candidate.propagation {
            Propagation::Foreground => PropagationPolicy::Foreground,
            Propagation::Background => PropagationPolicy::Background,
        }),
        ..DeleteParams::default()
    };
    let request = match timed(&place, &candidate.key.name, &parameters) {
        Ok(request) => request,
        Err(error) => return Deleted::Refused(error.to_string()),
    };
    let request = client.request_status::<DynamicObject>(request);
    match tokio::time::timeout(PATIENCE, request).await {
        // The object itself comes back where it is still there, and for some kinds in any case: the stream says when it is gone.
        Ok(Ok(answer)) => answer.either(|_| Deleted::Accepted, |_| Deleted::Gone),
        Ok(Err(Error::Api(status))) => match status.code {
            404 => Deleted::WasGone,
            409 => Deleted::Changed,
            429 | 500.. => Deleted::Unknown(status.message.clone()),
            _ => Deleted::Refused(status.message.clone()),
        },
        Ok(Err(error)) => Deleted::Unknown(error.to_string()),
        Err(_) => Deleted::Unknown("no answer in time".to_owned()),
    }
}

/// The request, which the API server gives up before we do: after that what it has not done it does not do any more.
fn timed(
    place: &str,
    name: &str,
    parameters: &DeleteParams,
) -> Result<http::Request<Vec<u8>>, Box<dyn std::error::Error>> {
    let mut request = Request::new(place).delete(name, parameters)?;
    let path = request.uri().path();
    *request.uri_mut() = format!("{path}?timeout={GIVEN_UP}s").parse::<Uri>()?;
    Ok(request)
}
