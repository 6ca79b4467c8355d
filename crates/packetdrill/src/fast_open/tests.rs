//! What a script sets.

use super::{Sysctls, key_of};
use crore_stack::FastOpenKey;

#[test]
fn the_last_setting_wins_and_keys_are_words() {
    let found = Sysctls::read(
        "net.ipv4.tcp_fastopen=1\nnet/ipv4/tcp_fastopen=0x403\n\
         net.ipv4.tcp_fastopen_key=01020304-0-0-ffffffff,00000000-00000000-00000000-00000000\n",
    );
    assert_eq!(found.bits, 0x403);
    let mut key = [0; 16];
    key[..4].copy_from_slice(&[4, 3, 2, 1]);
    key[12..].fill(0xff);
    assert_eq!(found.keys, [Some(FastOpenKey(key)), Some(FastOpenKey([0; 16]))]);
    assert_eq!(Sysctls::read(""), Sysctls::default());
    assert_eq!(
        Sysctls::read("net.ipv4.tcp_fastopen_cookies=0\nnet.ipv4.tcp_fastopen_cookies=10").flushes,
        2
    );
    assert_eq!(key_of("1-2-3"), None);
}
