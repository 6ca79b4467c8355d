//! What the kernel says in its files, and what we make of it.

use super::{allows, huge_bytes};

const REPORT: &str = "\
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Size:               4096 kB
Rss:                4096 kB
AnonHugePages:      2048 kB
ShmemPmdMapped:        0 kB
VmFlags: rd wr mr mw me ac sd hg
7f0000600000-7f0000e00000 rw-s 00000000 00:01 7                          /memfd:crore-tcb (deleted)
Size:               8192 kB
AnonHugePages:         0 kB
ShmemPmdMapped:     8192 kB
";

#[test]
fn the_report_on_one_mapping_is_about_that_one_alone() {
    assert_eq!(huge_bytes(REPORT, 0x7f00_0000_0000), 2 << 20);
    assert_eq!(huge_bytes(REPORT, 0x7f00_0060_0000), 8 << 20);
    assert_eq!(huge_bytes(REPORT, 0x7f00_0020_0000), 0, "no mapping begins here");
    assert_eq!(huge_bytes("", 0), 0);
}

#[test]
fn a_setting_allows_huge_pages_unless_it_forbids_them() {
    assert!(allows("always [madvise] never\n"));
    assert!(allows("[always] madvise never"));
    assert!(allows("always within_size [advise] never deny force"));
    assert!(!allows("always madvise [never]"));
    assert!(!allows("always within_size advise never [deny] force"));
    assert!(!allows(""));
}
