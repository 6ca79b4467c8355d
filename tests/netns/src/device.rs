//! A TAP device of a test program's own: what it writes, the kernel receives as from a wire.

use std::fs::File;

use anyhow::{Context as _, Result};
use crore_driver::tap;
use crore_mem::{HugePages, Memory};

/// Makes the device and sets it up. It goes with the file.
///
/// A read gives a frame, a write takes one; a read with nothing there is `WouldBlock`.
pub fn open(name: &str) -> Result<File> {
    let mut memory = Memory::new(HugePages::Transparent);
    let mut taps = tap::open(name, 1, &mut memory)?;
    let tap = taps.pop().context("no queue was opened")?;
    // Only the descriptor is wanted: these programs have memory of their own for frames.
    Ok(File::from(tap.descriptor().try_clone_to_owned()?))
}
