//! The demo's figures: checked, shown beside those of the C10M problem, and as JSON.

use super::story::Story;
use crate::account::Account;
use crate::figures::dropped_line;
use crate::pair::{ClientRemains, Demand, MemoryOfSides, leaked};
use crate::report::{CyclesPerPacket, LatencyUs, packets_between, rounded};
use crate::text::{bytes, grouped, rate};
use crore::Core;
use crore_echo::Echo as EchoServer;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a run of the demo found. The names are part of the interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) connections: u64,
    pub(crate) established_server: u64,
    pub(crate) established_client: u64,
    pub(crate) requests: u64,
    pub(crate) bad_bytes: u64,
    pub(crate) resets: u64,
    pub(crate) retransmits: u64,
    pub(crate) open_seconds: f64,
    pub(crate) connections_per_second: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) packets_per_second: f64,
    pub(crate) bytes_per_connection_server: f64,
    pub(crate) bytes_per_connection_client: f64,
    /// Memory of the process that is in neither side's regions: program, stacks, heap, page tables.
    pub(crate) bytes_outside: usize,
    pub(crate) cycles_per_packet: CyclesPerPacket,
    pub(crate) account: Account,
    pub(crate) latency_us: LatencyUs,
    pub(crate) closed: u64,
    pub(crate) leaked: u64,
    #[serde(skip)]
    wanted: u64,
    #[serde(skip)]
    unanswered: u64,
    #[serde(skip)]
    missed: u64,
    #[serde(skip)]
    never_asked: u64,
    #[serde(skip)]
    was_interrupted: bool,
    #[serde(skip)]
    memory: MemoryOfSides,
    /// By reason, at the server and at the client.
    #[serde(skip)]
    dropped: [BTreeMap<&'static str, u64>; 2],
}

impl Figures {
    pub(crate) fn of(
        demand: &Demand,
        memory: MemoryOfSides,
        story: &Story,
        (server, client): &(Core<EchoServer>, ClientRemains),
    ) -> Self {
        let server = server.snapshot();
        let numbers = client.numbers;
        let wanted = u64::from(demand.connections);
        let [before, after] = story.traffic.map(|snapshot| [snapshot]);
        let per_second = |count: u64, seconds: f64| {
            rounded(if seconds > 0.0 { count as f64 / seconds } else { 0.0 })
        };
        let packets = packets_between(&before, &after);
        Self {
            connections: numbers.opened,
            established_server: story.established_server,
            established_client: story.established_client,
            requests: numbers.requests,
            bad_bytes: numbers.bad_bytes,
            resets: server.counters.resets_in + client.resets,
            retransmits: server.counters.retransmits + client.retransmits,
            open_seconds: (numbers.open_seconds * 1e3).round() / 1e3,
            connections_per_second: per_second(numbers.opened, numbers.open_seconds),
            requests_per_second: per_second(numbers.replies, numbers.traffic_seconds),
            packets_per_second: per_second(packets, numbers.traffic_seconds),
            bytes_per_connection_server: rounded(memory.server_bytes as f64 / wanted as f64),
            bytes_per_connection_client: rounded(memory.client_bytes as f64 / wanted as f64),
            bytes_outside: story.resident.outside(memory.server_bytes + memory.client_bytes),
            cycles_per_packet: CyclesPerPacket::between(&before, &after),
            account: Account {
                hardware: story.hardware.clone(),
                ..Account::between(&before, &after)
            },
            latency_us: client.latency.summary().into(),
            closed: numbers.closed,
            leaked: leaked(&server) + client.leaked,
            wanted,
            missed: numbers.missed,
            unanswered: numbers.requests - numbers.replies,
            was_interrupted: story.was_interrupted,
            memory,
            never_asked: client.never_asked.unwrap_or(0),
            dropped: [server.counters.dropped_by_name().collect(), client.dropped.clone()],
        }
    }

    /// What is not as it must be, a sentence each. After Ctrl-C what was not reached is no fault.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut complain = |wrong: bool, what: String| {
            if wrong {
                found.push(what);
            }
        };
        let (opened, wanted) = (grouped(self.connections), grouped(self.wanted));
        complain(
            self.connections != self.wanted && !self.was_interrupted,
            format!("{opened} connections of {wanted} were opened"),
        );
        for (side, stood) in
            [("server", self.established_server), ("client", self.established_client)]
        {
            let stood_in_words = grouped(stood);
            complain(
                stood != self.connections,
                format!(
                    "{stood_in_words} of {opened} connections were still established at the {side}"
                ),
            );
        }
        complain(self.bad_bytes > 0, format!("{} bytes of replies were wrong", self.bad_bytes));
        complain(self.unanswered > 0, format!("{} requests had no reply", self.unanswered));
        complain(
            self.never_asked > 0 && !self.was_interrupted,
            format!("{} connections were never used", grouped(self.never_asked)),
        );
        complain(
            self.missed > 0,
            format!("{} requests of the rate could not be sent", self.missed),
        );
        complain(self.resets > 0, format!("{} connections were reset", self.resets));
        complain(
            self.closed != self.connections,
            format!("{} of {opened} connections were closed in order", grouped(self.closed)),
        );
        complain(self.leaked > 0, format!("{} slots, buffers or timers leaked", self.leaked));
        found
    }

    /// The figures for people, beside those that the C10M problem asks for.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("\n{:<38}{:<34}{}\n", "", "here", "C10M asks for");
        for (what, here, asked) in self.rows() {
            let _ = writeln!(table, "{}", format!("{what:<38}{here:<34}{asked}").trim_end());
        }
        let _ = writeln!(table, "cycles a packet: {}", self.cycles_per_packet.line());
        for line in self.account.lines() {
            let _ = writeln!(table, "{line}");
        }
        let _ = writeln!(
            table,
            "{} requests, every byte checked: {} wrong; {} resets, {} retransmits; \
             {} closed in order, {} leaked",
            grouped(self.requests),
            self.bad_bytes,
            self.resets,
            grouped(self.retransmits),
            grouped(self.closed),
            self.leaked
        );
        let _ = writeln!(table, "server {}", dropped_line(&self.dropped[0]));
        let _ = write!(table, "client {}", dropped_line(&self.dropped[1]));
        table
    }

    /// What, how much of it here, and how much C10M asks for.
    fn rows(&self) -> [(&'static str, String, &'static str); 11] {
        let cycles = &self.cycles_per_packet;
        let latency = &self.latency_us;
        let memory = &self.memory;
        let (server, client) = (self.established_server, self.established_client);
        let stood = if server == client {
            format!("{} on both sides", grouped(server))
        } else {
            format!("{} server, {} client", grouped(server), grouped(client))
        };
        let a_second = rate(self.connections_per_second);
        let opened = format!("{a_second} ({:.1} s in all)", self.open_seconds);
        let per_conn = (self.bytes_per_connection_server, self.bytes_per_connection_client);
        [
            ("connections held", stood, "10 million"),
            ("opened a second", opened, "1 million"),
            (
                "cycles a packet, driver and stack",
                format!("{:.0}", cycles.driver_and_stack()),
                "200",
            ),
            ("cycles a packet, application", format!("{:.0}", cycles.service), "1,400"),
            ("packets a second, server's core", rate(self.packets_per_second), "10 million"),
            ("requests a second", rate(self.requests_per_second), ""),
            ("latency p50 / p99", format!("{:.1} / {:.1} us", latency.p50, latency.p99), "10 us"),
            ("latency p99.9 / max", format!("{:.1} / {:.1} us", latency.p999, latency.max), ""),
            (
                "memory a connection, server / client",
                format!("{:.0} / {:.0} bytes", per_conn.0, per_conn.1),
                "",
            ),
            (
                "memory, server / client",
                format!("{} / {}", bytes(memory.server_bytes), bytes(memory.client_bytes)),
                "",
            ),
            ("memory outside of the regions", bytes(self.bytes_outside), ""),
        ]
    }
}
