//! The one time that everything in a package has.

use std::process::Command;

use super::{DistError, output};
use crate::workspace_root;

/// Seconds since 1970, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment(u64);

const DAY: u64 = 86400;

impl Moment {
    /// What `SOURCE_DATE_EPOCH` says, else when the last commit was made.
    pub(super) fn of_source() -> Result<Self, DistError> {
        if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
            return given.trim().parse().map(Self).map_err(|_| DistError::NoMoment);
        }
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%ct"]).current_dir(workspace_root());
        let said = output(&mut git).map_err(|_| DistError::NoMoment)?;
        String::from_utf8_lossy(&said).trim().parse().map(Self).map_err(|_| DistError::NoMoment)
    }

    pub(super) fn seconds(self) -> u64 {
        self.0
    }

    /// `2024-03-05`
    pub(super) fn date(self) -> String {
        let (year, month, day) = self.civil();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `Tue, 05 Mar 2024 08:30:00 +0000`, as a Debian changelog wants it.
    pub(super) fn rfc_2822(self) -> String {
        // 1 January 1970 was a Thursday.
        let week_day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(self.0 / DAY % 7) as usize];
        let (year, month, day) = self.civil();
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months[month as usize - 1];
        let second = self.0 % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{week_day}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
    }

    /// Year, month and day. Years are counted from March on, so that the day that comes and goes is the last of one.
    fn civil(self) -> (u64, u64, u64) {
        let days = self.0 / DAY + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (era * 400 + year + u64::from(month <= 2), month, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(Moment(0).rfc_2822(), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(Moment(1_709_627_400).rfc_2822(), "Tue, 05 Mar 2024 08:30:00 +0000");
        assert_eq!(Moment(951_782_400).date(), "2000-02-29");
        assert_eq!(Moment(1_735_689_599).date(), "2024-12-31");
        assert_eq!(Moment(1_735_689_600).date(), "2025-01-01");
    }
}
