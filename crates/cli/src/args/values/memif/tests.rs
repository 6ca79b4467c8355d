use super::*;

#[test]
fn a_memif_link_is_read_with_all_its_keys() {
    let arg: MemifArg = "/run/a.sock,id=7,role=client,queues=4,secret=open,zero-copy=yes,ring=9,\
                         buffer=9216,mtu=9000"
        .parse()
        .unwrap();
    let options = arg.options(Role::Server, HugePages::None);
    assert_eq!(options.address, Address::Path("/run/a.sock".into()));
    assert_eq!((options.role, options.id, options.queues), (Role::Client, 7, 4));
    assert_eq!((options.secret.as_str(), options.zero_copy), ("open", true));
    assert_eq!((options.ring_log2, options.buffer_bytes, options.mtu), (9, 9216, 9000));
}

#[test]
fn who_asks_decides_the_role_when_the_command_line_does_not() {
    let arg: MemifArg = "@/run/memif.sock".parse().unwrap();
    let options = arg.options(Role::Client, HugePages::Reserve);
    assert_eq!(options.role, Role::Client);
    assert_eq!(options.address, Address::Abstract("/run/memif.sock".to_owned()));
    assert_eq!(options.huge_pages, HugePages::Reserve);
}

#[test]
fn what_is_no_memif_link_is_refused_with_the_word_that_is_wrong() {
    for wrong in ["", "@", ",id=1"] {
        assert!(wrong.parse::<MemifArg>().is_err(), "{wrong}");
    }
    for wrong in ["id", "id=-1", "role=peer", "queues=many", "zero-copy=1", "rsize=10"] {
        let error = format!("/run/a,{wrong}").parse::<MemifArg>().unwrap_err();
        assert!(error.contains(wrong) && error.contains("role=server|client"), "{error}");
    }
}
