use super::*;

#[test]
fn every_key_is_read_and_unknown_ones_are_ignored() {
    let text = "profile=freebsd,mtu=600,local=fd00::1,states=/a,left=/b,sysctls=/c,seed=7,verbose";
    let flags = Flags::parse(text).unwrap();
    assert_eq!(flags.profile, Profile::FreeBsd);
    assert_eq!(flags.mtu, 600);
    assert_eq!(flags.local, Some("fd00::1".parse().unwrap()));
    assert_eq!(flags.states, Some("/a".into()));
    assert_eq!(flags.left, Some("/b".into()));
    assert_eq!(flags.sysctls, Some("/c".into()));
}

#[test]
fn without_flags_the_interface_is_an_ordinary_linux_one() {
    let flags = Flags::parse("").unwrap();
    assert_eq!((flags.profile, flags.mtu, flags.local), (Profile::Linux, 1500, None));
}

#[test]
fn a_value_that_cannot_be_is_named() {
    let error = Flags::parse("mtu=1500,local=nowhere").unwrap_err();
    assert!(error.contains("local=nowhere"), "{error}");
    assert!(Flags::parse("profile=minix").unwrap_err().contains("profile=minix"));
}
