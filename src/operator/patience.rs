//! How long to leave an object alone whose write failed, or whose write is undone as soon as it is made.
//!
//! Pure: instants come in as arguments. May not: hold up the closing of a path for anything but its own failures.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::Target;

const FIRST_PATIENCE: Duration = Duration::from_millis(250);
/// With what somebody has to mend: rights, a quota, a name.
const LAST_PATIENCE: Duration = Duration::from_secs(300);
/// With what passes by itself: when the API server is back, the floor must not wait for minutes.
const LAST_PATIENCE_PASSING: Duration = Duration::from_secs(30);
/// Closing is tried again sooner than anything else.
const LAST_PATIENCE_CLOSING: Duration = Duration::from_secs(5);

/// Writes of one object in [`WINDOW`] beyond which it is left alone for the rest of it. Somebody who undoes what we write,
/// or an apply that does not come to what was planned, costs this much and no more.
const WRITES: u32 = 12;
const WINDOW: SignedDuration = SignedDuration::from_secs(10);
/// A failure is remembered for so long after the last wait for it is over.
const MEMORY: SignedDuration = SignedDuration::from_secs(600);

/// What is left alone, and until when.
#[derive(Debug, Default)]
pub struct Patience {
    holds: BTreeMap<(Target, Lane), Hold>,
    /// Writes that went through, and since when they are counted.
    recent: BTreeMap<Target, (Timestamp, u32)>,
    swept: Option<Timestamp>,
}

/// Closing an object is not held up by what failed when it was opened or mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// What takes a path away.
    Closing,
    /// Everything else.
    Rest,
}

/// How long to leave an object alone after a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Passes by itself.
    Passing,
    /// Lasts until somebody does something.
    Lasting,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    failures: u32,
    since: Timestamp,
    until: Timestamp,
}

impl Patience {
    /// A write of this object failed: it is left alone for a while, longer each time. Returns until when.
    pub fn hold(
        &mut self,
        target: &Target,
        lane: Lane,
        cause: Cause,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Timestamp {
        let last = match (lane, cause) {
            (Lane::Closing, _) => LAST_PATIENCE_CLOSING,
            (Lane::Rest, Cause::Passing) => LAST_PATIENCE_PASSING,
            (Lane::Rest, Cause::Lasting) => LAST_PATIENCE,
        };
        let failures = self.hold_of(target, lane).map_or(0, |hold| hold.failures);
        let wait = pause(target, failures, last).max(retry_after.unwrap_or_default());
        let hold = Hold {
            failures: failures.saturating_add(1),
            since: now,
            until: later(now, wait),
        };
        self.holds.insert((target.clone(), lane), hold);
        hold.until
    }

    /// A write of this object went through. One that is written over and over is left alone for a while; closing never is.
    pub fn wrote(&mut self, target: &Target, lane: Lane, now: Timestamp) {
        self.holds.remove(&(target.clone(), lane));
        self.sweep(now);
        if lane == Lane::Closing {
            return;
        }
        let (begun, writes) = self.recent.entry(target.clone()).or_insert((now, 0));
        if is_over(*begun, now) {
            (*begun, *writes) = (now, 0);
        }
        *writes += 1;
        if *writes >= WRITES {
            let hold = Hold {
                failures: 0,
                since: now,
                until: begun.checked_add(WINDOW).unwrap_or(now),
            };
            self.holds.insert((target.clone(), lane), hold);
        }
    }

    /// Until when the object is left alone, if it is now. A clock that was set back ends every wait.
    #[must_use]
    pub fn held_until(&self, target: &Target, lane: Lane, now: Timestamp) -> Option<Timestamp> {
        self.hold_of(target, lane)
            .filter(|hold| hold.since <= now && now < hold.until)
            .map(|hold| hold.until)
    }

    fn hold_of(&self, target: &Target, lane: Lane) -> Option<&Hold> {
        self.holds.get(&(target.clone(), lane))
    }

    /// Objects come and go; what nobody tries any more has no history worth its memory.
    fn sweep(&mut self, now: Timestamp) {
        if self.swept.is_none_or(|swept| is_over(swept, now)) {
            self.swept = Some(now);
            self.recent.retain(|_, (begun, _)| !is_over(*begun, now));
            self.holds
                .retain(|_, hold| now.duration_since(hold.until) < MEMORY);
        }
    }
}

fn is_over(begun: Timestamp, now: Timestamp) -> bool {
    now < begun || now.duration_since(begun) >= WINDOW
}

fn pause(target: &Target, times: u32, last: Duration) -> Duration {
    let pause = FIRST_PATIENCE.saturating_mul(1 << times.min(16)).min(last);
    // Objects that fail together do not come back together.
    pause + pause.mul_f64(f64::from(spread_of(target)) / 1024.0)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(1)))
        .unwrap_or(now)
}

/// A number below 256 that is the object's own: spreads retries without randomness.
fn spread_of(target: &Target) -> u8 {
    target
        .to_string()
        .bytes()
        .fold(17_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;
    use crate::model::{Kind, ObjectKey};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn timer() -> Target {
        Target::new(Kind::Job, ObjectKey::new("acme", "timer"))
    }

    fn path(name: &str) -> Target {
        Target::new(Kind::NetworkPolicy, ObjectKey::new("acme", name))
    }

    #[test]
    fn patience_grows_is_bounded_and_ends_with_success() {
        let mut patience = Patience::default();
        for (cause, bound) in [(Cause::Lasting, 300 + 75), (Cause::Passing, 30 + 8)] {
            let mut last = SignedDuration::ZERO;
            for _ in 0..20 {
                let until = patience.hold(&timer(), Lane::Rest, cause, None, at(0));
                let wait = until.duration_since(at(0));
                assert!(wait >= last);
                last = wait;
            }
            assert!(last <= SignedDuration::from_secs(bound));
            patience.wrote(&timer(), Lane::Rest, at(0));
            assert_eq!(patience.held_until(&timer(), Lane::Rest, at(0)), None);
        }
    }

    #[test]
    fn closing_is_tried_again_within_seconds() {
        let mut patience = Patience::default();
        for _ in 0..20 {
            let until = patience.hold(&path("a"), Lane::Closing, Cause::Lasting, None, at(0));
            assert!(until <= at(7));
        }
    }

    #[test]
    fn what_failed_when_it_was_mended_is_closed_at_once() {
        let mut patience = Patience::default();
        for _ in 0..20 {
            patience.hold(&path("a"), Lane::Rest, Cause::Lasting, None, at(0));
        }
        assert!(
            patience
                .held_until(&path("a"), Lane::Rest, at(60))
                .is_some()
        );
        assert_eq!(patience.held_until(&path("a"), Lane::Closing, at(0)), None);
    }

    #[test]
    fn a_clock_that_was_set_back_ends_every_wait() {
        let mut patience = Patience::default();
        patience.hold(&path("a"), Lane::Closing, Cause::Passing, None, at(3600));
        assert_eq!(patience.held_until(&path("a"), Lane::Closing, at(0)), None);
    }

    #[test]
    fn the_api_servers_own_wish_is_obeyed() {
        let mut patience = Patience::default();
        let wish = Some(Duration::from_secs(120));
        let until = patience.hold(&timer(), Lane::Rest, Cause::Passing, wish, at(0));
        assert!(until >= at(120));
    }

    #[test]
    fn an_object_that_is_written_over_and_over_is_left_alone_for_a_while_but_closing_is_not() {
        let mut patience = Patience::default();
        for _ in 0..WRITES {
            assert_eq!(patience.held_until(&path("a"), Lane::Rest, at(0)), None);
            patience.wrote(&path("a"), Lane::Rest, at(0));
        }
        let until = patience.held_until(&path("a"), Lane::Rest, at(0));
        assert_eq!(until, Some(at(10)));
        assert_eq!(patience.held_until(&path("a"), Lane::Closing, at(0)), None);
        assert_eq!(patience.held_until(&path("a"), Lane::Rest, at(10)), None);
        for _ in 0..2 * WRITES {
            patience.wrote(&path("a"), Lane::Closing, at(20));
        }
        assert_eq!(patience.held_until(&path("a"), Lane::Closing, at(20)), None);
        assert_eq!(patience.held_until(&path("a"), Lane::Rest, at(20)), None);
    }

    #[test]
    fn what_is_over_is_not_remembered_for_ever() {
        let mut patience = Patience::default();
        for second in 0..5_000 {
            let target = path(&second.to_string());
            patience.hold(&target, Lane::Rest, Cause::Lasting, None, at(second));
            patience.wrote(&path("another"), Lane::Rest, at(second));
        }
        assert!(patience.holds.len() < 700, "{}", patience.holds.len());
        assert_eq!(patience.recent.len(), 1);
    }
}
