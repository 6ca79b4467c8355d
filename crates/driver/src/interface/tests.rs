use std::io::ErrorKind;

use super::Interface;

#[test]
fn the_loopback_interface_is_described() {
    let lo = Interface::named("lo").unwrap();
    assert_eq!(lo.name, "lo");
    assert!(lo.index > 0 && lo.loopback);
    assert_eq!(lo.mac, [0; 6]);
    assert_eq!(lo.rx_queues, 1);
    assert!(lo.mtu >= 1500);
}

#[test]
fn a_name_that_nobody_has_is_an_error() {
    let error = Interface::named("no-such-if0").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn a_name_that_nobody_can_have_is_told_apart() {
    for name in ["", "sixteen-letters-", "a/b", "a b"] {
        assert_eq!(Interface::named(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
    }
}
