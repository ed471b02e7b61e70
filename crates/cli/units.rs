//! Sizes and times as people write and read them.

use std::time::Duration;

/// Parses `2097152`, `2M`, `2MiB`: binary units, no fractions.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let shift = match text.strip_prefix(digits)?.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A size in the largest binary unit that leaves at least one, with up to two decimals.
pub(crate) fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let Some(power) = (1..=4_u32).rev().find(|power| bytes >> (10 * power) > 0) else {
        return format!("{bytes} bytes");
    };
    let hundredths = (u128::from(bytes) * 100) >> (10 * power);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    let unit = UNITS[power as usize - 1];
    match rest {
        0 => format!("{whole} {unit}"),
        _ if rest % 10 == 0 => format!("{whole}.{} {unit}", rest / 10),
        _ => format!("{whole}.{rest:02} {unit}"),
    }
}

/// A time, about.
pub(crate) fn show_duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds @ 90..5400 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(parse_size("2097152"), Some(2 << 20));
        assert_eq!(parse_size("32M"), Some(32 << 20));
        assert_eq!(parse_size("1mib"), Some(1 << 20));
        assert_eq!(parse_size("1.5M"), None);
        assert_eq!(parse_size("M"), None);
        assert_eq!(parse_size("99999999999T"), None);
    }

    #[test]
    fn times_are_shown_as_closely_as_they_are_known() {
        assert_eq!(show_duration(Duration::from_millis(62_400)), "62 s");
        assert_eq!(show_duration(Duration::from_mins(10)), "10 min");
        assert_eq!(show_duration(Duration::from_hours(10)), "10 h");
    }

    #[test]
    fn sizes_are_shown_exactly_where_they_are_whole() {
        assert_eq!(show_size(512), "512 bytes");
        assert_eq!(show_size(127 << 30), "127 GiB");
        assert_eq!(show_size((1 << 20) + (1 << 19)), "1.5 MiB");
        assert_eq!(show_size(64 << 40), "64 TiB");
    }
}
