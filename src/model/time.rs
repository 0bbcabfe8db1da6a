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
