//! Moments as configurations store them (FILETIME) and as people read them (UTC).
//!
//! No time zone but UTC: the zone of the host that wrote a file is not in the file.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// FILETIME counts 100 ns from 1601-01-01 UTC; this is 1970-01-01.
const UNIX_EPOCH_FILETIME: u64 = 116_444_736_000_000_000;
const TICKS_PER_SECOND: u64 = 10_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// A moment in UTC between the years 2000 and 2100, to 100 ns. Orders by time; prints as RFC 3339, whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp {
    /// 100 ns since 1970-01-01 UTC.
    ticks: u64,
}

impl Timestamp {
    /// The moment a FILETIME states. `None` for 0, which means never, and for years outside 2000 to 2100: there were no
    /// VMs, so the number is none of this kind or its bytes are in the wrong order.
    #[must_use]
    pub fn from_filetime(filetime: u64) -> Option<Self> {
        let at = Self { ticks: filetime.checked_sub(UNIX_EPOCH_FILETIME)? };
        (2000..=2100).contains(&at.date().0).then_some(at)
    }

    /// The moment of a file system's time stamp, under the same guard.
    #[must_use]
    pub fn from_system_time(time: SystemTime) -> Option<Self> {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        let ticks = u64::try_from(since.as_nanos() / 100).ok()?;
        Self::from_filetime(ticks.checked_add(UNIX_EPOCH_FILETIME)?)
    }

    /// Whole seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.ticks / TICKS_PER_SECOND
    }

    /// Year, month and day by the count of days, in eras of 400 years that begin in March so that the leap day is last
    /// (the method of Howard Hinnant's `civil_from_days`).
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "ticks / 864e9 is below 2.2e7 days, nothing here can grow"
    )]
    fn date(self) -> (u64, u64, u64) {
        let days = self.unix_seconds() / SECONDS_PER_DAY + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        (era * 400 + year_of_era + u64::from(month <= 2), month, day)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        let rest = Duration::from_nanos((at.ticks % TICKS_PER_SECOND).saturating_mul(100));
        // Years to 2100 fit every platform's clock; an addition that did not would leave the epoch.
        UNIX_EPOCH
            .checked_add(Duration::from_secs(at.unix_seconds()).saturating_add(rest))
            .unwrap_or(UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let second = self.unix_seconds() % SECONDS_PER_DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filetime: u64) -> Option<String> {
        Timestamp::from_filetime(filetime).map(|at| at.to_string())
    }

    #[test]
    fn moments_of_real_configurations_print_as_their_dates() {
        let vm = u64::from_le_bytes([0xFC, 0xEC, 0x38, 0xB4, 0xF1, 0x42, 0xD9, 0x01]);
        assert_eq!(shown(vm).as_deref(), Some("2023-02-17T17:03:06Z"));
        let vm = u64::from_le_bytes([0xA7, 0x6E, 0x45, 0x66, 0x9E, 0x97, 0xD7, 0x01]);
        assert_eq!(shown(vm).as_deref(), Some("2021-08-22T21:41:00Z"));
    }

    #[test]
    fn years_without_vms_are_refused_to_the_second() {
        let filetime = |unix: u64| UNIX_EPOCH_FILETIME + unix * TICKS_PER_SECOND;
        assert_eq!(shown(filetime(946_684_799)), None);
        assert_eq!(shown(filetime(946_684_800)).as_deref(), Some("2000-01-01T00:00:00Z"));
        assert_eq!(shown(filetime(4_133_980_799)).as_deref(), Some("2100-12-31T23:59:59Z"));
        assert_eq!(shown(filetime(4_133_980_800)), None);
        assert_eq!((shown(0), shown(u64::MAX)), (None, None));
        assert_eq!(shown(0xFCEC_38B4_F142_D901), None, "the wrong order of bytes");
    }

    #[test]
    fn dates_agree_with_counting_days_one_by_one() {
        let (mut year, mut month, mut day) = (2000, 1, 1);
        for days in 10_957..10_957 + 36_890 {
            let at = Timestamp { ticks: days * SECONDS_PER_DAY * TICKS_PER_SECOND };
            assert_eq!(at.date(), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn the_systems_clock_keeps_the_fraction() {
        let at = Timestamp { ticks: 946_684_800 * TICKS_PER_SECOND + 7 };
        assert_eq!(SystemTime::from(at), UNIX_EPOCH + Duration::new(946_684_800, 700));
    }
}
