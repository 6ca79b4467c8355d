//! Open files of one core: found by path, looked at again each second, bounded in number.
//!
//! No file outside of the root is opened, whatever a path or a symbolic link says: the kernel
//! resolves each path below the root's descriptor and refuses to leave it
//! (`openat2`, `RESOLVE_BENEATH`), so there is no moment between a check and its use. An absolute
//! link is refused even if it leads back below the root.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::clock::http_date;
use crate::condition::Validators;
use crate::config::StartError;

/// The open files below one root.
#[derive(Debug)]
pub(crate) struct Files {
    root: OwnedFd,
    slots: Vec<Slot>,
    by_path: HashMap<Box<[u8]>, u32>,
    slots_max: u32,
    small_bytes_max: u32,
    /// Where the search for a file to forget goes on.
    hand: u32,
}

#[derive(Debug, Default)]
struct Slot {
    file: Option<OpenFile>,
    /// The name it is found by; empty when the path leads to another file by now.
    path: Box<[u8]>,
    /// Exchanges that send from it.
    users: u32,
    /// When it was last seen to be what its path leads to.
    seen: Option<SystemTime>,
    was_used: bool,
}

/// A part of an open file that remains to be sent. It counts as a user of the file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct FilePart {
    pub(crate) file: u32,
    pub(crate) offset: u64,
    pub(crate) left: u64,
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    /// Device, inode, size, time of change: equal means unchanged.
    identity: (u64, u64, u64, i64, i64),
    /// Bytes.
    pub(crate) size: u64,
    etag: String,
    last_modified: SystemTime,
    /// The field lines that replies with or without content share.
    pub(crate) validator_lines: Vec<u8>,
    /// `Content-Type`, as a line.
    pub(crate) type_line: Vec<u8>,
    content: Option<Box<[u8]>>,
}

/// Why a path gives no file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoFile {
    /// Nothing there, nothing that can be sent, or not below the root.
    Missing,
    /// It is a directory, and the path lacks its final slash.
    Directory,
    /// Not ours to read.
    Forbidden,
    /// Too many open files.
    Busy,
    /// The system failed.
    Broken,
}

impl Files {
    /// Opens the root, and proves that the kernel can confine us to it.
    pub(crate) fn open(
        root: &Path,
        files_max: u32,
        small_bytes_max: u32,
    ) -> Result<Self, StartError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|source| StartError::Root { root: root.into(), source: source.into() })?;
        open_beneath(&directory, b".").map_err(|source| match source {
            Errno::NOSYS | Errno::PERM | Errno::INVAL => {
                StartError::Confinement { root: root.into(), source: source.into() }
            }
            _ => StartError::Root { root: root.into(), source: source.into() },
        })?;
        let (slots, by_path) = (Vec::new(), HashMap::new());
        Ok(Self { root: directory, slots, by_path, slots_max: files_max, small_bytes_max, hand: 0 })
    }

    /// The file that a relative path leads to now, give or take a second.
    pub(crate) fn find(&mut self, path: &[u8], now: SystemTime) -> Result<u32, NoFile> {
        let known = self.by_path.get(path).copied();
        if let Some(slot) = known {
            let entry = &mut self.slots[slot as usize];
            entry.was_used = true;
            if entry.seen == Some(now) {
                return Ok(slot);
            }
        }
        let found = self.look(path);
        if let (Some(slot), Ok((_, metadata))) = (known, &found) {
            let entry = &mut self.slots[slot as usize];
            if entry.file.as_ref().is_some_and(|file| file.identity == identity(metadata)) {
                entry.seen = Some(now);
                return Ok(slot);
            }
        }
        if let Some(slot) = known {
            self.forget(slot);
        }
        let (file, metadata) = found?;
        let slot = self.free_slot().ok_or(NoFile::Busy)?;
        let file = OpenFile::new(file, &metadata, path, now, self.small_bytes_max)
            .map_err(|_| NoFile::Broken)?;
        let path: Box<[u8]> = path.into();
        self.by_path.insert(path.clone(), slot);
        self.slots[slot as usize] =
            Slot { file: Some(file), path, users: 0, seen: Some(now), was_used: true };
        Ok(slot)
    }

    /// An open file.
    ///
    /// # Panics
    /// When the slot was not given out by [`Files::find`], or its file was forgotten since.
    pub(crate) fn get(&self, slot: u32) -> &OpenFile {
        self.slots[slot as usize].file.as_ref().expect("a file in use stays open")
    }

    /// The file stays open until [`Files::release`], whatever becomes of its path.
    pub(crate) fn hold(&mut self, slot: u32) {
        self.slots[slot as usize].users += 1;
    }

    /// The end of a [`Files::hold`].
    pub(crate) fn release(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.users -= 1;
        if entry.users == 0 && entry.path.is_empty() {
            entry.file = None;
        }
    }

    /// Opens the path afresh.
    fn look(&self, path: &[u8]) -> Result<(File, Metadata), NoFile> {
        let file = open_beneath(&self.root, path).map_err(|error| match error {
            Errno::ACCESS | Errno::PERM => NoFile::Forbidden,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => NoFile::Busy,
            Errno::IO => NoFile::Broken,
            // ENOENT, ENOTDIR, ENAMETOOLONG, ENXIO; EXDEV and ELOOP: a link that leaves the root.
            _ => NoFile::Missing,
        })?;
        let file = File::from(file);
        let metadata = file.metadata().map_err(|_| NoFile::Broken)?;
        if metadata.is_dir() {
            return Err(NoFile::Directory);
        }
        // Devices, pipes and sockets are not content.
        if metadata.is_file() { Ok((file, metadata)) } else { Err(NoFile::Missing) }
    }

    /// The path leads elsewhere: it is found no more, and closed when nobody sends from it.
    fn forget(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        self.by_path.remove(&entry.path);
        entry.path = Box::default();
        if entry.users == 0 {
            entry.file = None;
        }
    }

    /// A slot without a file; when there is none, the next one that nobody used lately gives way.
    fn free_slot(&mut self) -> Option<u32> {
        let count = self.slots.len() as u32;
        if count < self.slots_max {
            self.slots.push(Slot::default());
            return Some(count);
        }
        // Twice around: the first time clears the marks of use.
        for _ in 0..2 * count {
            let slot = self.hand;
            self.hand = (self.hand + 1) % count;
            let entry = &mut self.slots[slot as usize];
            if entry.users > 0 {
                continue;
            }
            if entry.file.is_none() {
                return Some(slot);
            }
            if !std::mem::take(&mut entry.was_used) {
                self.forget(slot);
                return Some(slot);
            }
        }
        None
    }
}

impl OpenFile {
    fn new(
        file: File,
        metadata: &Metadata,
        path: &[u8],
        now: SystemTime,
        small_bytes_max: u32,
    ) -> io::Result<Self> {
        let size = metadata.len();
        let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        let etag = format!("\"{size:x}-{seconds:x}.{nanos:x}\"");
        // RFC 9110 8.8.2.1: not later than the reply's Date.
        let since = Duration::from_secs(seconds.max(0) as u64);
        let last_modified = SystemTime::UNIX_EPOCH.checked_add(since).map_or(now, |t| t.min(now));
        let date = http_date(last_modified);
        let validator_lines = format!("Last-Modified: {date}\r\nETag: {etag}\r\n").into_bytes();
        let type_line = format!("Content-Type: {}\r\n", content_type(path)).into_bytes();
        let content = if size <= u64::from(small_bytes_max) {
            let mut content = vec![0; size as usize].into_boxed_slice();
            file.read_exact_at(&mut content, 0)?;
            Some(content)
        } else {
            None
        };
        let identity = identity(metadata);
        Ok(Self { file, identity, size, etag, last_modified, validator_lines, type_line, content })
    }

    /// What conditional requests compare.
    pub(crate) fn validators(&self) -> Validators<'_> {
        Validators { etag: &self.etag, last_modified: self.last_modified }
    }

    /// All bytes, for a small file.
    pub(crate) fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// Reads from an offset into `scratch`: at least one byte, or an error when the file has
    /// become shorter than its reply promised.
    pub(crate) fn read_at(&self, scratch: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(scratch, offset) {
                Ok(0) if !scratch.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

/// Opens what is below `root`, and nothing else. A pipe without a writer does not block us.
fn open_beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 1..OPEN_TRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // AGAIN: a rename raced with the walk and the kernel cannot tell whether we left.
            Err(Errno::INTR | Errno::AGAIN) => {}
            outcome => return outcome,
        }
    }
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

fn identity(metadata: &Metadata) -> (u64, u64, u64, i64, i64) {
    let (dev, ino, size) = (metadata.dev(), metadata.ino(), metadata.len());
    (dev, ino, size, metadata.mtime(), metadata.mtime_nsec())
}

/// The media type by the extension. Text is taken to be UTF-8.
fn content_type(path: &[u8]) -> String {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let guess = mime_guess::from_path(String::from_utf8_lossy(name).as_ref());
    let media_type = guess.first_raw().unwrap_or("application/octet-stream");
    let charset = if media_type.starts_with("text/") { "; charset=utf-8" } else { "" };
    format!("{media_type}{charset}")
}

/// How often a path is walked while renames race with it.
const OPEN_TRIES: u32 = 8;

#[cfg(test)]
mod tests;
