//! Days, months and periods, counted by hand. Seconds since 1970, in UTC.

/// A period in the narrow form of ISO 8601 that the API admits: months, days and seconds, each of them whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub months: i64,
    pub days: i64,
    pub seconds: i64,
}

const DAY: i64 = 86_400;

fn leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn length(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of January of a year.
fn year_begins(year: i64) -> i64 {
    let before = year - 1;
    let leaps = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    // 477 leap years lie before 1970.
    (year - 1970) * 365 + leaps - 477
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let months: i64 = (1..month).map(|past| length(year, past)).sum();
    year_begins(year) + months + day - 1
}

fn civil(day: i64) -> (i64, i64, i64) {
    let mut year = 1970 + day.div_euclid(366);
    while year_begins(year + 1) <= day {
        year += 1;
    }
    while year_begins(year) > day {
        year -= 1;
    }
    let (mut month, mut rest) = (1, day - year_begins(year));
    while rest >= length(year, month) {
        rest -= length(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The first whole second that is not before an instant such as `2027-01-31T00:00:00Z`, in the years 1970 to 2199.
pub fn instant(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| number(text.get(from..to)?);
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if marks
        .iter()
        .any(|(at, mark)| text.get(*at..at + 1) != Some(mark))
    {
        return None;
    }
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let exists = (1..=12).contains(&month) && (1..=length(year, month)).contains(&day);
    if !exists || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (mut rest, mut up) = (text.get(19..)?, 0);
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        up = i64::from(fraction.bytes().take(digits).any(|digit| digit != b'0'));
        rest = fraction.get(digits..)?;
    }
    let ahead = match rest.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let ahead = number(rest.get(1..3)?)? * 3600 + number(rest.get(4..6)?)? * 60;
            if *sign == b'+' { ahead } else { -ahead }
        }
        _ => return None,
    };
    let at = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - ahead;
    ((0..days(2200, 1, 1) * DAY).contains(&at)).then_some(at + up)
}

/// The same instant as a text.
pub fn text(at: i64) -> String {
    let ((year, month, day), rest) = (civil(at.div_euclid(DAY)), at.rem_euclid(DAY));
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// Reads a period. Nothing, less than nothing, parts of a unit and more than a hundred years are no periods.
pub fn period(text: &str) -> Option<Period> {
    let read = sum(text)?;
    let least = add(0, &read);
    (0 < least && least <= days(2070, 1, 1) * DAY).then_some(read)
}

/// Reads a grace, which may be nothing.
pub fn grace(text: &str) -> Option<Period> {
    let read = sum(text)?;
    (add(0, &read) <= days(2070, 1, 1) * DAY).then_some(read)
}

fn sum(text: &str) -> Option<Period> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text.strip_prefix('P')?, None),
    };
    let mut sum = Period {
        months: 0,
        days: 0,
        seconds: 0,
    };
    if date.is_empty() && time.is_none() || time == Some("") {
        return None;
    }
    let mut units = "YMWD";
    for (count, unit) in pairs(date)? {
        units = units.split_once(unit)?.1;
        match unit {
            'Y' => sum.months += 12 * count,
            'M' => sum.months += count,
            'W' => sum.days += 7 * count,
            _ => sum.days += count,
        }
    }
    let mut units = "HMS";
    for (count, unit) in pairs(time.unwrap_or_default())? {
        units = units.split_once(unit)?.1;
        sum.seconds += count
            * match unit {
                'H' => 3600,
                'M' => 60,
                _ => 1,
            };
    }
    Some(sum)
}

/// Numbers, each with the letter after it.
fn pairs(mut text: &str) -> Option<Vec<(i64, char)>> {
    let mut pairs = Vec::new();
    while !text.is_empty() {
        let at = text.find(|letter: char| !letter.is_ascii_digit())?;
        let unit = text.get(at..)?.chars().next()?;
        pairs.push((number(text.get(..at)?)?, unit));
        text = text.get(at + unit.len_utf8()..)?;
    }
    Some(pairs)
}

/// The day that a period's months and days lead to. A day that the month lacks becomes the month's last.
fn later_day(day: i64, period: &Period) -> i64 {
    let (year, month, of_month) = civil(day);
    let months = year * 12 + month - 1 + period.months;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    days(year, month, of_month.min(length(year, month))) + period.days
}

/// A period after an instant.
pub fn add(start: i64, period: &Period) -> i64 {
    later_day(start.div_euclid(DAY), period) * DAY + start.rem_euclid(DAY) + period.seconds
}

/// A period after an instant; none where that is more than a hundred years.
pub fn after(start: i64, period: &Period) -> Option<i64> {
    let century = Period {
        months: 1200,
        days: 0,
        seconds: 0,
    };
    let end = add(start, period);
    (end <= add(start, &century)).then_some(end)
}

/// Until when something is kept that is kept for a period, at the strictest. A month later, 30 January 23:00 and 31 January
/// 01:00 both come to 28 February, the one that began first being the one that ends last. So that nothing ends before what
/// began before it, a day that a month lacks takes the whole of that month's last day.
pub fn kept_until(start: i64, period: &Period) -> Option<i64> {
    after(start, period)?;
    Some(if lacks_the_day(start.div_euclid(DAY), period) {
        (later_day(start.div_euclid(DAY), period) + 1) * DAY + period.seconds
    } else {
        add(start, period)
    })
}

/// When a grace is over. It may be nothing.
pub fn grace_over(start: i64, grace: &Period) -> Option<i64> {
    if grace.months + grace.days + grace.seconds == 0 {
        Some(start)
    } else {
        kept_until(start, grace)
    }
}

fn lacks_the_day(day: i64, period: &Period) -> bool {
    civil(day).2 != civil(later_day(day, period) - period.days).2
}

/// The last second of which it is true that whatever began then or earlier is kept no longer.
pub fn all_past(now: i64, period: &Period) -> i64 {
    let (on, at) = (
        (now - period.seconds).div_euclid(DAY),
        (now - period.seconds).rem_euclid(DAY),
    );
    let mut day = on - period.days - period.months * 31 - 62;
    loop {
        let ends_on = later_day(day, period);
        let lacks = lacks_the_day(day, period);
        if ends_on > on || (ends_on == on && lacks) {
            return day * DAY - 1;
        }
        if ends_on == on && at < DAY - 1 {
            return day * DAY + at;
        }
        day += 1;
    }
}

#[test]
fn days_are_counted_as_the_calendar_has_them() {
    for (text, day) in [
        ("1970-01-01", 0),
        ("1972-02-29", 789),
        ("2000-02-29", 11_016),
        ("2100-03-01", 47_541),
    ] {
        let midnight = format!("{text}T00:00:00Z");
        assert_eq!(instant(&midnight), Some(day * DAY), "{text}");
        assert_eq!(self::text(day * DAY), midnight);
    }
    for (day, date) in [
        (-1, (1969, 12, 31)),
        (-719_162, (1, 1, 1)),
        (84_005, (2199, 12, 31)),
    ] {
        assert_eq!(civil(day), date);
        assert_eq!(days(date.0, date.1, date.2), day);
    }
}

#[test]
fn an_end_of_a_month_is_the_last_day_of_a_shorter_one() {
    let later = |from: &str, by: &str| text(add(instant(from).unwrap(), &period(by).unwrap()));
    assert_eq!(later("2027-01-31T10:00:00Z", "P1M"), "2027-02-28T10:00:00Z");
    assert_eq!(later("2028-02-29T00:00:00Z", "P1Y"), "2029-02-28T00:00:00Z");
    assert_eq!(
        later("2026-12-31T23:59:59Z", "P2M1DT1S"),
        "2027-03-02T00:00:00Z"
    );
    let past = |now: &str, by: &str| text(all_past(instant(now).unwrap(), &period(by).unwrap()));
    assert_eq!(past("2027-02-28T01:00:00Z", "P1M"), "2027-01-28T01:00:00Z");
    assert_eq!(past("2027-02-28T23:59:59Z", "P1M"), "2027-01-28T23:59:59Z");
    assert_eq!(past("2027-03-01T00:00:00Z", "P1M"), "2027-02-01T00:00:00Z");
    assert_eq!(past("2027-03-30T12:00:00Z", "P1M"), "2027-02-28T23:59:59Z");
}
