//! What a link does to the packets on it, in the words that `impaired-link` takes, and its counts.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// What happens to the TCP segments on a link, each way with luck of its own. Shares are percent.
///
/// Other packets (ARP, ICMP) are late with the rest but never harmed: no scenario is about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Impairment {
    /// All luck follows from it.
    pub seed: u64,
    /// Lost.
    pub loss: f64,
    /// Held back for [`HOLD_US`], so that those behind it come first.
    pub reorder: f64,
    /// Delivered twice.
    pub duplicate: f64,
    /// Delivered with a wrong byte, and the checksum as it was.
    pub corrupt: f64,
    /// The time that each frame takes, each way.
    pub delay_us: u64,
    /// What the line carries in a second; 0: whatever comes.
    pub rate_kbit: u64,
    /// What may wait for the line; more is thrown away. It counts only where there is a rate.
    pub queue_bytes: u64,
}

/// What a link did to the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Frames that came in.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// TCP segments among them.
    pub segments: u64,
    /// Segments with payload among those.
    pub data: u64,
    /// Segments lost by luck.
    pub lost: u64,
    /// Segments with payload among the lost ones.
    pub lost_data: u64,
    /// Segments held back.
    pub reordered: u64,
    /// Segments delivered twice.
    pub duplicated: u64,
    /// Segments delivered with a wrong byte.
    pub corrupted: u64,
    /// Segments with payload among the corrupted ones.
    pub corrupted_data: u64,
    /// Frames for which the queue had no room.
    pub overflowed: u64,
    /// Frames that the interface at the end did not take.
    pub refused: u64,
}

/// The counts of both directions. The near end is the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BothCounts {
    /// From the client to the server.
    pub to_far: Counts,
    /// From the server to the client.
    pub to_near: Counts,
}

impl Impairment {
    /// The words for `impaired-link`.
    pub fn words(&self) -> Vec<String> {
        vec![
            format!("seed={}", self.seed),
            format!("loss={}", self.loss),
            format!("reorder={}", self.reorder),
            format!("duplicate={}", self.duplicate),
            format!("corrupt={}", self.corrupt),
            format!("delay_us={}", self.delay_us),
            format!("rate_kbit={}", self.rate_kbit),
            format!("queue_bytes={}", self.queue_bytes),
        ]
    }

    /// Reads one word.
    pub fn read(&mut self, word: &str) -> Result<()> {
        let (name, value) = word.split_once('=').with_context(|| format!("not K=V: {word}"))?;
        let number = || value.parse().with_context(|| format!("not a number: {word}"));
        let share = || -> Result<f64> {
            let share: f64 = value.parse().with_context(|| format!("not a percentage: {word}"))?;
            ensure!((0.0..=100.0).contains(&share), "not a percentage: {word}");
            Ok(share)
        };
        match name {
            "seed" => self.seed = number()?,
            "loss" => self.loss = share()?,
            "reorder" => self.reorder = share()?,
            "duplicate" => self.duplicate = share()?,
            "corrupt" => self.corrupt = share()?,
            "delay_us" => self.delay_us = number()?,
            "rate_kbit" => self.rate_kbit = number()?,
            "queue_bytes" => self.queue_bytes = number()?,
            _ => bail!("no such setting: {word}"),
        }
        Ok(())
    }
}

/// Long enough that a dozen segments overtake at 200 Mbit/s, short beside any timeout.
pub const HOLD_US: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::Impairment;

    #[test]
    fn what_is_written_as_words_is_read_as_the_same() {
        let all = Impairment {
            seed: 7,
            loss: 0.1,
            reorder: 10.0,
            duplicate: 1.0,
            corrupt: 0.25,
            delay_us: 10_000,
            rate_kbit: 50_000,
            queue_bytes: 125_000,
        };
        let mut read = Impairment::default();
        for word in all.words() {
            read.read(&word).expect("a word of ours");
        }
        assert_eq!(read, all);
    }

    #[test]
    fn words_that_mean_nothing_are_refused() {
        for word in ["loss", "loss=", "loss=101", "loss=-1", "loss=NaN", "seed=x", "luck=1"] {
            assert!(Impairment::default().read(word).is_err(), "{word}");
        }
    }
}
