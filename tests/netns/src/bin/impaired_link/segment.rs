//! Where TCP is in a frame.

use std::ops::Range;

/// A TCP segment's places in its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The checksum of its header.
    pub(crate) checksum: Range<usize>,
    /// Its payload; padding of a short frame is not.
    pub(crate) payload: Range<usize>,
}

impl Segment {
    /// The segment in an Ethernet frame, if there is one. Later fragments have none.
    pub(crate) fn find(frame: &[u8]) -> Option<Self> {
        let ip = frame.get(ETHERNET..)?;
        let (start, end) = match (frame[12], frame[13]) {
            (0x08, 0x00) => {
                let offset = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & FRAGMENT_OFFSET;
                if *ip.get(9)? != TCP || offset != 0 {
                    return None;
                }
                (usize::from(ip[0] & 15) * 4, usize::from(u16::from_be_bytes([ip[2], ip[3]])))
            }
            (0x86, 0xdd) => {
                if *ip.get(6)? != TCP {
                    return None;
                }
                (40, 40 + usize::from(u16::from_be_bytes([ip[4], ip[5]])))
            }
            _ => return None,
        };
        let (start, end) = (ETHERNET + start, ETHERNET + end);
        let header = usize::from(*frame.get(start + 12)? >> 4) * 4;
        let is_whole = end <= frame.len() && header >= 20 && start + header <= end;
        let segment = Self { checksum: start + 16..start + 18, payload: start + header..end };
        is_whole.then_some(segment)
    }
}

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const FRAGMENT_OFFSET: u16 = 0x1fff;
