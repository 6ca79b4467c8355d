//! The settings of the stack that make a script for Linux or FreeBSD apply verbatim.
//!
//! All are ordinary settings; which value goes with which system is known from its source and from
//! the scripts.

use crate::flags::Profile;
use crore_stack::{Ecn, Nagle, OptionLayout, StackConfig, WindowSteps};

/// The stack's settings for a profile.
pub(crate) fn settings(profile: Profile) -> StackConfig {
    let mut config = StackConfig::for_connections(CONNS_MAX);
    // The scripts assert windows and how much a call takes: neither is the path's to decide.
    config.rcv_buf_bytes = 65_536;
    config.rcv_buf_max_bytes = 65_536;
    config.snd_buf_bytes = 1 << 20;
    config.snd_buf_max_bytes = 1 << 20;
    match profile {
        Profile::Linux => {
            config.option_layout = OptionLayout::Linux;
            config.window_scale_min = 8;
            config.quick_acks = true;
            config.push_bursts = true;
            // Linux leaves it to a queueing discipline that scripts do not have.
            config.burst_segments = None;
            config.rto_variance_min_ms = 200;
            config.rto_max_ms = 120_000;
            config.timestamps_required = false;
            config.syn_retries = 5;
            config.fast_open.unknown_mss = Some(1460);
            config.habits.reset_given_up = false;
            config.habits.probes_repeat = false;
            config.habits.slow_start_acks_max = u32::MAX;
        }
        Profile::FreeBsd => {
            config.option_layout = OptionLayout::FreeBsd;
            config.window_scale_min = 6;
            config.nagle = Nagle::Classic;
            config.habits.rcv_buf_whole_segments = true;
            config.habits.window_steps = WindowSteps::Octets;
            config.habits.fin_on_acks = true;
            config.keepalive_probes = 8;
            config.habits.quick_acks_after_loss = false;
            config.tail_loss_probes = false;
            config.habits.acks_small_segments = true;
        }
    }
    config
}

/// Takes over what a script set with `sysctl`, a `NAME=VALUE` a line, the last one winning.
pub(crate) fn apply_sysctls(text: &str, profile: Profile, config: &mut StackConfig) {
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let (name, value) = (name.trim().replace('/', "."), value.trim());
        let first = value.split_whitespace().next().and_then(number);
        let Some(number) = first else { continue };
        if let Some(name) = name.strip_prefix("net.ipv4.tcp_") {
            apply_linux(name, number, value, profile, config);
        } else if let Some(name) = name.strip_prefix("net.inet.tcp.") {
            apply_freebsd(name, number, config);
        } else if name == "kern.ipc.maxsockbuf" && profile == Profile::FreeBsd {
            config.window_scale_min = scale_for(number);
        }
    }
}

fn apply_linux(name: &str, number: u64, value: &str, profile: Profile, config: &mut StackConfig) {
    match name {
        "timestamps" => config.timestamps = number != 0,
        "sack" => config.sack = number != 0,
        "ecn" => {
            config.ecn = match number {
                0 => Ecn::Off,
                1 => Ecn::Offer,
                _ => Ecn::Accept,
            };
        }
        "window_scaling" => config.window_scaling = number != 0,
        "rto_max_ms" => config.rto_max_ms = number.clamp(1_000, 120_000) as u32,
        "syn_retries" => config.syn_retries = number.min(127) as u8,
        "synack_retries" => config.syn_ack_retries = number.min(127) as u8,
        "rmem" if profile == Profile::Linux => {
            let largest = value.split_whitespace().nth(2).and_then(self::number);
            config.window_scale_min = largest.map_or(8, scale_for);
        }
        _ => {}
    }
}

fn apply_freebsd(name: &str, number: u64, config: &mut StackConfig) {
    match name {
        "rfc1323" => {
            config.timestamps = number & 1 != 0 && number != 2;
            config.window_scaling = number != 0 && number != 3;
        }
        "sack.enable" => config.sack = number != 0,
        "ecn.enable" => {
            config.ecn = match number {
                0 => Ecn::Off,
                1 => Ecn::Offer,
                _ => Ecn::Accept,
            };
        }
        "keepidle" => config.keepalive_idle_ms = Some(number.min(1 << 30) as u32),
        "keepintvl" => config.keepalive_interval_ms = number.min(1 << 30) as u32,
        "keepcnt" => config.keepalive_probes = number.min(255) as u8,
        _ => {}
    }
}

/// The shift with which a buffer of `octets` can be advertised.
fn scale_for(octets: u64) -> u8 {
    (0..14).find(|shift| octets >> shift <= 65_535).unwrap_or(14)
}

/// Decimal, or hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A script has a handful of connections.
const CONNS_MAX: u32 = 256;

#[cfg(test)]
mod tests;
