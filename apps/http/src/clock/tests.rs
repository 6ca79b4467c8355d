//! When the clock is read, and what it says.

use std::time::{Duration, SystemTime};

use super::{Clock, http_date};

#[test]
fn the_time_is_read_on_the_turn_of_each_second_and_not_between() {
    let mut clock = Clock::new();
    let start = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_700);
    let mut read = Vec::new();
    for now_us in (0..2_500_000).step_by(100_000) {
        if clock.advance(now_us, || start + Duration::from_micros(now_us)) {
            read.push((now_us, clock.date()[17..25].to_owned()));
        }
    }
    let expected = [(0, "22:13:20"), (300_000, "22:13:21"), (1_300_000, "22:13:22")];
    let expected: Vec<_> = expected.iter().map(|&(at, date)| (at, date.to_owned())).collect();
    assert_eq!(read[..3], expected);
    assert_eq!(read.len(), 4);
}

#[test]
fn times_that_no_date_can_say_become_the_nearest_one() {
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(http_date(before), "Thu, 01 Jan 1970 00:00:00 GMT");
    let after = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    assert_eq!(http_date(after), "Fri, 31 Dec 9999 23:59:59 GMT");
}
