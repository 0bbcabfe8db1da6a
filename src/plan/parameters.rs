//! What guards must read of a namespace: the one object that several of them share.
//!
//! May not: let a field be missing because its baseline is: the stricter reading stands there instead.

use super::ParametersPlan;
use super::encryption::{Guarded, guarded};
use super::standing::Standing;
use super::telemetry;
use crate::api::{GuardParametersSpec, RetentionRule};
use crate::model::World;

/// What guards must read, with these minimums. None where it is to be left alone.
pub(super) fn parameters(
    world: &World,
    namespace: &str,
    standing: &Standing,
    retention: Vec<RetentionRule>,
) -> Option<ParametersPlan> {
    match standing {
        // While a namespace observes, guards only warn; what they will read stands ready for the moment at which it does not
        // any more, which may come with the operator dead.
        Standing::InForce { .. } | Standing::Observing { .. } => {
            let Guarded {
                storage_classes,
                empty_dir,
                minimum_tls,
            } = guarded(world, standing);
            let spec = Some(GuardParametersSpec {
                retention,
                storage_classes,
                empty_dir,
                minimum_tls,
                telemetry: telemetry::guarded(world, namespace, standing),
            });
            Some(ParametersPlan { spec })
        }
        Standing::Terminating { .. } => None,
        Standing::NotEnrolled | Standing::Exempt => Some(ParametersPlan { spec: None }),
    }
}
