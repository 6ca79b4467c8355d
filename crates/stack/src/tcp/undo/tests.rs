//! Which blocks report a duplicate.

use super::*;

/// RFC 2883-5: before the acknowledgment of its own segment, or within the second block; what was
/// acknowledged meanwhile, in segments that overtook this one, does not matter.
#[test]
fn a_duplicate_is_told_by_its_own_segment() {
    let (ack, block) = (Seq(100), (Seq(200), Seq(300)));
    assert!(is_duplicate_report(Seq(300), block, None));
    assert!(!is_duplicate_report(ack, block, None));
    assert!(is_duplicate_report(ack, block, Some(&(150, 350))));
    assert!(!is_duplicate_report(ack, block, Some(&(250, 350))));
    assert!(!is_duplicate_report(Seq(400), (Seq(300), Seq(200)), None));
}
