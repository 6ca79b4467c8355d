//! Numbers for people.

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the unit that leaves a number below 10,000.
pub(crate) fn bytes(bytes: usize) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", grouped(bytes.div_ceil(1 << 20) as u64)),
    }
}

/// A number a second: `1.25 M`, `312 k`, `87`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        _ if per_second >= 9_995_000.0 => format!("{:.1} M", per_second / 1e6),
        _ if per_second >= 999_500.0 => format!("{:.2} M", per_second / 1e6),
        _ if per_second >= 9_995.0 => format!("{:.0} k", per_second / 1e3),
        _ => format!("{per_second:.0}"),
    }
}

/// A time in the unit that people would use.
pub(crate) fn time_ns(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{:.1} us", ns as f64 / 1e3),
        10_000..10_000_000 => format!("{:.0} us", ns as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.0} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(10_000_000), "10,000,000");
        assert_eq!(bytes(4096), "4096 bytes");
        assert_eq!(bytes(2_560 << 20), "2,560 MiB");
        assert_eq!(rate(1_254_000.0), "1.25 M");
        assert_eq!(rate(12_345_678.0), "12.3 M");
        assert_eq!(rate(42.4), "42");
        assert_eq!(time_ns(8_120), "8.1 us");
        assert_eq!(time_ns(812_000), "812 us");
        assert_eq!(time_ns(1_500_000_000), "1500 ms");
    }
}
