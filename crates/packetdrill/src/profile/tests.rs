use super::*;

#[test]
fn the_last_line_of_a_name_wins_and_the_rest_is_ignored() {
    let mut config = settings(Profile::Linux);
    let text = "net.ipv4.tcp_timestamps=0\nnet.ipv4.tcp_sack=1\nkernel.panic=1\nnonsense\n\
                net.ipv4.tcp_timestamps=1\nnet.ipv4.tcp_sack=0\nnet.ipv4.tcp_syn_retries=2\n";
    apply_sysctls(text, Profile::Linux, &mut config);
    assert!(config.timestamps && !config.sack);
    assert_eq!(config.syn_retries, 2);
}

#[test]
fn the_largest_receive_buffer_sets_the_window_scale() {
    let mut config = settings(Profile::Linux);
    apply_sysctls("net.ipv4.tcp_rmem=4096 540000 15728640", Profile::Linux, &mut config);
    assert_eq!(config.rcv_scale(), 8);
    apply_sysctls("net/ipv4/tcp_rmem=4096 131072 6291456", Profile::Linux, &mut config);
    assert_eq!(config.rcv_scale(), 7);
}

#[test]
fn profiles_differ_in_what_a_syn_shows() {
    let (linux, freebsd) = (settings(Profile::Linux), settings(Profile::FreeBsd));
    assert_eq!((linux.rcv_scale(), freebsd.rcv_scale()), (8, 6));
    assert_ne!(linux.option_layout, freebsd.option_layout);
    assert!(linux.check().is_ok() && freebsd.check().is_ok());
}
