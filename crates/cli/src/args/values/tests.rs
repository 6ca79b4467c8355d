use super::*;
use crore::driver::xdp::ZeroCopy;

#[test]
fn numbers_of_connections_are_read_as_people_write_them() {
    assert_eq!(count_1_to_1_billion("10000"), Ok(10_000));
    assert_eq!(count_1_to_1_billion("10_000_000"), Ok(10_000_000));
    assert_eq!(count_1_to_1_billion("10M"), Ok(10_000_000));
    assert_eq!(count_1_to_1_billion("64k"), Ok(64_000));
    for wrong in ["", "0", "-1", "1.5M", "2000M", "ten", "99999999999999999999"] {
        assert!(count_1_to_1_billion(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn links_are_read() {
    let xdp = |text: &str| match text.parse() {
        Ok(LinkArg::Xdp(xdp)) => xdp,
        other => panic!("{text}: {other:?}"),
    };
    let all = xdp("xdp:eth0");
    assert_eq!((all.interface.as_str(), all.queues, all.zero_copy), ("eth0", None, ZeroCopy::Best));
    assert_eq!(xdp("xdp:eth0:4").queues, Some(4));
    let asked = xdp("xdp:eth0:2,zero-copy=yes,busy-poll=64,frame-room=2048");
    assert_eq!((asked.queues, asked.zero_copy), (Some(2), ZeroCopy::Only));
    assert_eq!((asked.busy_poll, asked.frame_room), (Some(64), Some(2048)));
    assert_eq!(xdp("xdp:eth0,zero-copy=no").zero_copy, ZeroCopy::Never);
    assert_eq!("tap:tap0".parse(), Ok(LinkArg::Tap { name: "tap0".to_owned() }));
    for wrong in ["eth0", "xdp:", "xdp:eth0:", "xdp:eth0:0", "tap:", "dpdk:eth0", ""] {
        assert!(wrong.parse::<LinkArg>().is_err(), "{wrong}");
    }
    for wrong in ["zero-copy", "zero-copy=maybe", "busy-poll=0", "frame-room=big", "speed=9", ""] {
        assert!(format!("xdp:eth0,{wrong}").parse::<LinkArg>().is_err(), "{wrong}");
    }
}

#[test]
fn a_link_is_said_with_its_addresses() {
    let served = |text: &str| text.parse::<ServedLink>();
    let link = served("tap:tap0,address=10.9.0.2/24,address=fd00::2/64").unwrap();
    assert_eq!((link.name.as_str(), link.addresses.len()), ("tap:tap0", 2));
    assert_eq!(link.link, LinkArg::Tap { name: "tap0".to_owned() });
    assert_eq!(served("xdp:eth0:2").unwrap().addresses, []);
    for wrong in ["address=10.9.0.2/24", "tap:tap0,address=10.9.0.2", "xdp:,address=10.9.0.2/24"] {
        assert!(served(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn addresses_are_read_alone_and_as_ranges() {
    let range = |text: &str| text.parse::<AddressArg>().map(|address| address.0);
    let one = AddressRange::one("10.0.0.2".parse().unwrap(), 24);
    assert_eq!(range("10.0.0.2/24"), Ok(one));
    assert_eq!(range("10.0.0.1-10.0.0.156/8").unwrap().count, 156);
    assert_eq!(range("fd00::1-fd00::10/64").unwrap().count, 16);
    for wrong in [
        "10.0.0.2",
        "10.0.0.2/33",
        "fd00::1/129",
        "10.0.0.2-10.0.0.1/8",
        "10.0.0.1-fd00::1/8",
        "10.0.0.0-10.1.0.0/8",
    ] {
        assert!(range(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_port_is_enough_to_listen() {
    let listen = |text: &str| text.parse::<ListenArg>();
    assert_eq!(listen("80").unwrap().address, None);
    assert_eq!(listen(":80").unwrap().port, 80);
    assert_eq!(listen("10.0.0.1:80").unwrap().address, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(listen("[fd00::1]:80").unwrap().address, Some("fd00::1".parse().unwrap()));
    for wrong in ["0", "10.0.0.1", "10.0.0.1:0", "65536", "http"] {
        assert!(listen(wrong).is_err(), "{wrong}");
    }
    assert_eq!("5-9".parse(), Ok(PortsArg(5..=9)));
    assert!("9-5".parse::<PortsArg>().is_err());
}
