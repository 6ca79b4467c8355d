use std::net::IpAddr;

use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourState};

use super::{Reach, neighbour_in, neighbours, request_for, resolve};
use crate::CtlError;

#[test]
fn an_entry_is_read_with_what_is_known_of_it() {
    let address: IpAddr = "2001:db8::7".parse().unwrap();
    let mut message = request_for(4, address);
    message.header.state = NeighbourState::Incomplete;
    let asked = neighbour_in(&message).unwrap();
    assert_eq!((asked.interface, asked.address), (4, address));
    assert_eq!((asked.mac, asked.reach), (None, Reach::Incomplete));

    message.header.state = NeighbourState::Probe;
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]));
    let known = neighbour_in(&message).unwrap();
    assert_eq!((known.mac, known.reach), (Some([2, 0, 0, 0, 0, 9]), Reach::Stale));

    // A bridge's entry has a MAC and no address; a tunnel's has no MAC of six bytes.
    message.attributes.remove(0);
    assert_eq!(neighbour_in(&message), None);
    let mut tunnel = request_for(4, address);
    tunnel.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![10, 0, 0, 1]));
    assert_eq!(neighbour_in(&tunnel).unwrap().mac, None);
}

#[test]
fn an_interface_that_is_not_there_has_no_neighbours_and_resolves_none() {
    const NOWHERE: u32 = 0x7fff_fff0;
    assert_eq!(neighbours(NOWHERE).unwrap(), []);
    let error = resolve(NOWHERE, "10.1.2.3".parse().unwrap()).unwrap_err();
    let told = matches!(error, CtlError::Gone { index: NOWHERE } | CtlError::NotPermitted { .. });
    assert!(told, "{error}");
}
