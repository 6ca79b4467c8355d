//! The filter that runs in the kernel on each received frame: ours to our socket, all else on to
//! the kernel.
//!
//! Ours is
//! - TCP to one of our (address, port): over IPv4 or IPv6, with or without one VLAN tag, also
//!   behind IPv6 extension headers;
//! - an ICMP or `ICMPv6` error that quotes a TCP segment *from* one of our (address, port);
//! - the answer to a ping of ours, while the path to a socket is being proven (`probe`).
//!
//! Everything else passes: ARP, neighbour discovery, ping, other ports, what is cut short. Of a
//! packet in fragments only the first one names its ports. When they are ours it is noted whose
//! fragments these are (source, destination, identification), and those that follow are ours as
//! well. One that overtakes the first passes; the kernel, which never completes the packet, forgets
//! it, and the sender sends the segment again.
//!
//! What is ours goes to the socket of the queue it arrived on, and is **dropped** when there is no
//! socket: after our process died the kernel must not answer our peers with resets.
//!
//! Four maps stand behind it:
//!
//! ```text
//!   ports:    address (16 bytes, IPv4 as ::ffff:a.b.c.d) -> 65,536 bits, one a port
//!             ("any address" is ::ffff:0.0.0.0 for IPv4 and :: for IPv6; the identifiers of our
//!             pings are kept like ports, of an address that nobody has)
//!   pieces:   packets in fragments whose first one was ours; the longest unused gives way
//!   sockets:  receive queue -> `AF_XDP` socket
//!   counts:   receive queue -> how many frames were ours
//! ```
//!
//! The registers:
//!
//! ```text
//!   R6 context   R7 start of the IP header   R8 end of the frame   R9 protocol, then port
//!   R2 start of the header behind the IP header      R3 R4 R5 free for each step
//! ```

use super::asm::{Assembler, Instruction, Label, Reg};

/// Bytes of the bit map that says which ports of one address are ours.
pub(super) const PORT_BITS_BYTES: usize = 65_536 / 8;

/// Bytes of an address as the `ports` map's key.
pub(super) const KEY_BYTES: usize = 16;

/// Bytes of the `pieces` map's key: source, destination, identification.
pub(super) const PIECE_BYTES: usize = 16 + 16 + 4;

/// The descriptors of the maps.
#[derive(Clone, Copy)]
pub(super) struct Maps {
    pub(super) ports: i32,
    pub(super) pieces: i32,
    pub(super) sockets: i32,
    pub(super) counts: i32,
}

/// The filter's instructions, over these maps.
pub(super) fn filter(maps: Maps) -> Vec<Instruction> {
    let mut asm = Assembler::default();
    let steps = Steps {
        pass: asm.label(),
        later: asm.label(),
        ours: asm.label(),
        tcp: asm.label(),
        lookup: asm.label(),
        ipv6: asm.label(),
    };
    ethernet(&mut asm, &steps);
    ipv4(&mut asm, &steps);
    ipv6(&mut asm, &steps);
    tcp(&mut asm, &steps);
    lookup(&mut asm, &steps, maps.ports);
    later_fragment(&mut asm, &steps, maps.pieces);
    verdicts(&mut asm, &steps, maps);
    asm.finish()
}

/// Where the steps begin. IPv4 follows directly after Ethernet.
struct Steps {
    pass: Label,
    /// A fragment without ports.
    later: Label,
    ours: Label,
    tcp: Label,
    lookup: Label,
    ipv6: Label,
}

/// Finds the IP header behind the Ethernet header and at most one VLAN tag.
fn ethernet(asm: &mut Assembler, steps: &Steps) {
    let untagged = asm.label();
    asm.mov(Reg::R6, Reg::R1);
    asm.store_u32_imm(Reg::Frame, FIRST, 0);
    asm.load_u32(Reg::R7, Reg::R6, CONTEXT_DATA);
    asm.load_u32(Reg::R8, Reg::R6, CONTEXT_DATA_END);
    need(asm, Reg::R7, 14, steps.pass);
    asm.load_u16(Reg::R3, Reg::R7, 12);
    asm.add_imm(Reg::R7, 14);
    asm.jump_if_ne(Reg::R3, network_u16(ETHER_TYPE_VLAN), untagged);
    need(asm, Reg::R7, 4, steps.pass);
    asm.load_u16(Reg::R3, Reg::R7, 2);
    asm.add_imm(Reg::R7, 4);
    asm.bind(untagged);
    asm.jump_if_eq(Reg::R3, network_u16(ETHER_TYPE_IPV6), steps.ipv6);
    asm.jump_if_ne(Reg::R3, network_u16(ETHER_TYPE_IPV4), steps.pass);
}

/// RFC 791 3.1. Leaves the destination address in the key, and goes on with TCP or ICMP.
fn ipv4(asm: &mut Assembler, steps: &Steps) {
    need(asm, Reg::R7, 20, steps.pass);
    ipv4_header_len(asm, Reg::R7, steps.pass);
    ipv4_fragment(asm, steps);
    asm.store_u32_imm(Reg::Frame, KEY, 0);
    asm.store_u32_imm(Reg::Frame, KEY + 4, 0);
    asm.store_u32_imm(Reg::Frame, KEY + 8, i32::from_ne_bytes([0, 0, 0xff, 0xff]));
    asm.load_u32(Reg::R4, Reg::R7, 16);
    asm.store_u32(Reg::Frame, KEY + 12, Reg::R4);
    asm.store_u32_imm(Reg::Frame, KEY_ANY, 0);
    asm.store_u32_imm(Reg::Frame, KEY_ANY + 4, 0);
    asm.store_u32_imm(Reg::Frame, KEY_ANY + 8, i32::from_ne_bytes([0, 0, 0xff, 0xff]));
    asm.store_u32_imm(Reg::Frame, KEY_ANY + 12, 0);
    asm.load_u8(Reg::R9, Reg::R7, 9);
    asm.mov(Reg::R2, Reg::R7);
    asm.add(Reg::R2, Reg::R3);
    asm.jump_if_eq(Reg::R9, PROTOCOL_TCP, steps.tcp);
    asm.jump_if_ne(Reg::R9, PROTOCOL_ICMP, steps.pass);
    icmpv4(asm, steps);
}

/// RFC 791 3.2. Leaves R3 as it is.
fn ipv4_fragment(asm: &mut Assembler, steps: &Steps) {
    let whole = asm.label();
    asm.load_u16(Reg::R4, Reg::R7, 6);
    // More fragments, and the offset.
    asm.and_imm(Reg::R4, network_u16(0x3fff));
    asm.jump_if_eq(Reg::R4, 0, whole);
    for (word, from) in [(0, 12), (16, 16)] {
        asm.store_u32_imm(Reg::Frame, PIECE + word, 0);
        asm.store_u32_imm(Reg::Frame, PIECE + word + 4, 0);
        asm.store_u32_imm(Reg::Frame, PIECE + word + 8, i32::from_ne_bytes([0, 0, 0xff, 0xff]));
        asm.load_u32(Reg::R5, Reg::R7, from);
        asm.store_u32(Reg::Frame, PIECE + word + 12, Reg::R5);
    }
    // Each protocol has identifications of its own.
    asm.load_u8(Reg::R5, Reg::R7, 9);
    asm.shift_left_imm(Reg::R5, 16);
    asm.load_u16(Reg::R1, Reg::R7, 4);
    asm.add(Reg::R5, Reg::R1);
    asm.store_u32(Reg::Frame, PIECE + 32, Reg::R5);
    asm.and_imm(Reg::R4, network_u16(0x1fff));
    asm.jump_if_ne(Reg::R4, 0, steps.later);
    asm.store_u32_imm(Reg::Frame, FIRST, 1);
    asm.bind(whole);
}

/// RFC 792: the quoted packet begins 8 bytes behind the start of an error. Its source is our side.
fn icmpv4(asm: &mut Assembler, steps: &Steps) {
    let (error, reply) = (asm.label(), asm.label());
    need(asm, Reg::R2, 8 + 20, steps.pass);
    asm.load_u8(Reg::R3, Reg::R2, 0);
    asm.jump_if_eq(Reg::R3, ICMP_ECHO_REPLY, reply);
    for kind in [ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED, ICMP_PARAMETER_PROBLEM] {
        asm.jump_if_eq(Reg::R3, kind, error);
    }
    asm.jump(steps.pass);
    // The identifier of a ping is looked up as a port of an address of its own.
    asm.bind(reply);
    for key in [KEY, KEY_ANY] {
        for (word, bytes) in (0..).zip(PROBE_KEY.as_chunks::<4>().0) {
            asm.store_u32_imm(Reg::Frame, key + 4 * word, i32::from_ne_bytes(*bytes));
        }
    }
    asm.load_u16(Reg::R9, Reg::R2, 4);
    asm.jump(steps.lookup);
    asm.bind(error);
    asm.add_imm(Reg::R2, 8);
    ipv4_header_len(asm, Reg::R2, steps.pass);
    refuse_later_fragment(asm, Reg::R2, steps.pass);
    asm.load_u8(Reg::R4, Reg::R2, 9);
    asm.jump_if_ne(Reg::R4, PROTOCOL_TCP, steps.pass);
    asm.load_u32(Reg::R4, Reg::R2, 12);
    asm.store_u32(Reg::Frame, KEY + 12, Reg::R4);
    asm.add(Reg::R2, Reg::R3);
    quoted_source_port(asm, steps);
}

/// RFC 8200 3. Leaves the destination address in the key, and goes on with TCP or `ICMPv6`.
fn ipv6(asm: &mut Assembler, steps: &Steps) {
    asm.bind(steps.ipv6);
    need(asm, Reg::R7, 40, steps.pass);
    require_ipv6(asm, Reg::R7, steps.pass);
    for word in 0..4 {
        asm.load_u32(Reg::R4, Reg::R7, 24 + 4 * word);
        asm.store_u32(Reg::Frame, KEY + 4 * word, Reg::R4);
        asm.store_u32_imm(Reg::Frame, KEY_ANY + 4 * word, 0);
    }
    asm.load_u8(Reg::R9, Reg::R7, 6);
    asm.mov(Reg::R2, Reg::R7);
    asm.add_imm(Reg::R2, 40);
    let icmp = asm.label();
    for _ in 0..IPV6_EXTENSIONS_MAX {
        asm.jump_if_eq(Reg::R9, PROTOCOL_TCP, steps.tcp);
        asm.jump_if_eq(Reg::R9, PROTOCOL_ICMPV6, icmp);
        ipv6_extension(asm, steps);
    }
    asm.jump_if_eq(Reg::R9, PROTOCOL_TCP, steps.tcp);
    asm.jump_if_ne(Reg::R9, PROTOCOL_ICMPV6, steps.pass);
    asm.bind(icmp);
    icmpv6(asm, steps);
}

/// Steps over one extension header (RFC 8200 4): the next one's kind to R9, its start to R2.
fn ipv6_extension(asm: &mut Assembler, steps: &Steps) {
    let (sized, fragment, next) = (asm.label(), asm.label(), asm.label());
    asm.jump_if_eq(Reg::R9, IPV6_FRAGMENT, fragment);
    for kind in [IPV6_HOP_BY_HOP, IPV6_ROUTING, IPV6_DESTINATION] {
        asm.jump_if_eq(Reg::R9, kind, sized);
    }
    asm.jump(steps.pass);

    asm.bind(fragment);
    need(asm, Reg::R2, 8, steps.pass);
    ipv6_fragment(asm, steps);
    asm.load_u8(Reg::R9, Reg::R2, 0);
    asm.add_imm(Reg::R2, 8);
    asm.jump(next);

    asm.bind(sized);
    need(asm, Reg::R2, 8, steps.pass);
    asm.load_u8(Reg::R9, Reg::R2, 0);
    asm.load_u8(Reg::R3, Reg::R2, 1);
    // The length counts units of 8 bytes, without the first.
    asm.add_imm(Reg::R3, 1);
    asm.shift_left_imm(Reg::R3, 3);
    asm.add(Reg::R2, Reg::R3);
    asm.bind(next);
}

/// RFC 8200 4.5: the upper 13 bits are the offset, the lowest one says that there are more.
fn ipv6_fragment(asm: &mut Assembler, steps: &Steps) {
    let whole = asm.label();
    asm.load_u16(Reg::R3, Reg::R2, 2);
    asm.and_imm(Reg::R3, network_u16(0xfff9));
    asm.jump_if_eq(Reg::R3, 0, whole);
    for word in 0..8 {
        asm.load_u32(Reg::R5, Reg::R7, 8 + 4 * word);
        asm.store_u32(Reg::Frame, PIECE + 4 * word, Reg::R5);
    }
    asm.load_u32(Reg::R5, Reg::R2, 4);
    asm.store_u32(Reg::Frame, PIECE + 32, Reg::R5);
    asm.and_imm(Reg::R3, network_u16(0xfff8));
    asm.jump_if_ne(Reg::R3, 0, steps.later);
    asm.store_u32_imm(Reg::Frame, FIRST, 1);
    asm.bind(whole);
}

/// RFC 4443 3: errors are the types 1 to 4; the quoted packet begins 8 bytes behind.
fn icmpv6(asm: &mut Assembler, steps: &Steps) {
    let error = asm.label();
    need(asm, Reg::R2, 8 + 40, steps.pass);
    asm.load_u8(Reg::R3, Reg::R2, 0);
    for kind in 1..=4 {
        asm.jump_if_eq(Reg::R3, kind, error);
    }
    asm.jump(steps.pass);
    asm.bind(error);
    asm.add_imm(Reg::R2, 8);
    require_ipv6(asm, Reg::R2, steps.pass);
    asm.load_u8(Reg::R4, Reg::R2, 6);
    // We send no extension headers, so none is quoted.
    asm.jump_if_ne(Reg::R4, PROTOCOL_TCP, steps.pass);
    for word in 0..4 {
        asm.load_u32(Reg::R4, Reg::R2, 8 + 4 * word);
        asm.store_u32(Reg::Frame, KEY + 4 * word, Reg::R4);
    }
    asm.add_imm(Reg::R2, 40);
    quoted_source_port(asm, steps);
}

/// R2 is at the quoted TCP header: its source port is ours or not.
fn quoted_source_port(asm: &mut Assembler, steps: &Steps) {
    need(asm, Reg::R2, 4, steps.pass);
    asm.load_u16(Reg::R9, Reg::R2, 0);
    asm.jump(steps.lookup);
}

/// R2 is at the TCP header: its destination port is ours or not.
fn tcp(asm: &mut Assembler, steps: &Steps) {
    asm.bind(steps.tcp);
    need(asm, Reg::R2, 4, steps.pass);
    asm.load_u16(Reg::R9, Reg::R2, 2);
}

/// Is the port in R9 (as it was in the frame) ours, at the address in the key or at any address?
fn lookup(asm: &mut Assembler, steps: &Steps, ports_map: i32) {
    asm.bind(steps.lookup);
    asm.swap_from_big_endian_16(Reg::R9);
    // Says again what is so, in words that every kernel's verifier remembers.
    asm.and_imm(Reg::R9, 0xffff);
    let any = asm.label();
    for (key, otherwise) in [(KEY, any), (KEY_ANY, steps.pass)] {
        asm.load_map(Reg::R1, ports_map);
        asm.mov(Reg::R2, Reg::Frame);
        asm.add_imm(Reg::R2, key.into());
        asm.call(CALL_MAP_LOOKUP);
        asm.jump_if_eq(Reg::R0, 0, otherwise);
        // Bit `port & 7` of byte `port >> 3`.
        asm.mov(Reg::R1, Reg::R9);
        asm.shift_right_imm(Reg::R1, 3);
        asm.add(Reg::R0, Reg::R1);
        asm.load_u8(Reg::R0, Reg::R0, 0);
        asm.mov(Reg::R1, Reg::R9);
        asm.and_imm(Reg::R1, 7);
        asm.shift_right(Reg::R0, Reg::R1);
        asm.and_imm(Reg::R0, 1);
        asm.jump_if_ne(Reg::R0, 0, steps.ours);
        if key == KEY {
            asm.bind(any);
        }
    }
    asm.jump(steps.pass);
}

/// A fragment that names no ports goes where the first one went.
fn later_fragment(asm: &mut Assembler, steps: &Steps, pieces_map: i32) {
    asm.bind(steps.later);
    asm.load_map(Reg::R1, pieces_map);
    asm.mov(Reg::R2, Reg::Frame);
    asm.add_imm(Reg::R2, PIECE.into());
    asm.call(CALL_MAP_LOOKUP);
    asm.jump_if_eq(Reg::R0, 0, steps.pass);
    asm.jump(steps.ours);
}

/// To the socket of this queue, or nowhere; and the way of everything else. Of a packet's first
/// fragment it is noted which way that was: identifications come again.
fn verdicts(asm: &mut Assembler, steps: &Steps, maps: Maps) {
    let (to_socket, to_kernel) = (asm.label(), asm.label());
    asm.bind(steps.ours);
    asm.load_u32(Reg::R3, Reg::Frame, FIRST);
    asm.jump_if_eq(Reg::R3, 0, to_socket);
    asm.load_map(Reg::R1, maps.pieces);
    asm.mov(Reg::R2, Reg::Frame);
    asm.add_imm(Reg::R2, PIECE.into());
    asm.mov(Reg::R3, Reg::Frame);
    asm.add_imm(Reg::R3, FIRST.into());
    asm.mov_imm(Reg::R4, BPF_ANY);
    asm.call(CALL_MAP_UPDATE);
    asm.bind(to_socket);
    count(asm, maps.counts);
    asm.load_map(Reg::R1, maps.sockets);
    asm.load_u32(Reg::R2, Reg::R6, CONTEXT_RX_QUEUE);
    // The low bits of the flags are the verdict when the queue has no socket.
    asm.mov_imm(Reg::R3, XDP_DROP);
    asm.call(CALL_REDIRECT_MAP);
    asm.exit();
    asm.bind(steps.pass);
    asm.load_u32(Reg::R3, Reg::Frame, FIRST);
    asm.jump_if_eq(Reg::R3, 0, to_kernel);
    asm.load_map(Reg::R1, maps.pieces);
    asm.mov(Reg::R2, Reg::Frame);
    asm.add_imm(Reg::R2, PIECE.into());
    asm.call(CALL_MAP_DELETE);
    asm.bind(to_kernel);
    asm.mov_imm(Reg::R0, XDP_PASS);
    asm.exit();
}

/// One more frame of ours on this queue, whether or not it then reaches a socket.
fn count(asm: &mut Assembler, counts_map: i32) {
    let counted = asm.label();
    asm.load_u32(Reg::R2, Reg::R6, CONTEXT_RX_QUEUE);
    asm.store_u32(Reg::Frame, QUEUE, Reg::R2);
    asm.load_map(Reg::R1, counts_map);
    asm.mov(Reg::R2, Reg::Frame);
    asm.add_imm(Reg::R2, QUEUE.into());
    asm.call(CALL_MAP_LOOKUP);
    asm.jump_if_eq(Reg::R0, 0, counted);
    asm.mov_imm(Reg::R1, 1);
    asm.atomic_add_u64(Reg::R0, 0, Reg::R1);
    asm.bind(counted);
}

/// Passes the frame on unless it has `bytes` bytes at `start`. The verifier demands it before a
/// load.
fn need(asm: &mut Assembler, start: Reg, bytes: i32, pass: Label) {
    asm.mov(Reg::R5, start);
    asm.add_imm(Reg::R5, bytes);
    asm.jump_if_above(Reg::R5, Reg::R8, pass);
}

/// Checks the version and leaves the header's length in R3.
fn ipv4_header_len(asm: &mut Assembler, header: Reg, pass: Label) {
    asm.load_u8(Reg::R3, header, 0);
    asm.mov(Reg::R4, Reg::R3);
    asm.and_imm(Reg::R4, 0xf0);
    asm.jump_if_ne(Reg::R4, 0x40, pass);
    asm.and_imm(Reg::R3, 0x0f);
    asm.shift_left_imm(Reg::R3, 2);
    asm.jump_if_below(Reg::R3, 20, pass);
}

/// Only the first fragment has the TCP header (RFC 791 3.2).
fn refuse_later_fragment(asm: &mut Assembler, header: Reg, pass: Label) {
    asm.load_u16(Reg::R4, header, 6);
    asm.and_imm(Reg::R4, network_u16(0x1fff));
    asm.jump_if_ne(Reg::R4, 0, pass);
}

fn require_ipv6(asm: &mut Assembler, header: Reg, pass: Label) {
    asm.load_u8(Reg::R3, header, 0);
    asm.and_imm(Reg::R3, 0xf0);
    asm.jump_if_ne(Reg::R3, 0x60, pass);
}

/// What a two-byte load gives on this machine when the frame holds `value` in network order.
const fn network_u16(value: u16) -> i32 {
    value.to_be() as i32
}

/// Places on the program's stack, below its top.
const KEY: i16 = -16;
const KEY_ANY: i16 = -32;
/// The key of a packet in fragments.
const PIECE: i16 = -68;
/// 1: the frame is a packet's first fragment.
const FIRST: i16 = -72;
/// The key of the `counts` map.
const QUEUE: i16 = -76;

/// Where the `ports` map keeps the identifiers of our pings: an address that is none (a multicast
/// address of RFC 4291 2.7 with all its bits set).
pub(super) const PROBE_KEY: [u8; KEY_BYTES] = [0xff; KEY_BYTES];

/// `struct xdp_md` of `linux/bpf.h`.
const CONTEXT_DATA: i16 = 0;
const CONTEXT_DATA_END: i16 = 4;
const CONTEXT_RX_QUEUE: i16 = 16;

/// `enum xdp_action`.
pub(super) const XDP_DROP: i32 = 1;
pub(super) const XDP_PASS: i32 = 2;

/// An entry is made, or changed.
const BPF_ANY: i32 = 0;

/// `enum bpf_func_id`.
const CALL_MAP_LOOKUP: i32 = 1;
const CALL_MAP_UPDATE: i32 = 2;
const CALL_MAP_DELETE: i32 = 3;
const CALL_REDIRECT_MAP: i32 = 51;

const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
const ETHER_TYPE_VLAN: u16 = 0x8100;

const PROTOCOL_ICMP: i32 = 1;
const PROTOCOL_TCP: i32 = 6;
const PROTOCOL_ICMPV6: i32 = 58;

const ICMP_ECHO_REPLY: i32 = 0;
const ICMP_UNREACHABLE: i32 = 3;
const ICMP_TIME_EXCEEDED: i32 = 11;
const ICMP_PARAMETER_PROBLEM: i32 = 12;

const IPV6_HOP_BY_HOP: i32 = 0;
const IPV6_ROUTING: i32 = 43;
const IPV6_FRAGMENT: i32 = 44;
const IPV6_DESTINATION: i32 = 60;

/// One of each kind that may stand before TCP (RFC 8200 4.1).
const IPV6_EXTENSIONS_MAX: usize = 4;

#[cfg(test)]
mod tests;
