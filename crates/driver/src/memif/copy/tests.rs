use super::*;

#[test]
fn all_lengths_and_alignments_are_copied_and_nothing_else_is_written() {
    let from: Vec<u8> = (0..400).map(|i| i as u8).collect();
    for len in 0..300 {
        for (at, to_at) in [(0, 0), (1, 0), (0, 3), (7, 13), (64, 63)] {
            let mut to = vec![0xee; 400];
            // SAFETY: both have the bytes.
            unsafe { copy(from.as_ptr().add(at), to.as_mut_ptr().add(to_at), len) };
            assert_eq!(to[to_at..to_at + len], from[at..at + len]);
            assert!(to[..to_at].iter().chain(&to[to_at + len..]).all(|&byte| byte == 0xee));
        }
    }
}
