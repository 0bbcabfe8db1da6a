//! Instants, whole days and calendar periods, in UTC.
//!
//! A bare date is the whole day: as a beginning it means the day's first instant, as an end the first instant of the
//! next day. Every interval is half open: `[from, until)`.
//!
//! May not: know what time it is.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use thiserror::Error;

use crate::api::{PeriodText, WhenText};

/// First year that is read.
const FIRST_YEAR: i16 = 1970;
/// Last year that is read. A Job's deadline overflows at 292 years; absurd instants are typing errors.
const LAST_YEAR: i16 = 2199;

/// Why a text is not an instant or a date.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WhenError {
    /// Not of the right form.
    #[error("`{0}` is neither an instant like 2027-01-31T00:00:00Z nor a date like 2027-01-31")]
    Form(String),
    /// A leap second.
    #[error(
        "`{0}` is a leap second, which clocks do not agree on; write second 59 or the next minute"
    )]
    LeapSecond(String),
    /// Out of range.
    #[error("`{0}` is outside the years {FIRST_YEAR} to {LAST_YEAR}")]
    Range(String),
}

/// Why a text is not a period.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeriodError {
    /// Not of the right form.
    #[error("`{0}` is not an ISO 8601 period like P90D, P12M or P1Y")]
    Form(String),
    /// Zero, or too long.
    #[error("`{0}` must be longer than nothing and at most 100 years")]
    Range(String),
}

/// An instant, or a whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Instant(Timestamp),
    Day(Date),
}

/// The first instant that the text means.
///
/// # Errors
/// When the text is neither an instant nor a date within the years that are read.
pub fn beginning(text: &WhenText) -> Result<Timestamp, WhenError> {
    match parse(text)? {
        When::Instant(instant) => Ok(instant),
        When::Day(day) => start_of(day, text),
    }
}

/// The first instant that the text no longer means: the instant itself, or the end of the day.
///
/// # Errors
/// As [`beginning`].
pub fn end(text: &WhenText) -> Result<Timestamp, WhenError> {
    match parse(text)? {
        When::Instant(instant) => Ok(instant),
        When::Day(day) => start_of(next_day(day, text)?, text),
    }
}

/// The first instant at which something done then is more than twelve calendar months old. Month ends are clamped: what
/// was done on 29 February counts until the end of 28 February. A bare date counts to the end of its day.
///
/// # Errors
/// As [`beginning`].
pub fn twelve_months_after(text: &WhenText) -> Result<Timestamp, WhenError> {
    let range = || WhenError::Range(text.0.clone());
    let year = Span::new().months(12);
    match parse(text)? {
        When::Instant(instant) => {
            let later = instant
                .to_zoned(TimeZone::UTC)
                .checked_add(year)
                .map_err(|_| range())?;
            Ok(later.timestamp())
        }
        When::Day(day) => {
            let later = day.checked_add(year).map_err(|_| range())?;
            start_of(next_day(later, text)?, text)
        }
    }
}

/// `period` after `from`, by the calendar in UTC.
///
/// # Errors
/// When the period is not of the right form, or nothing, or longer than 100 years.
pub fn after(from: Timestamp, period: &PeriodText) -> Result<Timestamp, PeriodError> {
    let range = || PeriodError::Range(period.0.clone());
    let span: Span = period
        .0
        .parse()
        .map_err(|_| PeriodError::Form(period.0.clone()))?;
    let begin = from.to_zoned(TimeZone::UTC);
    let later = begin.checked_add(span).map_err(|_| range())?;
    let bound = begin
        .checked_add(Span::new().years(100))
        .map_err(|_| range())?;
    if later <= begin || later > bound {
        return Err(range());
    }
    Ok(later.timestamp())
}

/// Whether the text is a period of whole calendar units or whole seconds, longer than nothing and at most 100 years.
///
/// # Errors
/// When it is not.
pub fn period(text: &PeriodText) -> Result<(), PeriodError> {
    let form = || PeriodError::Form(text.0.clone());
    // What the parser would take beyond the CRD's pattern: signs, fractions, lower case.
    let plain = |byte: u8| byte.is_ascii_digit() || b"PYMWDTHS".contains(&byte);
    if text.0.len() > 32 || !text.0.bytes().all(plain) {
        return Err(form());
    }
    after(Timestamp::UNIX_EPOCH, text).map(drop)
}

/// Whether the text is a grace: a period, or nothing (`PT0S`).
///
/// # Errors
/// When it is not.
pub fn grace(text: &PeriodText) -> Result<(), PeriodError> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"PYMWDTHS".contains(&byte);
    let is_nothing = text.0.parse::<Span>().is_ok_and(|span| span.is_zero());
    if is_nothing && text.0.bytes().all(plain) {
        return Ok(());
    }
    period(text)
}

/// When a grace of this period is over, by the calendar like [`kept_until`]. One that cannot be read is over 100 years later.
#[must_use]
pub fn grace_over(from: Timestamp, period: &PeriodText) -> Timestamp {
    if period.0.parse::<Span>().is_ok_and(|span| span.is_zero()) {
        from
    } else {
        kept_until(from, period).unwrap_or_else(|_| grace_end(from, period))
    }
}

/// Until when something is kept that must be kept for `period` from `from`. By the calendar like [`after`], but where a month
/// is too short for the day, its last day counts whole: what begins later is never free earlier.
///
/// # Errors
/// As [`after`].
pub fn kept_until(from: Timestamp, period: &PeriodText) -> Result<Timestamp, PeriodError> {
    let plain = after(from, period)?;
    let range = || PeriodError::Range(period.0.clone());
    let span: Span = period
        .0
        .parse()
        .map_err(|_| PeriodError::Form(period.0.clone()))?;
    let begin = from.to_zoned(TimeZone::UTC).datetime();
    let months = Span::new()
        .try_years(span.get_years())
        .and_then(|years| years.try_months(span.get_months()))
        .map_err(|_| range())?;
    let moved = begin.checked_add(months).map_err(|_| range())?;
    if moved.day() == begin.day() {
        return Ok(plain);
    }
    let rest = Span::new()
        .try_weeks(span.get_weeks())
        .and_then(|rest| rest.try_days(span.get_days()))
        .and_then(|rest| rest.try_hours(span.get_hours()))
        .and_then(|rest| rest.try_minutes(span.get_minutes()))
        .and_then(|rest| rest.try_seconds(span.get_seconds()))
        .map_err(|_| range())?;
    let day_after = moved.date().tomorrow().map_err(|_| range())?;
    day_after
        .to_datetime(jiff::civil::Time::midnight())
        .checked_add(rest)
        .and_then(|until| until.to_zoned(TimeZone::UTC))
        .map(|until| until.timestamp())
        .map_err(|_| range())
}

/// The latest start from which, and from every earlier one, `period` is over: [`kept_until`] is then at or before now.
///
/// # Errors
/// As [`after`].
pub fn latest_start(now: Timestamp, period: &PeriodText) -> Result<Timestamp, PeriodError> {
    let is_over = |start: i128| -> Result<bool, PeriodError> {
        let range = |_| PeriodError::Range(period.0.clone());
        let start = Timestamp::from_nanosecond(start).map_err(range)?;
        Ok(kept_until(start, period)? <= now)
    };
    // Nothing is kept for more than 100 years, and for a moment at least.
    let century = Span::new().years(101);
    let earliest = now
        .to_zoned(TimeZone::UTC)
        .checked_sub(century)
        .map_err(|_| PeriodError::Range(period.0.clone()))?;
    let mut over = earliest.timestamp().as_nanosecond();
    let mut not_over = now.as_nanosecond();
    if !is_over(over)? {
        return Err(PeriodError::Range(period.0.clone()));
    }
    while not_over - over > 1 {
        let middle = over + (not_over - over) / 2;
        if is_over(middle)? {
            over = middle;
        } else {
            not_over = middle;
        }
    }
    Timestamp::from_nanosecond(over).map_err(|_| PeriodError::Range(period.0.clone()))
}

/// When a grace of this period is over. One that cannot be read, or is too long, counts as 100 years: the stricter reading.
#[must_use]
pub fn grace_end(from: Timestamp, period: &PeriodText) -> Timestamp {
    let is_nothing = period.0.parse::<Span>().is_ok_and(|span| span.is_zero());
    let longest = || after(from, &PeriodText("P100Y".to_owned())).unwrap_or(Timestamp::MAX);
    if is_nothing {
        from
    } else {
        after(from, period).unwrap_or_else(|_| longest())
    }
}

/// The instant as the API shows it.
#[must_use]
pub fn text(instant: Timestamp) -> WhenText {
    WhenText(instant.to_string())
}

fn parse(text: &WhenText) -> Result<When, WhenError> {
    let raw = text.0.as_str();
    let form = || WhenError::Form(raw.to_owned());
    if !well_formed(raw) {
        return Err(form());
    }
    let when = if raw.len() == 10 {
        When::Day(raw.parse().map_err(|_| form())?)
    } else {
        if raw.get(17..19) == Some("60") {
            return Err(WhenError::LeapSecond(raw.to_owned()));
        }
        When::Instant(raw.parse().map_err(|_| form())?)
    };
    let year = match when {
        When::Instant(instant) => instant.to_zoned(TimeZone::UTC).year(),
        When::Day(day) => day.year(),
    };
    if (FIRST_YEAR..=LAST_YEAR).contains(&year) {
        Ok(when)
    } else {
        Err(WhenError::Range(raw.to_owned()))
    }
}

/// RFC 3339 in the narrow form that the CRD's pattern admits; what the parser would take beyond it (`24:00`, basic
/// format, annotations in brackets) is refused here.
fn well_formed(raw: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        raw.get(range)
            .is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mark = |at: usize, expected: char| {
        raw.get(at..=at)
            .is_some_and(|part| part.starts_with(expected))
    };
    let date = digits(0..4) && mark(4, '-') && digits(5..7) && mark(7, '-') && digits(8..10);
    if raw.len() == 10 {
        return date;
    }
    let clock = mark(10, 'T')
        && digits(11..13)
        && mark(13, ':')
        && digits(14..16)
        && mark(16, ':')
        && digits(17..19);
    if raw.len() > 40 || !date || !clock {
        return false;
    }
    let rest = raw.get(19..).unwrap_or_default();
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let end = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&end) {
                return false;
            }
            fraction.get(end..).unwrap_or_default()
        }
    };
    zone == "Z" || {
        let bytes = zone.as_bytes();
        bytes.len() == 6
            && matches!(bytes[0], b'+' | b'-')
            && bytes[3] == b':'
            && [1, 2, 4, 5].iter().all(|&at| bytes[at].is_ascii_digit())
    }
}

fn next_day(day: Date, text: &WhenText) -> Result<Date, WhenError> {
    day.tomorrow().map_err(|_| WhenError::Range(text.0.clone()))
}

fn start_of(day: Date, text: &WhenText) -> Result<Timestamp, WhenError> {
    day.to_zoned(TimeZone::UTC)
        .map(|zoned| zoned.timestamp())
        .map_err(|_| WhenError::Range(text.0.clone()))
}
