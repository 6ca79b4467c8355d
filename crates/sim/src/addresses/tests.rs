//! Addresses can be read back.

use super::*;

#[test]
fn an_address_tells_its_node_and_its_number() {
    for (n, moved, k, is_v6) in [(0, 0, 0, false), (15, 2, 2, false), (3, 1, 1, true)] {
        let NodeAddress { node, low } = place_of(address(n, moved, k, is_v6)).unwrap();
        assert_eq!((node, number_of(low, moved)), (n, Some(k)));
        assert_eq!(number_of(low, moved + 1), None, "it moved away");
    }
    for is_v6 in [false, true] {
        let NodeAddress { low, .. } = place_of(nobody(1, 2, is_v6)).unwrap();
        assert!((0..8).all(|moved| number_of(low, moved).is_none()));
    }
    assert_eq!(place_of("192.0.2.1".parse().unwrap()), None);
}
