use super::*;

#[test]
fn any_part_of_a_stream_is_the_same_as_in_the_whole() {
    let mut whole = vec![0; 2000];
    fill(key(3, 1), 0, &mut whole);
    for offset in [0, 1, 7, 8, 9, 511, 512, 1999] {
        let mut part = vec![0; (2000 - offset).min(700)];
        fill(key(3, 1), offset as u64, &mut part);
        assert_eq!(part, whole[offset..offset + part.len()]);
        assert_eq!(mismatch(key(3, 1), offset as u64, &part), None);
    }
}

#[test]
fn a_wrong_octet_is_found_and_other_streams_differ() {
    let mut bytes = vec![0; 1500];
    fill(key(3, 1), 77, &mut bytes);
    bytes[1400] ^= 1;
    assert_eq!(mismatch(key(3, 1), 77, &bytes), Some(1400));
    assert!(mismatch(key(3, 0), 77, &bytes[..100]).is_some());
    assert!(mismatch(key(3, 1), 78, &bytes[..100]).is_some());
}
