//! Descriptors of the system, so that packetdrill can close what a script left open.

use crate::errno::Errno;
use crate::ffi;

/// A real descriptor, closed with the value. It stands for a socket and does nothing.
pub(crate) struct Descriptor(i32);

impl Descriptor {
    pub(crate) fn new() -> Result<Self, Errno> {
        ffi::open_eventfd().map(Self)
    }

    pub(crate) fn number(&self) -> i32 {
        self.0
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        ffi::close_descriptor(self.0);
    }
}
