//! Segments near what a live connection expects: most get past the first checks.

use crate::cut::Cut;
use crate::frames;
use crate::host::{BURST_MAX, Host, Octets, PEER_ISS, Reader};
use crate::lan::{BAIT, v4};
use crate::pattern;
use crore::{ConnId, State};
use crore_wire::tcp;
use std::net::IpAddr;

/// Segments with numbers relative to those of a live connection, time, and now and then a call.
///
/// ```text
///   an act: kind u8 | ...            kind & 7
///   0 to 3  a segment: what follows is in `segment`; kind & 8: more follow in this burst
///   4       the clock goes on: a u8, in 1/16 ms, ms, 64 ms or s by the kind's high half
///   5       the application: see `call`
///   6       a connection from the bait, or to it
///   7       the burst ends here
/// ```
pub fn stack_segments(input: &[u8]) {
    let mut host = Host::with_connection(Octets::Pattern);
    let (mut cut, mut burst) = (Cut::new(input), Vec::new());
    while act(&mut host, &mut cut, &mut burst).is_some() {}
    host.turn(&burst);
    host.end();
}

fn act(host: &mut Host, cut: &mut Cut<'_>, burst: &mut Vec<Vec<u8>>) -> Option<()> {
    let kind = cut.u8()?;
    match kind & 7 {
        0..=3 => {
            burst.extend(segment(host, cut)?);
            if kind & 8 != 0 && burst.len() < BURST_MAX {
                return Some(());
            }
        }
        4 => host.now_us += u64::from(cut.u8()?) * [62, 1000, 64_000, 1_000_000][step(kind)],
        5 => call(host, kind, cut.u8()?),
        6 if kind & 8 == 0 => host.open_from(40_000 + u16::from(kind >> 4)),
        6 => host.connect(90 + u16::from(kind >> 4)),
        _ => {}
    }
    host.turn(&std::mem::take(burst));
    Some(())
}

fn step(kind: u8) -> usize {
    usize::from(kind >> 4 & 3)
}

/// One segment.
///
/// ```text
///   which u8 | flags u8 | seq | ack | window u8 | len u8 | options u8 | what these need
///   which: 3 bits connection, seq counts from RCV.NXT or the window's edge, ack from SND.UNA or
///          SND.NXT
/// ```
fn segment(host: &Host, cut: &mut Cut<'_>) -> Option<Option<Vec<u8>>> {
    let (which, flags) = (cut.u8()?, cut.u8()?);
    let (seq, ack) = (cut.near()?, cut.near()?);
    let (window, len, options) = (cut.u8()?, cut.u8()?, cut.u8()?);
    let conns = host.conns();
    let Some(id) = pick(&conns, which) else { return Some(None) };
    let tcb = host.engine.stack().tcb(id.index);
    let opening = matches!(tcb.state(), State::SynSent);
    let seq_base = match which & 8 {
        _ if opening => PEER_ISS,
        0 => tcb.rcv_nxt.0,
        _ => tcb.rcv_adv.0,
    };
    let ack_base = if which & 16 == 0 { tcb.snd_nxt.0 } else { tcb.snd_una.0 };
    let seq = seq_base.wrapping_add(seq);
    let ports = (tcb.remote_port, tcb.local_port);
    let mut header = frames::header(ports, seq, ack_base.wrapping_add(ack), tcp::Flags(flags));
    header.window = u16::from(window) << 4;
    header.urgent = if flags & 0x20 == 0 { 0 } else { u16::from(len) };
    header.options = options_of(host, options, tcb.snd_una.0, cut)?;
    let syn = u32::from(header.flags.contains(tcp::Flags::SYN));
    let text = pattern::from(seq.wrapping_add(syn), usize::from(len) * 6);
    let IpAddr::V4(remote) = host.engine.stack().remote(id.index).ip() else { return Some(None) };
    debug_assert_eq!(remote, v4(BAIT));
    Some(Some(frames::in_segment(IpAddr::V4(remote), None, &header, &text)))
}

fn options_of(host: &Host, bits: u8, una: u32, cut: &mut Cut<'_>) -> Option<tcp::Options> {
    let mut options = tcp::Options::NONE;
    if bits & 1 == 0 {
        let mut clock = host.peer_clock((host.now_us / 1000) as u32);
        if bits & 2 != 0 {
            clock.value = clock.value.wrapping_add(cut.near()?);
        }
        options.timestamps = Some(clock);
    }
    for _ in 0..(bits >> 2 & 3) {
        let left = una.wrapping_add(cut.near()?);
        options.sack.push(left, left.wrapping_add(u32::from(cut.u8()?) * 6));
    }
    if bits & 16 != 0 {
        options.mss = Some(u16::from(cut.u8()?) * 8);
    }
    if bits & 32 != 0 {
        options.window_scale = Some(cut.u8()? & 15);
    }
    options.sack_permitted = bits & 64 != 0;
    Some(options)
}

pub(crate) fn pick(conns: &[ConnId], which: u8) -> Option<ConnId> {
    (!conns.is_empty()).then(|| conns[usize::from(which & 7) % conns.len()])
}

/// The application does something to one connection, or reads more or less from now on.
pub(crate) fn call(host: &mut Host, kind: u8, argument: u8) {
    let what = kind >> 4;
    if what == 0 {
        host.engine.service_mut().quarters = usize::from(argument & 7).min(4);
        return;
    }
    let Some(id) = pick(&host.conns(), argument) else { return };
    host.with_conn(id, |conn| match what {
        1 => _ = Reader::send(conn, usize::from(argument)),
        2..=4 => _ = Reader::send(conn, usize::from(argument) * 40),
        5 if argument & 8 == 0 => conn.close(),
        5 => conn.close_both(),
        6 => conn.abort(),
        7 => conn.resume(),
        8 => conn.set_timer_ms((argument > 7).then_some(u32::from(argument) * 16)),
        9 => conn.set_nodelay(argument & 8 != 0),
        10 => conn.set_keepalive(argument & 8 != 0),
        11 => conn.set_patient(argument & 8 != 0),
        12 => {
            if let Some(payload) = conn.share(&[]) {
                conn.release(payload);
            }
        }
        _ => while Reader::send(conn, 100) == 100 {},
    });
}
