//! What is remembered of servers, and for how long.

use alloc::vec::Vec;

use super::{Cookies, Known};
use crore_mem::Memory;
use crore_wire::tcp::{FastOpen, FastOpenCookie};

const PATH: (u128, u16) = (0xffff_c000_0201, 0);
const RETRY_S: u32 = 60;

fn cookies(max: u32) -> Cookies {
    Cookies::new(&mut Memory::heap(), max, [1, 2]).unwrap()
}

fn cookie(octet: u8) -> FastOpen {
    FastOpen { cookie: FastOpenCookie::new(&[octet; 8]).unwrap(), experimental: false }
}

/// RFC 7413-4.1.3a: the last cookie and the MSS come back, for this pair of addresses only.
#[test]
fn the_last_cookie_of_a_server_is_kept() {
    let mut cookies = cookies(8);
    let ask = Known { option: FastOpen::REQUEST, mss: None };
    assert_eq!(cookies.known(PATH, 0, RETRY_S), Some(ask));
    cookies.learn(PATH, 1460, Some(cookie(1)), 0);
    cookies.learn(PATH, 1400, Some(cookie(2)), 1);
    cookies.learn(PATH, 1380, None, 2);
    let known = Known { option: cookie(2), mss: Some(1380) };
    assert_eq!(cookies.known(PATH, 3, RETRY_S), Some(known));
    assert_eq!(cookies.known((PATH.0, 1), 3, RETRY_S), Some(ask));
    cookies.forget_all();
    assert_eq!(cookies.known(PATH, 4, RETRY_S), Some(ask));
}

/// RFC 7413-4.1.3.1a, RFC 7413-4.1.3.1b: two failures in a row and the path has its rest, each
/// further one doubles it.
#[test]
fn a_path_that_fails_is_left_alone_for_a_time() {
    let mut cookies = cookies(8);
    cookies.learn(PATH, 1460, Some(cookie(1)), 0);
    cookies.failed(PATH, false, 0);
    assert!(cookies.known(PATH, 1, RETRY_S).is_some());
    cookies.failed(PATH, false, 1);
    assert_eq!(cookies.known(PATH, 60, RETRY_S), None);
    assert_eq!(cookies.known(PATH, 61, RETRY_S).unwrap().option, cookie(1));
    cookies.failed(PATH, false, 61);
    assert_eq!(cookies.known(PATH, 180, RETRY_S), None);
    assert!(cookies.known(PATH, 181, RETRY_S).is_some());
    for _ in 0..300 {
        cookies.failed(PATH, false, 200);
    }
    assert_eq!(cookies.known(PATH, 200 + 64 * RETRY_S - 1, RETRY_S), None);
    assert!(cookies.known(PATH, 200 + 64 * RETRY_S, RETRY_S).is_some());
    cookies.worked(PATH, 300);
    assert!(cookies.known(PATH, 300, RETRY_S).is_some());
    cookies.failed(PATH, true, 300);
    assert_eq!(cookies.known(PATH, 301, RETRY_S), None);
}

#[test]
fn the_experimental_kind_is_tried_once() {
    let mut cookies = cookies(8);
    let kind = |cookies: &mut Cookies| cookies.known(PATH, 0, RETRY_S).unwrap().option.experimental;
    let mut tried = Vec::new();
    for _ in 0..4 {
        tried.push(kind(&mut cookies));
        cookies.was_refused(PATH, 0);
    }
    assert_eq!(tried, [false, true, false, false]);
}

#[test]
fn more_servers_than_entries_drive_out_the_longest_unused() {
    let mut cookies = cookies(4);
    for n in 0..4 {
        cookies.learn((PATH.0 + u128::from(n), 0), 1460, Some(cookie(n as u8)), n);
    }
    assert!(!cookies.known(PATH, 10, RETRY_S).unwrap().option.cookie.is_empty());
    cookies.learn((PATH.0 + 9, 0), 1460, Some(cookie(9)), 11);
    let has = |cookies: &mut Cookies, n: u128| {
        !cookies.known((PATH.0 + n, 0), 12, RETRY_S).unwrap().option.cookie.is_empty()
    };
    let left: Vec<u128> = (0..10).filter(|n| has(&mut cookies, *n)).collect();
    assert_eq!(left, [0, 2, 3, 9]);
}
