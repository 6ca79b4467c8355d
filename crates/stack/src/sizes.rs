//! What a connection, and each record that stands for one, takes: by name, for the record that
//! guards against growth.

use crate::flow::BUCKET_BYTES;
use crate::neighbour::Neighbour;
use crate::tcb::Tcb;
use crate::tcp::{self, half_open::HalfOpen, send_queue::Segment, time_wait::TimeWait};
use crate::wheel::{CHUNK_BYTES, WheelMark};
use crore_mem::Pool;

/// Bytes of every structure of which there is one for each connection, or peer, of some kind.
pub const SIZES: &[(&str, usize)] = &[
    ("control_block", size_of::<Tcb>()),
    ("half_open_record", size_of::<HalfOpen>()),
    ("time_wait_record", size_of::<TimeWait>()),
    ("flow_bucket", BUCKET_BYTES),
    ("wheel_chunk", CHUNK_BYTES),
    ("wheel_mark", size_of::<WheelMark>()),
    ("output_list_entry", size_of::<u32>()),
    ("extension", tcp::EXTENSION_BYTES),
    ("rare", tcp::RARE_BYTES),
    ("pool_block_header", Pool::<Segment>::PAYLOAD_AT),
    ("source_record", tcp::sources::SOURCE_BYTES),
    ("fast_open_cookie", tcp::fast_open::COOKIE_BYTES),
    ("neighbour", size_of::<Neighbour>()),
];
