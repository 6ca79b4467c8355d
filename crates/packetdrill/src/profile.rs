//! The settings of the stack that make a script for Linux or FreeBSD apply verbatim.
//!
//! All are ordinary settings; which value goes with which system is known from its source and from
//! the scripts.

use crate::flags::Profile;
use crore_stack::{OptionLayout, StackConfig};

/// The stack's settings for a profile.
pub(crate) fn settings(profile: Profile) -> StackConfig {
    let mut config = StackConfig::for_connections(CONNS_MAX);
    config.rcv_buf_bytes = 65_536;
    match profile {
        Profile::Linux => {
            config.option_layout = OptionLayout::Linux;
            config.window_scale_min = 8;
            config.quick_acks = true;
            config.push_bursts = true;
            config.rto_variance_min_ms = 200;
            config.rto_max_ms = 120_000;
            config.timestamps_required = false;
            config.syn_retries = 5;
        }
        Profile::FreeBsd => {
            config.option_layout = OptionLayout::FreeBsd;
            config.window_scale_min = 6;
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
        let (Some(number), true) = (first, name.starts_with("net.ipv4.tcp_")) else { continue };
        match &name["net.ipv4.tcp_".len()..] {
            "timestamps" => config.timestamps = number != 0,
            "sack" => config.sack = number != 0,
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
}

/// The shift with which a buffer of `octets` can be advertised.
fn scale_for(octets: u64) -> u8 {
    (0..14).find(|shift| octets >> shift <= 65_535).unwrap_or(14)
}

/// Decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A script has a handful of connections.
const CONNS_MAX: u32 = 256;

#[cfg(test)]
mod tests;
