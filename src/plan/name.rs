//! Names of the objects of a grant's path.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

use crate::api::names::GRANT_OBJECT_PREFIX;
use crate::model::Meta;

/// Room for the grant's own name, so that the whole fits into 63 characters (a Job's name becomes a label value).
const READABLE: usize = 40;
/// 50 bits of the digest: enough that no two grants of a namespace meet.
const DIGEST: usize = 10;

/// The one name of a path's policy and timer in `namespace`: readable, and bound to the grant's uid, so that a grant that
/// is created anew under the same name never meets what its predecessor left.
pub(super) fn of_path(grant: &Meta, namespace: &str) -> String {
    let identity = if grant.uid.is_empty() {
        grant.key.to_string()
    } else {
        grant.uid.clone()
    };
    let digest = BASE32_NOPAD
        .encode(&Sha256::digest(format!("{identity}\n{namespace}")))
        .to_ascii_lowercase();
    let readable: String = grant
        .key
        .name
        .chars()
        .take(READABLE)
        .map(|letter| if letter == '.' { '-' } else { letter })
        .collect();
    let digest = digest.get(..DIGEST).unwrap_or(&digest);
    format!(
        "{GRANT_OBJECT_PREFIX}{}-{digest}",
        readable.trim_matches('-')
    )
}
