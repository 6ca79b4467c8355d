use super::*;

#[test]
fn without_words_all_is_played() {
    let plan = Plan::parse(&[]).unwrap();
    assert_eq!(plan.kernels, ["6.18", "6.1"]);
    assert_eq!(plan.nics, NICS);
    assert!(!plan.full && plan.only.is_none());
}

#[test]
fn words_choose() {
    let plan =
        Plan::parse(&["--kernel", "6.12", "--nic", "igb", "--full", "--only", "hold"]).unwrap();
    assert_eq!((plan.kernels.as_slice(), plan.nics[0].name), (&["6.12".to_owned()][..], "igb"));
    assert!(plan.full && plan.only.as_deref() == Some("hold"));
    for wrong in [&["--kernel"][..], &["--kernel", "new"], &["--nic", "e1000"], &["--fast"]] {
        assert!(Plan::parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_a_driver_grants_depends_on_the_kernel() {
    let grants = |nic: &str, kernel: &str| Nic::named(nic).unwrap().grants(kernel).unwrap();
    assert_eq!(grants("igb", "6.1"), "copy");
    assert_eq!(grants("igb", "6.16"), "zero-copy");
    assert_eq!(grants("virtio", "7.3"), "zero-copy");
    assert_eq!(grants("virtio-plain", "6.18"), "copy");
}
