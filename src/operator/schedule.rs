//! What is to be planned, and when: a queue without duplicates, the plans' next instants, and the work under way.
//!
//! Pure: instants come in as arguments. May not: poll. A unit is planned because something that it reads changed, or
//! because an instant that its last plan named has come.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::{Target, Unit};

/// While its writes are under way, a unit is looked at again after so many times what its last plan took: a small one at
/// once, and a large one does not keep the others waiting.
const PACE: i32 = 4;
/// But never later than this: what is to be closed must be noticed.
const LONGEST_PACE: SignedDuration = SignedDuration::from_millis(400);
/// A report waits until nothing else is left to be written, but no longer than this.
const REPORT_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// A namespace of which only one grant changed is planned after this long: that grant is planned by itself, at once.
const SOON: SignedDuration = SignedDuration::from_millis(250);
/// With so many units at work, grants are written by their namespace's rounds alone, which a crowd cannot multiply.
const CROWD: usize = 32;
/// Rounds and reports under way at once. More would wait for their requests and grow old; their units wait instead, and
/// are planned when it is their turn.
const ROUNDS: usize = 48;
/// A clock that goes back by less than this is being steered.
const SET_BACK: SignedDuration = SignedDuration::from_secs(1);
/// Paths of one unit that are being closed at once: another unit's closing must not queue behind thousands.
const CLOSINGS: usize = 64;

/// The schedule.
#[derive(Debug, Default)]
pub struct Schedule {
    /// Units whose instant has come; before all others.
    due: VecDeque<Unit>,
    queue: VecDeque<Unit>,
    /// What is in either queue. A unit that is not in here was taken out by the other queue.
    queued: BTreeSet<Unit>,
    work: BTreeMap<Unit, Work>,
    /// Rounds and reports under way.
    rounds: usize,
    /// Units that wait for their turn to write.
    waiting: VecDeque<Unit>,
    /// What is in `waiting`. A unit that is not in here had its turn already.
    waits: BTreeSet<Unit>,
    /// What a round is writing, of whichever unit: a grant and its namespace ask for the same.
    writing: BTreeSet<Target>,
    /// What is being closed, of whichever unit.
    closing: BTreeSet<Target>,
    alarms: Alarms,
    /// When alarms were last looked at.
    rung: Option<Timestamp>,
    /// When a unit with work under way is looked at again.
    looks: Alarms,
    /// Since when a unit's report waits for the rest of its writes.
    unreported: BTreeMap<Unit, Timestamp>,
}

/// What is under way for a unit.
#[derive(Debug, Default)]
struct Work {
    round: bool,
    writing: BTreeSet<Target>,
    report: bool,
    closings: BTreeSet<Target>,
    look_at: Timestamp,
}

impl Work {
    fn is_done(&self) -> bool {
        !self.round && !self.report && self.closings.is_empty()
    }
}

/// One instant a unit, and the earliest of all.
#[derive(Debug, Default)]
struct Alarms {
    by_instant: BTreeSet<(Timestamp, Unit)>,
    by_unit: BTreeMap<Unit, Timestamp>,
}

impl Alarms {
    fn set(&mut self, unit: &Unit, instant: Option<Timestamp>) {
        if let Some(former) = self.by_unit.remove(unit) {
            self.by_instant.remove(&(former, unit.clone()));
        }
        if let Some(instant) = instant {
            self.by_unit.insert(unit.clone(), instant);
            self.by_instant.insert((instant, unit.clone()));
        }
    }

    /// No later than then.
    fn set_by(&mut self, unit: &Unit, instant: Timestamp) {
        if self.by_unit.get(unit).is_none_or(|set| instant < *set) {
            self.set(unit, Some(instant));
        }
    }

    fn earliest(&self) -> Option<Timestamp> {
        self.by_instant.first().map(|(instant, _)| *instant)
    }

    fn take_due(&mut self, now: Timestamp) -> Option<Unit> {
        if self.earliest()? > now {
            return None;
        }
        let (_, unit) = self.by_instant.pop_first()?;
        self.by_unit.remove(&unit);
        Some(unit)
    }
}

/// The queue.
impl Schedule {
    /// Something that the unit reads changed. Where its writes are under way, it is looked at no more often than its
    /// [`PACE`] allows, because each of those writes is such a change.
    pub fn mark(&mut self, unit: Unit) {
        match self.work.get(&unit) {
            Some(work) => self.looks.set_by(&unit, work.look_at),
            None => {
                if self.queued.insert(unit.clone()) {
                    self.queue.push_back(unit);
                }
            }
        }
    }

    /// Something changed that the unit may take its time for: a moment, in which much else may happen.
    pub fn mark_soon(&mut self, unit: Unit, now: Timestamp) {
        if self.work.contains_key(&unit) {
            self.mark(unit);
        } else if !self.queued.contains(&unit) {
            self.looks
                .set_by(&unit, now.checked_add(SOON).unwrap_or(now));
        }
    }

    /// Something changed that nobody waits for: the unit is planned in a while, if nothing else has it planned before.
    pub fn mark_later(&mut self, unit: &Unit, now: Timestamp) {
        if !self.queued.contains(unit) {
            let then = now.checked_add(REPORT_PATIENCE).unwrap_or(now);
            self.looks.set_by(unit, then);
        }
    }

    /// The next unit to plan.
    pub fn next(&mut self) -> Option<Unit> {
        while let Some(unit) = self.due.pop_front().or_else(|| self.queue.pop_front()) {
            if self.queued.remove(&unit) {
                self.looks.set(&unit, None);
                return Some(unit);
            }
        }
        while self.rounds < ROUNDS {
            let unit = self.waiting.pop_front()?;
            if self.waits.remove(&unit) {
                return Some(unit);
            }
        }
        None
    }

    /// Whether any unit waits to be planned now.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.queued.is_empty() || (self.rounds < ROUNDS && !self.waits.is_empty())
    }

    /// The unit is to be planned again at that instant; a former alarm of it counts no more.
    pub fn set_alarm(&mut self, unit: &Unit, instant: Option<Timestamp>) {
        self.alarms.set(unit, instant);
    }

    /// Puts the units whose instant has come before all others. Where the clock was set back, that is every unit that waits
    /// for one: what failed or was looked at just before would otherwise wait until the clock is again where it was.
    pub fn ring(&mut self, now: Timestamp) {
        let set_back = |rung: Timestamp| rung.duration_since(now) > SET_BACK;
        let due = if self.rung.is_some_and(set_back) {
            Timestamp::MAX
        } else {
            now
        };
        self.rung = Some(now);
        while let Some(unit) = self
            .alarms
            .take_due(due)
            .or_else(|| self.looks.take_due(due))
        {
            self.queued.insert(unit.clone());
            self.due.push_back(unit);
        }
    }

    /// The earliest instant that any unit waits for.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let instants = [self.alarms.earliest(), self.looks.earliest()];
        instants.into_iter().flatten().min()
    }
}

/// The work under way.
impl Schedule {
    /// The unit was planned, which took so long. While its work goes on, that is enough for a moment.
    pub fn planned(&mut self, unit: &Unit, now: Timestamp, took: Duration) {
        if let Some(work) = self.work.get_mut(unit) {
            let pace = SignedDuration::try_from(took)
                .ok()
                .and_then(|took| took.checked_mul(PACE))
                .map_or(LONGEST_PACE, |pace| pace.min(LONGEST_PACE));
            work.look_at = now.checked_add(pace).unwrap_or(now);
        }
    }

    /// Whether a round is writing the object, of whichever unit.
    #[must_use]
    pub fn is_writing(&self, target: &Target) -> bool {
        self.writing.contains(target)
    }

    /// A round of the unit's writes begins. Says whether it may: there is one round of a unit at a time, and in a crowd
    /// none of a grant alone.
    pub fn begin_round<'a>(
        &mut self,
        unit: &Unit,
        targets: impl IntoIterator<Item = &'a Target>,
    ) -> bool {
        if matches!(unit, Unit::Grant(_)) && self.work.len() >= CROWD {
            return false;
        }
        let has_round = self.work.get(unit).is_some_and(|work| work.round);
        if has_round || !self.take_turn(unit) {
            return false;
        }
        let work = self.work.entry(unit.clone()).or_default();
        work.round = true;
        work.writing = targets.into_iter().cloned().collect();
        self.writing.extend(work.writing.iter().cloned());
        true
    }

    /// The closing of an object begins. Says whether it may: not twice at once, and not thousands of one unit.
    pub fn begin_closing(&mut self, unit: &Unit, target: &Target) -> bool {
        let closings = self.work.get(unit).map_or(0, |work| work.closings.len());
        let may = closings < CLOSINGS && self.closing.insert(target.clone());
        if may {
            let work = self.work.entry(unit.clone()).or_default();
            work.closings.insert(target.clone());
        }
        may
    }

    /// The unit's report is wanted, beside other writes or not. Says whether it may begin. It sums up what the others
    /// bring about, so it comes after them, and nothing waits for it.
    pub fn begin_report(&mut self, unit: &Unit, beside_others: bool, now: Timestamp) -> bool {
        let since = *self.unreported.entry(unit.clone()).or_insert(now);
        let work = self.work.get(unit);
        let wait = (beside_others || work.is_some_and(|work| work.round))
            && now.duration_since(since) < REPORT_PATIENCE;
        if wait || work.is_some_and(|work| work.report) || !self.take_turn(unit) {
            return false;
        }
        self.work.entry(unit.clone()).or_default().report = true;
        self.unreported.remove(unit);
        true
    }

    /// Takes one of the turns to write, or waits for one.
    fn take_turn(&mut self, unit: &Unit) -> bool {
        if self.rounds >= ROUNDS {
            if self.waits.insert(unit.clone()) {
                self.waiting.push_back(unit.clone());
            }
            return false;
        }
        self.rounds += 1;
        true
    }

    /// Nothing of the unit is to be reported.
    pub fn is_reported(&mut self, unit: &Unit) {
        self.unreported.remove(unit);
    }

    /// A write of the unit's round was answered, one way or the other: whoever has the next one for this object may send it.
    pub fn finish_write(&mut self, unit: &Unit, target: &Target) {
        if let Some(work) = self.work.get_mut(unit)
            && work.writing.remove(target)
        {
            self.writing.remove(target);
        }
    }

    /// The round is done.
    pub fn finish_round(&mut self, unit: &Unit) {
        if let Some(work) = self.work.get_mut(unit)
            && std::mem::take(&mut work.round)
        {
            self.rounds -= 1;
            for target in std::mem::take(&mut work.writing) {
                self.writing.remove(&target);
            }
        }
        self.after_work(unit);
    }

    /// The report is done, one way or the other.
    pub fn finish_report(&mut self, unit: &Unit) {
        if let Some(work) = self.work.get_mut(unit)
            && std::mem::take(&mut work.report)
        {
            self.rounds -= 1;
        }
        self.after_work(unit);
    }

    /// The closing is done, one way or the other.
    pub fn finish_closing(&mut self, unit: &Unit, target: &Target) {
        if let Some(work) = self.work.get_mut(unit) {
            work.closings.remove(target);
        }
        self.closing.remove(target);
        self.after_work(unit);
    }

    /// How many units are being worked on.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.work.len()
    }

    /// A unit without work is planned at once: there may be more to do, and the work itself changed what it reads.
    fn after_work(&mut self, unit: &Unit) {
        if self.work.get(unit).is_none_or(Work::is_done) {
            self.work.remove(unit);
            self.looks.set(unit, None);
        }
        self.mark(unit.clone());
    }
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

    fn in_milliseconds(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn path(name: &str) -> Target {
        Target::new(Kind::NetworkPolicy, ObjectKey::new("acme", name))
    }

    #[test]
    fn a_unit_is_queued_once_however_often_it_is_marked() {
        let mut schedule = Schedule::default();
        schedule.mark(unit("acme"));
        schedule.mark(unit("acme"));
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.next(), None);
        assert!(!schedule.has_ready());
    }

    #[test]
    fn a_busy_unit_does_not_hold_up_another_and_is_planned_again_when_its_work_is_done() {
        let mut schedule = Schedule::default();
        assert!(schedule.begin_round(&unit("acme"), []));
        schedule.mark(unit("acme"));
        schedule.mark(unit("globex"));
        assert_eq!(schedule.next(), Some(unit("globex")));
        assert_eq!(schedule.next(), None);
        schedule.finish_round(&unit("acme"));
        assert_eq!(schedule.busy(), 0);
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.wakes_at(), None);
    }

    #[test]
    fn a_busy_unit_that_changes_is_looked_at_soon_and_the_less_often_the_longer_its_plans_take() {
        let mut schedule = Schedule::default();
        assert!(schedule.begin_round(&unit("acme"), []));
        for (took, look_at) in [(0, 1000), (5, 1020), (50, 1200), (5_000, 1400)] {
            schedule.planned(
                &unit("acme"),
                in_milliseconds(1000),
                Duration::from_millis(took),
            );
            for _ in 0..3 {
                schedule.mark(unit("acme"));
            }
            assert_eq!(schedule.wakes_at(), Some(in_milliseconds(look_at)));
            schedule.ring(in_milliseconds(look_at - 1));
            assert_eq!(schedule.next(), None);
            schedule.ring(in_milliseconds(look_at));
            assert_eq!(schedule.next(), Some(unit("acme")));
        }
        assert!(
            !schedule.begin_round(&unit("acme"), []),
            "one round at a time"
        );
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting() {
        let mut schedule = Schedule::default();
        schedule.ring(at(7200));
        schedule.set_alarm(&unit("acme"), Some(at(7260)));
        schedule.ring(in_milliseconds(7_199_500));
        assert_eq!(schedule.next(), None, "it is being steered");
        schedule.ring(at(3600));
        assert_eq!(schedule.next(), Some(unit("acme")));
        schedule.set_alarm(&unit("acme"), Some(at(3660)));
        schedule.ring(at(3601));
        assert_eq!(schedule.next(), None);
        schedule.ring(at(3660));
        assert_eq!(schedule.next(), Some(unit("acme")));
    }

    #[test]
    fn a_report_comes_after_the_other_writes_and_holds_none_of_them_up() {
        let mut schedule = Schedule::default();
        assert!(!schedule.begin_report(&unit("acme"), true, at(0)));
        assert_eq!(schedule.busy(), 0);
        assert!(schedule.begin_round(&unit("acme"), []));
        assert!(!schedule.begin_report(&unit("acme"), false, at(1)));
        schedule.finish_round(&unit("acme"));
        assert!(schedule.begin_report(&unit("acme"), false, at(2)));
        assert!(!schedule.begin_report(&unit("acme"), false, at(2)), "once");
        assert!(schedule.begin_round(&unit("acme"), []));
        schedule.finish_report(&unit("acme"));
        schedule.finish_round(&unit("acme"));
        assert_eq!(schedule.busy(), 0);
    }

    #[test]
    fn writes_without_an_end_do_not_put_a_report_off_for_ever() {
        let mut schedule = Schedule::default();
        assert!(schedule.begin_round(&unit("acme"), []));
        assert!(!schedule.begin_report(&unit("acme"), true, at(0)));
        assert!(!schedule.begin_report(&unit("acme"), true, at(4)));
        assert!(schedule.begin_report(&unit("acme"), true, at(5)));
        schedule.finish_report(&unit("acme"));
        assert!(!schedule.begin_report(&unit("acme"), true, at(6)));
        schedule.is_reported(&unit("acme"));
        assert!(!schedule.begin_report(&unit("acme"), true, at(20)));
    }

    fn grant(name: &str) -> Unit {
        Unit::Grant(ObjectKey::new("acme", name))
    }

    #[test]
    fn a_namespace_of_which_one_grant_changed_is_planned_soon_once_and_not_put_off_for_ever() {
        let mut schedule = Schedule::default();
        for milliseconds in [0, 100, 200] {
            schedule.mark(grant("metrics"));
            schedule.mark_soon(unit("acme"), in_milliseconds(milliseconds));
            assert_eq!(schedule.next(), Some(grant("metrics")));
            assert_eq!(schedule.next(), None);
        }
        assert_eq!(schedule.wakes_at(), Some(in_milliseconds(250)));
        schedule.ring(in_milliseconds(250));
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.wakes_at(), None);
    }

    #[test]
    fn what_cannot_take_its_time_is_planned_at_once_and_not_again_soon() {
        let mut schedule = Schedule::default();
        schedule.mark_soon(unit("acme"), at(0));
        schedule.mark(unit("acme"));
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.wakes_at(), None);
    }

    #[test]
    fn what_a_grant_writes_its_namespace_does_not_write_at_the_same_time() {
        let mut schedule = Schedule::default();
        assert!(schedule.begin_round(&grant("a"), [&path("a")]));
        assert!(schedule.is_writing(&path("a")));
        assert!(!schedule.is_writing(&path("b")));
        schedule.finish_write(&grant("a"), &path("a"));
        assert!(!schedule.is_writing(&path("a")));
        assert!(schedule.begin_round(&unit("acme"), [&path("a")]));
        schedule.finish_round(&grant("a"));
        assert!(schedule.is_writing(&path("a")));
        schedule.finish_round(&unit("acme"));
        assert!(
            !schedule.is_writing(&path("a")),
            "what a round left unwritten too"
        );
        assert!(schedule.begin_closing(&grant("a"), &path("a")));
        assert!(!schedule.begin_closing(&unit("acme"), &path("a")));
        schedule.finish_closing(&grant("a"), &path("a"));
        assert_eq!(schedule.busy(), 0);
        assert!(schedule.begin_closing(&unit("acme"), &path("a")));
    }

    #[test]
    fn a_crowd_of_grants_is_left_to_its_namespace_but_each_may_still_close() {
        let mut schedule = Schedule::default();
        let begun = (0..1000)
            .filter(|number| schedule.begin_round(&grant(&number.to_string()), []))
            .count();
        assert_eq!(begun, CROWD);
        assert!(schedule.begin_round(&unit("acme"), []));
        assert!(schedule.begin_closing(&grant("last"), &path("last")));
    }

    #[test]
    fn thousands_of_units_write_in_turn_and_each_is_planned_anew_when_its_turn_has_come() {
        let mut schedule = Schedule::default();
        let units: Vec<Unit> = (0..1000).map(|number| unit(&number.to_string())).collect();
        for unit in &units {
            schedule.mark(unit.clone());
        }
        let mut written = Vec::new();
        let mut under_way = VecDeque::new();
        while schedule.has_ready() || !under_way.is_empty() {
            while let Some(next) = schedule.next() {
                if written.contains(&next) {
                    continue;
                }
                if schedule.begin_round(&next, []) {
                    under_way.push_back(next);
                }
            }
            assert!(under_way.len() <= ROUNDS);
            if let Some(done) = under_way.pop_front() {
                written.push(done.clone());
                schedule.finish_round(&done);
            }
        }
        assert_eq!(written, units);
        assert_eq!(schedule.busy(), 0);
    }

    #[test]
    fn closing_waits_for_no_turn() {
        let mut schedule = Schedule::default();
        for number in 0..ROUNDS {
            assert!(schedule.begin_round(&unit(&number.to_string()), []));
        }
        assert!(!schedule.begin_round(&unit("acme"), []));
        assert!(!schedule.begin_report(&unit("acme"), false, at(0)));
        assert_eq!(schedule.next(), None, "no turn is free");
        assert!(schedule.begin_closing(&unit("acme"), &path("a")));
        schedule.finish_round(&unit("0"));
        let planned: Vec<Unit> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(planned, [unit("0"), unit("acme")]);
    }

    #[test]
    fn what_must_be_closed_does_not_wait_for_the_round_under_way() {
        let mut schedule = Schedule::default();
        assert!(schedule.begin_round(&unit("acme"), []));
        assert!(schedule.begin_closing(&unit("acme"), &path("a")));
        assert!(!schedule.begin_closing(&unit("acme"), &path("a")));
        schedule.finish_round(&unit("acme"));
        assert_eq!(schedule.busy(), 1);
        schedule.finish_closing(&unit("acme"), &path("a"));
        assert_eq!(schedule.busy(), 0);
        assert_eq!(schedule.next(), Some(unit("acme")));
    }

    #[test]
    fn what_may_wait_long_puts_off_nothing_that_may_wait_a_moment() {
        let mut schedule = Schedule::default();
        schedule.mark_later(&unit("acme"), at(100));
        assert_eq!(schedule.wakes_at(), Some(at(105)));
        schedule.mark_soon(unit("acme"), at(101));
        let soon = schedule.wakes_at().unwrap();
        assert!(soon > at(101) && soon < at(102), "{soon}");
        schedule.mark_later(&unit("acme"), at(101));
        assert_eq!(schedule.wakes_at(), Some(soon));
        schedule.mark(unit("acme"));
        assert_eq!(schedule.next(), Some(unit("acme")));
        assert_eq!(schedule.wakes_at(), None);
    }

    #[test]
    fn one_units_closings_leave_room_for_anothers() {
        let mut schedule = Schedule::default();
        let begun = (0..1000)
            .filter(|number| schedule.begin_closing(&unit("acme"), &path(&number.to_string())))
            .count();
        assert_eq!(begun, CLOSINGS);
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
    fn a_unit_whose_instant_has_come_goes_before_all_others_and_once() {
        let mut schedule = Schedule::default();
        for name in ["first", "second", "acme", "third"] {
            schedule.mark(unit(name));
        }
        schedule.set_alarm(&unit("acme"), Some(at(10)));
        schedule.ring(at(10));
        let order: Vec<Unit> = std::iter::from_fn(|| schedule.next()).collect();
        assert_eq!(order, ["acme", "first", "second", "third"].map(unit));
    }

    #[test]
    fn an_instant_that_comes_during_a_round_does_not_wait_for_its_end() {
        let mut schedule = Schedule::default();
        schedule.set_alarm(&unit("acme"), Some(at(10)));
        assert!(schedule.begin_round(&unit("acme"), []));
        schedule.ring(at(10));
        assert_eq!(schedule.next(), Some(unit("acme")));
    }
}
