//! A second clock: the API server's, as it dates its answers. A clock that jumps would free and dispose of years of data at
//! once.
//!
//! May not: say which of two clocks is right. Where they differ, both are doubted.

use std::time::{Duration, Instant};

use http::Request;
use http::header::DATE;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;

use super::clock;

/// Clocks that differ by more than this are doubted.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(120);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why this machine's clock is doubted; nothing where the API server's agrees with it.
pub async fn doubt(client: &Client) -> Option<String> {
    let request = Request::get("/version").body(Body::empty());
    let Ok(request) = request else {
        return Some("the API server's time cannot be asked for".to_owned());
    };
    let before = clock::now();
    let answer = tokio::time::timeout(PATIENCE, client.send(request)).await;
    let after = clock::now();
    let response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Some(format!("the API server's time is not known: {error}")),
        Err(_) => return Some("the API server's time is not known: no answer in time".to_owned()),
    };
    let dated = response
        .headers()
        .get(DATE)
        .and_then(|text| text.to_str().ok())
        .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
        .map(|dated| dated.timestamp());
    match dated {
        None => Some("the API server does not date its answers".to_owned()),
        Some(theirs) => difference(before, theirs, after),
    }
}

/// An answer that was dated outside of the time in which it was waited for.
fn difference(before: Timestamp, theirs: Timestamp, after: Timestamp) -> Option<String> {
    let early = before.duration_since(theirs) > TOLERANCE;
    let late = theirs.duration_since(after) > TOLERANCE;
    (early || late).then(|| {
        format!(
            "the operator's clock says {after:.0} and the API server's {theirs}; set them right, and it goes on by itself"
        )
    })
}

/// Notices when the wall clock does not move with the time that passes.
pub struct Pace {
    wall: Timestamp,
    passed: Instant,
}

impl Pace {
    /// From now on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            wall: clock::now(),
            passed: clock::started(),
        }
    }

    /// Whether the wall clock jumped since this was last asked.
    pub fn jumped(&mut self) -> bool {
        let (wall, passed) = (clock::now(), clock::started());
        let by_wall = wall.duration_since(self.wall);
        let by_time = passed.duration_since(self.passed);
        *self = Self { wall, passed };
        let by_time = SignedDuration::try_from(by_time).unwrap_or(SignedDuration::MAX);
        by_wall.saturating_sub(by_time).abs() > TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_answer_dated_within_two_minutes_of_its_request_is_believed() {
        assert_eq!(difference(at(1000), at(1000), at(1010)), None);
        assert_eq!(difference(at(1000), at(880), at(1010)), None);
        assert_eq!(difference(at(1000), at(1130), at(1010)), None);
    }

    #[test]
    fn a_clock_ten_years_ahead_or_behind_is_doubted() {
        let ten_years = 10 * 365 * 86_400;
        for theirs in [879, 1131, 1000 - ten_years, 1000 + ten_years] {
            assert!(
                difference(at(1000), at(theirs), at(1010)).is_some(),
                "{theirs}"
            );
        }
    }
}
