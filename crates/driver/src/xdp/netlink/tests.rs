use super::{Attributes, XdpState, acknowledged, error_number, state};

#[test]
fn an_attribute_that_claims_more_than_there_is_ends_the_walk() {
    let bytes = [
        [8, 0, 1, 0, 0xaa, 0xbb, 0xcc, 0xdd].as_slice(), // 4 bytes of kind 1
        &[5, 0, 2, 0, 0xee, 0, 0, 0],                    // 1 byte of kind 2, padded
        &[200, 0, 3, 0, 1],                              // 196 bytes stated, 1 there
    ]
    .concat();
    let seen: Vec<_> = Attributes(&bytes).collect();
    assert_eq!(seen, [(1, [0xaa, 0xbb, 0xcc, 0xdd].as_slice()), (2, &[0xee])]);
    // Shorter than its own header: no endless loop.
    assert_eq!(Attributes(&[0, 0, 1, 0, 9, 9, 9, 9]).count(), 0);
}

#[test]
fn a_refusal_keeps_its_number_and_gains_the_words() {
    let mut body = (-libc::ERANGE).to_ne_bytes().to_vec();
    body.extend_from_slice(&[0; 16]);
    body.extend_from_slice(&[12, 0, 1, 0]);
    body.extend_from_slice(b"too big\0");
    let error = acknowledged(&body).unwrap_err();
    assert_eq!(error_number(&error), Some(libc::ERANGE));
    assert!(error.to_string().starts_with("too big ("), "{error}");
    assert!(acknowledged(&[0; 20]).is_ok());
    assert!(acknowledged(&[]).is_err());
}

#[test]
fn loopback_has_no_program_and_an_interface_that_is_not_there_is_an_error() {
    assert_eq!(state(1).unwrap(), XdpState::default());
    let error = state(0x7fff_fff0).unwrap_err();
    assert_eq!(error_number(&error), Some(libc::ENODEV));
}
