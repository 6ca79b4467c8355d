use super::*;

#[test]
fn a_payload_is_known_again_in_pieces_of_any_size() {
    let pattern = Pattern::new(7, 3, 12);
    let mut whole = [0; 100];
    pattern.fill(0, &mut whole);
    for start in 0..whole.len() {
        for end in start..=whole.len() {
            let mut piece = vec![0; end - start];
            pattern.fill(start, &mut piece);
            assert_eq!(piece, whole[start..end]);
            assert_eq!(pattern.mismatches(start, &piece), 0);
        }
    }
}

#[test]
fn every_wrong_octet_is_counted_wherever_it_is() {
    let pattern = Pattern::new(1, 1, 1);
    for from in 0..9 {
        let mut bytes = [0; 33];
        pattern.fill(from, &mut bytes);
        for wrong in 0..bytes.len() {
            bytes[wrong] ^= 1 << (wrong % 8);
            assert_eq!(pattern.mismatches(from, &bytes), wrong + 1);
        }
    }
}

#[test]
fn another_connection_generation_request_or_offset_has_another_payload() {
    let mut bytes = [0; 64];
    Pattern::new(5, 9, 2).fill(0, &mut bytes);
    for other in [Pattern::new(6, 9, 2), Pattern::new(5, 11, 2), Pattern::new(5, 9, 3)] {
        assert!(other.mismatches(0, &bytes) > 56, "nearly all octets differ");
    }
    assert!(Pattern::new(5, 9, 2).mismatches(64, &bytes) > 56);
}
