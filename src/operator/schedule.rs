//! What is to be planned, and when: a queue without duplicates, the plans' next instants, and patience with what failed.
//!
//! Pure: instants come in as arguments. May not: poll. A unit is planned because something that it reads changed, or
//! because an instant that its last plan named has come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::{Target, Unit};

const FIRST_PATIENCE: Duration = Duration::from_millis(250);
const LAST_PATIENCE: Duration = Duration::from_secs(300);
/// Closing is tried again sooner than anything else.
const LAST_PATIENCE_CLOSING: Duration = Duration::from_secs(5);

/// Writes of one object in [`WINDOW`] beyond which it is left alone for the rest of it. Somebody who undoes what we write,
/// or an apply that does not come to what was planned, costs this much and no more.
const WRITES: u32 = 12;
const WINDOW: SignedDuration = SignedDuration::from_secs(10);

/// The schedule.
#[derive(Debug, Default)]
pub struct Schedule {
    queue: VecDeque<Unit>,
    queued: BTreeSet<Unit>,
    busy: BTreeSet<Unit>,
    alarms: BTreeSet<(Timestamp, Unit)>,
    alarm_of: BTreeMap<Unit, Timestamp>,
    holds: BTreeMap<Target, Hold>,
    recent: BTreeMap<Target, (Timestamp, u32)>,
    swept: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    failures: u32,
    until: Timestamp,
}

impl Schedule {
    /// Something that the unit reads changed.
    pub fn mark(&mut self, unit: Unit) {
        if self.queued.insert(unit.clone()) {
            self.queue.push_back(unit);
        }
    }

    /// The next unit to plan, if one is ready that nobody works on.
    pub fn next(&mut self) -> Option<Unit> {
        let ready = self
            .queue
            .iter()
            .position(|unit| !self.busy.contains(unit))?;
        let unit = self.queue.remove(ready)?;
        self.queued.remove(&unit);
        Some(unit)
    }

    /// Writes of this unit are under way; it is not planned until they are done.
    pub fn begin(&mut self, unit: &Unit) {
        self.busy.insert(unit.clone());
    }

    /// The unit's writes are done.
    pub fn finish(&mut self, unit: &Unit) {
        self.busy.remove(unit);
    }

    /// How many units are being worked on.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.len()
    }

    /// The unit is to be planned again at that instant; a former alarm of it counts no more.
    pub fn set_alarm(&mut self, unit: &Unit, instant: Option<Timestamp>) {
        if let Some(former) = self.alarm_of.remove(unit) {
            self.alarms.remove(&(former, unit.clone()));
        }
        if let Some(instant) = instant {
            self.alarm_of.insert(unit.clone(), instant);
            self.alarms.insert((instant, unit.clone()));
        }
    }

    /// Marks the units whose instant has come.
    pub fn ring(&mut self, now: Timestamp) {
        while let Some((instant, unit)) = self.alarms.first().cloned() {
            if instant > now {
                break;
            }
            self.alarms.remove(&(instant, unit.clone()));
            self.alarm_of.remove(&unit);
            self.mark(unit);
        }
    }

    /// The earliest instant that any unit waits for.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(instant, _)| *instant)
    }

    /// A write of this object failed: it is left alone for a while, longer each time. Returns until when.
    pub fn hold(
        &mut self,
        target: &Target,
        closing: bool,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Timestamp {
        let failures = self.holds.get(target).map_or(0, |hold| hold.failures);
        let last = if closing {
            LAST_PATIENCE_CLOSING
        } else {
            LAST_PATIENCE
        };
        let patience = FIRST_PATIENCE
            .saturating_mul(1 << failures.min(16))
            .min(last);
        // Objects that fail together do not come back together.
        let spread = patience.mul_f64(f64::from(spread_of(target)) / 1024.0);
        let wait = (patience + spread).max(retry_after.unwrap_or_default());
        let until = now
            .checked_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_secs(1)))
            .unwrap_or(now);
        self.holds.insert(
            target.clone(),
            Hold {
                failures: failures.saturating_add(1),
                until,
            },
        );
        until
    }

    /// A write of this object went through. One that is written over and over is left alone for a while; closing never is.
    pub fn release(&mut self, target: &Target, closing: bool, now: Timestamp) {
        self.holds.remove(target);
        let is_over = |begun: Timestamp| now.duration_since(begun) >= WINDOW;
        if self.swept.is_none_or(is_over) {
            self.swept = Some(now);
            self.recent.retain(|_, (begun, _)| !is_over(*begun));
        }
        let (begun, writes) = self.recent.entry(target.clone()).or_insert((now, 0));
        if is_over(*begun) {
            (*begun, *writes) = (now, 0);
        }
        *writes += 1;
        if *writes >= WRITES && !closing {
            let until = begun.checked_add(WINDOW).unwrap_or(now);
            self.holds
                .insert(target.clone(), Hold { failures: 0, until });
        }
    }

    /// Until when the object is left alone, if it is now.
    #[must_use]
    pub fn held_until(&self, target: &Target, now: Timestamp) -> Option<Timestamp> {
        self.holds
            .get(target)
            .map(|hold| hold.until)
            .filter(|&until| until > now)
    }
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

    fn unit(name: &str) -> Unit {
        Unit::Namespace(name.to_owned())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_unit_is_queued_once_however_often_it_is_marked() {
        let mut schedule = Schedule::default();
        schedule.mark(unit("acme"));
        schedule.mark(unit("acme"));
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_busy_unit_waits_and_does_not_hold_up_another() {
        let mut schedule = Schedule::default();
        schedule.begin(&unit("acme"));
        schedule.mark(unit("acme"));
        schedule.mark(unit("globex"));
        assert_eq!(schedule.next(), Some(unit("globex")));
        assert_eq!(schedule.next(), None);
        schedule.finish(&unit("acme"));
        assert_eq!(schedule.next(), Some(unit("acme")));
    }

    #[test]
    fn an_alarm_rings_at_its_instant_and_only_the_last_one_counts() {
        let mut schedule = Schedule::default();
        schedule.set_alarm(&unit("acme"), Some(at(10)));
        schedule.set_alarm(&unit("acme"), Some(at(20)));
        schedule.ring(at(19));
        assert_eq!(schedule.next(), None);
        assert_eq!(schedule.wakes_at(), Some(at(20)));
        schedule.ring(at(20));
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.wakes_at(), None);
    }

    #[test]
    fn patience_grows_is_bounded_and_ends_with_success() {
        let mut schedule = Schedule::default();
        let target = Target::new(Kind::Job, ObjectKey::new("acme", "timer"));
        let mut last = SignedDuration::ZERO;
        for _ in 0..20 {
            let wait = schedule
                .hold(&target, false, None, at(0))
                .duration_since(at(0));
            assert!(wait >= last);
            last = wait;
        }
        assert!(last <= SignedDuration::from_secs(300 + 75));
        schedule.release(&target, false, at(0));
        assert_eq!(schedule.held_until(&target, at(0)), None);
    }

    #[test]
    fn closing_is_tried_again_within_seconds() {
        let mut schedule = Schedule::default();
        let target = Target::new(Kind::NetworkPolicy, ObjectKey::new("acme", "path"));
        for _ in 0..20 {
            let until = schedule.hold(&target, true, None, at(0));
            assert!(until <= at(7));
        }
    }

    #[test]
    fn the_api_servers_own_wish_is_obeyed() {
        let mut schedule = Schedule::default();
        let target = Target::new(Kind::Job, ObjectKey::new("acme", "timer"));
        let until = schedule.hold(&target, false, Some(Duration::from_secs(120)), at(0));
        assert!(until >= at(120));
    }

    #[test]
    fn an_object_that_is_written_over_and_over_is_left_alone_for_a_while_but_closing_is_not() {
        let mut schedule = Schedule::default();
        let target = Target::new(Kind::Posture, ObjectKey::new("acme", "current"));
        for _ in 0..WRITES {
            assert_eq!(schedule.held_until(&target, at(0)), None);
            schedule.release(&target, false, at(0));
        }
        assert_eq!(schedule.held_until(&target, at(0)), Some(at(10)));
        assert_eq!(schedule.held_until(&target, at(10)), None);
        let path = Target::new(Kind::NetworkPolicy, ObjectKey::new("acme", "path"));
        for _ in 0..2 * WRITES {
            schedule.release(&path, true, at(0));
        }
        assert_eq!(schedule.held_until(&path, at(0)), None);
    }
}
