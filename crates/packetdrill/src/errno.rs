//! Why a call failed, in the C library's numbers.

/// An error number.
pub(crate) type Errno = i32;

/// Why a call has no result yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// It failed.
    Failed(Errno),
    /// It has to wait, if the descriptor is a blocking one.
    Wait,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Failed(errno)
    }
}
