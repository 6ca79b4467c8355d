//! Reservations, on a reserve made of files.
#![cfg(not(miri))]

use super::*;
use crate::scratch::Scratch;

fn reserve(pages: usize, free: usize, promised: usize) -> (Scratch, Reserve) {
    let scratch = Scratch::new();
    scratch.write("nr_hugepages", &format!("{pages}\n"));
    scratch.write("free_hugepages", &format!("{free}\n"));
    scratch.write("resv_hugepages", &format!("{promised}\n"));
    let reserve = Reserve { directory: scratch.path("."), compact: scratch.path("compact") };
    (scratch, reserve)
}

#[test]
fn what_is_missing_is_added_and_given_back() {
    let (scratch, reserve) = reserve(10, 4, 1);
    let reservation = HugePageReservation::within(reserve, 8).unwrap();
    // Three of ten are free and promised to nobody: five are missing.
    assert_eq!(scratch.read("nr_hugepages"), "15");
    assert_eq!((reservation.added_pages(), reservation.is_complete()), (5, true));
    let message = "huge pages: 5 (10 MiB) reserved, given back at the end";
    assert_eq!(reservation.message(), message);
    drop(reservation);
    assert_eq!(scratch.read("nr_hugepages"), "10");
}

#[test]
fn what_others_reserve_meanwhile_stays() {
    let (scratch, reserve) = reserve(0, 0, 0);
    let reservation = HugePageReservation::within(reserve, 100).unwrap();
    assert_eq!(scratch.read("nr_hugepages"), "100");
    scratch.write("nr_hugepages", "107");
    drop(reservation);
    assert_eq!(scratch.read("nr_hugepages"), "7");
}

#[test]
fn nothing_is_touched_when_enough_is_free() {
    let (scratch, reserve) = reserve(10, 10, 0);
    let reservation = HugePageReservation::within(reserve, 8).unwrap();
    assert_eq!(reservation.message(), "huge pages: 8 (16 MiB) needed, 10 were free");
    drop(reservation);
    assert_eq!(scratch.read("nr_hugepages"), "10\n", "not even written");
}

#[test]
fn an_operator_who_lowered_the_number_is_not_undone() {
    let (scratch, reserve) = reserve(0, 0, 0);
    let reservation = HugePageReservation::within(reserve, 5).unwrap();
    scratch.write("nr_hugepages", "2");
    drop(reservation);
    assert_eq!(scratch.read("nr_hugepages"), "0");
}

#[test]
fn a_system_without_huge_pages_is_an_error_that_says_so() {
    let scratch = Scratch::new();
    let reserve = Reserve { directory: scratch.path("."), compact: scratch.path("compact") };
    let error = HugePageReservation::within(reserve, 5).unwrap_err();
    assert!(error.to_string().starts_with("the system has no 2 MiB pages"), "{error}");
}

#[test]
fn a_number_that_may_not_be_changed_is_an_error_that_says_what_to_do() {
    let (scratch, reserve) = reserve(0, 0, 0);
    fs::remove_file(scratch.path("nr_hugepages")).unwrap();
    let error = HugePageReservation::within(reserve, 5).unwrap_err();
    assert!(matches!(error, ReservationError::NotAllowed(_)), "{error}");
    assert!(error.to_string().contains("run as root"), "{error}");
}

#[test]
fn small_regions_need_no_huge_page() {
    assert_eq!(huge_pages_needed(0), 0);
    assert_eq!(huge_pages_needed(HUGE_PAGE_BYTES - 8192), 0);
    assert_eq!(huge_pages_needed(HUGE_PAGE_BYTES - 4096), 1);
    assert_eq!(huge_pages_needed(HUGE_PAGE_BYTES), 2);
}

/// Changes this machine's reserve for a moment: `cargo test -p crore-mem -- --ignored`, as root.
#[test]
#[ignore = "needs root, and changes the machine for a moment"]
fn a_region_lands_on_pages_reserved_for_it() {
    use crate::{HugePages, Memory, Pages};
    let machine = Reserve { directory: RESERVE.into(), compact: COMPACT.into() };
    let before = machine.pages().unwrap();
    let bytes = 8 << 20;
    let reservation = HugePageReservation::new(huge_pages_needed(bytes)).unwrap();
    let mut region = Memory::new(HugePages::Reserve).region("frames", bytes).unwrap();
    assert_eq!(region.pages(), Pages::Reserved, "{}", reservation.message());
    assert!(region.file().is_some());
    region.bytes_mut().fill(1);
    drop(region);
    drop(reservation);
    assert_eq!(machine.pages().unwrap(), before);
}
