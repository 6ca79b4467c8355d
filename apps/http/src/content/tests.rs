//! Content cut out of a stream, whatever pieces it comes in.

use proptest::prelude::*;

use super::{Chunks, Content, Framing, Malformed, OVERHEAD_BYTES_MAX};

/// Feeds the input in pieces; gives the content and how much of the input was used.
fn read(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), Malformed> {
    let mut content = Content::new(framing);
    let (mut bytes, mut used) = (Vec::new(), 0);
    for part in input.chunks(step) {
        let mut rest = part;
        while !rest.is_empty() {
            let piece = content.next(rest)?;
            bytes.extend_from_slice(piece.bytes);
            used += piece.consumed;
            if piece.is_last {
                assert_eq!(content.read, bytes.len() as u64);
                return Ok((bytes, used, true));
            }
            assert_eq!(piece.consumed.min(1), 1, "no step forward");
            rest = &rest[piece.consumed..];
        }
    }
    Ok((bytes, used, false))
}

#[test]
fn a_length_ends_where_it_says() {
    for step in 1..8 {
        let outcome = read(Framing::Length(4), b"abcdGET", step);
        assert_eq!(outcome, Ok((b"abcd".to_vec(), 4, true)));
    }
}

#[test]
fn chunks_are_joined_and_extensions_and_trailers_dropped() {
    for (input, content) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc"),
        ("00000000000000A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a;name=\"v;\"\r\n0123456789\r\n000;last\r\n\r\n", "0123456789"),
        ("1 ;a\r\nx\r\n0\t\r\n\r\n", "x"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", "a"),
    ] {
        for step in 1..=input.len() {
            let outcome = read(Framing::Chunked(Chunks::START), input.as_bytes(), step);
            assert_eq!(outcome, Ok((content.into(), input.len(), true)), "{input:?} by {step}");
        }
    }
}

#[test]
fn broken_chunks_are_refused_in_any_pieces() {
    let long_extension = format!("1;{}\r\n", "x".repeat(usize::from(OVERHEAD_BYTES_MAX)));
    let long_trailer = format!("0\r\n{}", "x: y\r\n".repeat(usize::from(OVERHEAD_BYTES_MAX) / 3));
    for input in [
        "\r\n",
        ";\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        "1\n",
        "1\r\r",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\rx",
        "0\r\n\n",
        "0\r\n\rx",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx\n",
        "1;a\0\r\n",
        "1;\x7f",
        "0\r\nx: \x01\r\n",
        "12345678123456781\r\n",
        "g\r\n",
        " 1\r\n",
        &long_extension,
        &long_trailer,
    ] {
        for step in [1, 2, 3, input.len()] {
            let outcome = read(Framing::Chunked(Chunks::START), input.as_bytes(), step);
            assert_eq!(outcome, Err(Malformed), "{input:?} by {step}");
        }
    }
}

proptest! {
    #[test]
    fn what_was_cut_into_chunks_comes_out_whole(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
        step in 1_usize..30,
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n\r\nGET / HTTP/1.1\r\n");
        let used = input.len() - b"GET / HTTP/1.1\r\n".len();
        let outcome = read(Framing::Chunked(Chunks::START), &input, step);
        prop_assert_eq!(outcome, Ok((chunks.concat(), used, true)));
    }

    #[test]
    fn pieces_make_no_difference(
        input in "([0-3aAfF]{1,2}(\r\n)?|;|\r\n|\r|\n|x){0,20}",
        step in 1_usize..8,
    ) {
        let whole = read(Framing::Chunked(Chunks::START), input.as_bytes(), usize::MAX);
        let pieces = read(Framing::Chunked(Chunks::START), input.as_bytes(), step);
        prop_assert_eq!(whole, pieces);
    }
}
