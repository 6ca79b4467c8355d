//! The messages of the control socket: 128 bytes each, numbers in the machine's own byte order,
//! nothing aligned.
//!
//! ```text
//!   client                          server
//!      <──────────────────── HELLO          what it can do
//!      INIT ──────────────>  ACK            which interface, the secret
//!      ADD_REGION + file ─>  ACK            memory, one message a region
//!      ADD_RING + eventfd ─> ACK            where in it, one message a ring
//!      CONNECT ───────────>  CONNECTED      from here on frames flow
//!      <── DISCONNECT with a reason ──>     at any time, either way
//! ```

use super::region::REGIONS_MAX;

/// Bytes of a message.
pub(super) const MESSAGE_BYTES: usize = 128;

/// Version 2.0, the only one there is.
pub(super) const VERSION: u16 = 0x0200;

/// What one side tells the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Ack,
    Hello(Hello),
    Init(Init),
    AddRegion { index: u16, bytes: u64 },
    AddRing(AddRing),
    Connect { name: String },
    Connected { name: String },
    Disconnect { code: u32, reason: String },
}

/// What the server can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) name: String,
    pub(super) version_min: u16,
    pub(super) version_max: u16,
    /// The highest index of a region.
    pub(super) region_max: u16,
    /// The highest index of a ring from server to client.
    pub(super) to_client_max: u16,
    /// The highest index of a ring from client to server.
    pub(super) to_server_max: u16,
    pub(super) ring_log2_max: u8,
}

/// What the client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Init {
    pub(super) version: u16,
    pub(super) id: u32,
    pub(super) mode: u8,
    pub(super) secret: Secret,
    pub(super) name: String,
}

/// A ring of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddRing {
    pub(super) to_server: bool,
    pub(super) index: u16,
    pub(super) region: u16,
    pub(super) offset: u32,
    pub(super) log2: u8,
}

/// Filled up with zeros; all zeros are none.
pub(super) type Secret = [u8; SECRET_BYTES];

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) kind: u16,
}

impl Message {
    /// The message as bytes; texts that are too long are cut.
    pub(super) fn encode(&self) -> [u8; MESSAGE_BYTES] {
        let mut out = Writer { bytes: [0; MESSAGE_BYTES], at: 0 };
        match self {
            Self::Ack => out.u16(ACK),
            Self::Hello(hello) => {
                out.u16(HELLO);
                out.text::<NAME_BYTES>(&hello.name);
                out.u16(hello.version_min);
                out.u16(hello.version_max);
                out.u16(hello.region_max);
                out.u16(hello.to_client_max);
                out.u16(hello.to_server_max);
                out.put(&[hello.ring_log2_max]);
            }
            Self::Init(init) => {
                out.u16(INIT);
                out.u16(init.version);
                out.u32(init.id);
                out.put(&[init.mode]);
                out.put(&init.secret);
                out.text::<NAME_BYTES>(&init.name);
            }
            Self::AddRegion { index, bytes } => {
                out.u16(ADD_REGION);
                out.u16(*index);
                out.put(&bytes.to_ne_bytes());
            }
            Self::AddRing(ring) => {
                out.u16(ADD_RING);
                out.u16(if ring.to_server { TO_SERVER } else { 0 });
                out.u16(ring.index);
                out.u16(ring.region);
                out.u32(ring.offset);
                out.put(&[ring.log2]);
            }
            Self::Connect { name } => {
                out.u16(CONNECT);
                out.text::<NAME_BYTES>(name);
            }
            Self::Connected { name } => {
                out.u16(CONNECTED);
                out.text::<NAME_BYTES>(name);
            }
            Self::Disconnect { code, reason } => {
                out.u16(DISCONNECT);
                out.u32(*code);
                out.text::<REASON_BYTES>(reason);
            }
        }
        out.bytes
    }

    /// Reads a message. Nothing in it is checked but its kind.
    pub(super) fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Result<Self, Unknown> {
        let mut from = Reader { bytes, at: 0 };
        Ok(match from.u16() {
            ACK => Self::Ack,
            HELLO => Self::Hello(Hello {
                name: from.text::<NAME_BYTES>(),
                version_min: from.u16(),
                version_max: from.u16(),
                region_max: from.u16(),
                to_client_max: from.u16(),
                to_server_max: from.u16(),
                ring_log2_max: from.u8(),
            }),
            INIT => Self::Init(Init {
                version: from.u16(),
                id: from.u32(),
                mode: from.u8(),
                secret: from.take(),
                name: from.text::<NAME_BYTES>(),
            }),
            ADD_REGION => {
                Self::AddRegion { index: from.u16(), bytes: u64::from_ne_bytes(from.take()) }
            }
            ADD_RING => Self::AddRing(AddRing {
                to_server: from.u16() & TO_SERVER != 0,
                index: from.u16(),
                region: from.u16(),
                offset: from.u32(),
                log2: from.u8(),
            }),
            CONNECT => Self::Connect { name: from.text::<NAME_BYTES>() },
            CONNECTED => Self::Connected { name: from.text::<NAME_BYTES>() },
            DISCONNECT => {
                Self::Disconnect { code: from.u32(), reason: from.text::<REASON_BYTES>() }
            }
            kind => return Err(Unknown { kind }),
        })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ack => "ACK",
            Self::Hello(_) => "HELLO",
            Self::Init(_) => "INIT",
            Self::AddRegion { .. } => "ADD_REGION",
            Self::AddRing(_) => "ADD_RING",
            Self::Connect { .. } => "CONNECT",
            Self::Connected { .. } => "CONNECTED",
            Self::Disconnect { .. } => "DISCONNECT",
        }
    }
}

struct Writer {
    bytes: [u8; MESSAGE_BYTES],
    at: usize,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_ne_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_ne_bytes());
    }

    /// A text in a field of `N` bytes, with a zero at its end.
    fn text<const N: usize>(&mut self, text: &str) {
        let mut field = [0; N];
        let len = text.len().min(N - 1);
        field[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.put(&field);
    }
}

struct Reader<'a> {
    bytes: &'a [u8; MESSAGE_BYTES],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[self.at..self.at + N]);
        self.at += N;
        field
    }

    fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.take())
    }

    /// A text that may go to a terminal: a peer writes into messages whatever it likes.
    fn text<const N: usize>(&mut self) -> String {
        let field: [u8; N] = self.take();
        let len = field.iter().position(|&byte| byte == 0).unwrap_or(N);
        let text = String::from_utf8_lossy(&field[..len]);
        text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
    }
}

const ACK: u16 = 1;
const HELLO: u16 = 2;
const INIT: u16 = 3;
const ADD_REGION: u16 = 4;
const ADD_RING: u16 = 5;
const CONNECT: u16 = 6;
const CONNECTED: u16 = 7;
const DISCONNECT: u16 = 8;

/// In a ring's flags.
const TO_SERVER: u16 = 1;

const NAME_BYTES: usize = 32;
const SECRET_BYTES: usize = 24;
const REASON_BYTES: usize = 96;

const _: () = assert!(REGIONS_MAX <= 1 << 16);
