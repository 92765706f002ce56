//! Dates as log lines show them, in UTC: a log read on several machines should not depend on where each stands.

use std::io::Write;

/// Appends `23/Nov/2026:12:40:47 +0000` (nginx `$time_local`).
pub(super) fn push_local(out: &mut Vec<u8>, unix_us: u64) {
    let Moment { year, month, day, hour, minute, second, .. } = Moment::at(unix_us);
    let month = MONTHS.get(month as usize - 1).unwrap_or(&"Jan");
    let _ = write!(out, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
}

/// Appends `2026-11-23T12:40:47+00:00` (nginx `$time_iso8601`).
pub(super) fn push_iso8601(out: &mut Vec<u8>, unix_us: u64) {
    let Moment { year, month, day, hour, minute, second, .. } = Moment::at(unix_us);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00");
}

/// Appends `2026-11-23T12:40:47.123Z` (RFC 3339).
pub(super) fn push_rfc3339(out: &mut Vec<u8>, unix_us: u64) {
    let Moment { year, month, day, hour, minute, second, milli } = Moment::at(unix_us);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
}

/// `20261123T124047Z` (ISO 8601, basic form).
pub fn iso8601_basic(unix_us: u64) -> String {
    let Moment { year, month, day, hour, minute, second, .. } = Moment::at(unix_us);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Appends a duration or an instant in seconds with three decimals, rounded down (nginx's form).
pub(super) fn push_seconds(out: &mut Vec<u8>, us: u64) {
    let _ = write!(out, "{}.{:03}", us / 1_000_000, us / 1_000 % 1_000);
}

/// A point in time, taken apart.
struct Moment {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u64,
}

impl Moment {
    /// The civil date of the proleptic Gregorian calendar. Counts in years that begin on 1 March, so that the leap
    /// day comes last, and in eras of 400 years, which all have the same number of days.
    fn at(unix_us: u64) -> Self {
        let seconds = unix_us / 1_000_000;
        let days = seconds / 86_400 + DAYS_FROM_MARCH_0000_TO_1970;
        let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: seconds / 3_600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            milli: unix_us / 1_000 % 1_000,
        }
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS_PER_ERA: u64 = 146_097;
const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: fn(&mut Vec<u8>, u64), unix_us: u64) -> String {
        let mut out = Vec::new();
        push(&mut out, unix_us);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments() {
        let us = 1_795_437_647_123_456;
        assert_eq!(text(push_local, us), "23/Nov/2026:12:40:47 +0000");
        assert_eq!(text(push_iso8601, us), "2026-11-23T12:40:47+00:00");
        assert_eq!(text(push_rfc3339, us), "2026-11-23T12:40:47.123Z");
        assert_eq!(iso8601_basic(us), "20261123T124047Z");
        assert_eq!(text(push_rfc3339, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(push_rfc3339, 951_782_400_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(push_seconds, 1_999), "0.001");
        assert_eq!(text(push_seconds, us), "1795437647.123");
    }

    #[test]
    fn every_day_of_five_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..500 * 365 {
            let moment = Moment::at(days * 86_400_000_000);
            assert_eq!((moment.year, moment.month, moment.day), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn the_largest_number_is_a_date_too() {
        assert!(text(push_rfc3339, u64::MAX).ends_with('Z'));
    }
}
