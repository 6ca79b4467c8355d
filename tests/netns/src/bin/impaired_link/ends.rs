//! An end of the link: a TAP device, and what it sent and got on record.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use crore_netns_tests::device;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::capture::Capture;
use crate::way::Way;

/// One end.
pub(crate) struct End {
    device: File,
    buffer: Box<[u8]>,
    capture: Option<Capture>,
}

impl End {
    /// Makes the device. It goes with us.
    pub(crate) fn open(name: &str, capture: Option<String>) -> Result<Self> {
        let device = device::open(name)?;
        let capture = capture.map(|path| Capture::create(Path::new(&path))).transpose()?;
        Ok(Self { device, buffer: vec![0; FRAME_BYTES_MAX].into(), capture })
    }

    /// Reads a burst of frames and sends them on their way; returns how many.
    pub(crate) fn take(&mut self, now_ns: u64, way: &mut Way) -> Result<usize> {
        for count in 0..BURST {
            match self.device.read(&mut self.buffer) {
                Ok(len) => {
                    let frame = &self.buffer[..len];
                    if let Some(capture) = &mut self.capture {
                        capture.record(now_ns, frame)?;
                    }
                    way.enter(now_ns, frame);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The device is not up yet, or not any more.
                Err(error) if error.raw_os_error() == Some(DEVICE_IS_DOWN) => return Ok(count),
                Err(error) => return Err(error).context("reading a frame"),
            }
        }
        Ok(BURST)
    }

    /// Writes the frames that are due; returns how many.
    pub(crate) fn deliver(&mut self, now_ns: u64, way: &mut Way) -> Result<usize> {
        let mut count = 0;
        while let Some(frame) = way.leave(now_ns) {
            // What a device does not take is lost, as on a wire that is cut.
            let is_taken = self.device.write(&frame).is_ok();
            way.counts.refused += u64::from(!is_taken);
            if let Some(capture) = &mut self.capture {
                capture.record(now_ns, &frame)?;
            }
            way.give_back(frame);
            count += 1;
        }
        Ok(count)
    }

    /// Writes what is left of the record.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.capture.as_mut().map_or(Ok(()), Capture::finish)
    }
}

/// Sleeps until one of the ends has a frame, or the time is over.
pub(crate) fn sleep(one: &End, other: &End, wait_ns: u64) -> Result<()> {
    let mut both =
        [PollFd::new(&one.device, PollFlags::IN), PollFd::new(&other.device, PollFlags::IN)];
    let limit = Timespec { tv_sec: 0, tv_nsec: wait_ns as i64 };
    match poll(&mut both, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("waiting for a frame"),
    }
}

/// Both directions get their turn after so many frames.
const BURST: usize = 64;

/// An MTU of 1500 and a VLAN tag, with room to spare.
const FRAME_BYTES_MAX: usize = 2048;

/// `EIO`: how a TAP device answers while it is down.
const DEVICE_IS_DOWN: i32 = 5;
