use super::super::copy::copy;
use super::*;
use std::fs::File;
use std::os::fd::FromRawFd as _;

/// A file in memory of so many bytes, without seals, and a mapping of it.
fn mapped(bytes: usize) -> (File, *mut u8) {
    // SAFETY: a C string; a descriptor returned is new and ours. A new mapping at a place of the
    // kernel's choice touches nothing that exists; the test leaves it to the process's end.
    unsafe {
        let file = File::from_raw_fd(libc::memfd_create(c"guard".as_ptr(), libc::MFD_CLOEXEC));
        file.set_len(bytes as u64).unwrap();
        let (protection, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        let start = libc::mmap(null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0);
        assert_ne!(start, libc::MAP_FAILED);
        (file, start.cast())
    }
}

#[test]
fn a_file_that_is_made_shorter_reads_as_zeroes_and_is_told() {
    let (file, start) = mapped(1 << 20);
    let event = Arc::new(Event::new().unwrap());
    let watched = Guard::watch(start, 1 << 20, &event);
    let mut bytes = [7; 64];
    // SAFETY: inside the mapping, and bytes of our own.
    unsafe { copy([1; 64].as_ptr(), start.add(5000), 64) };
    assert!(!watched.is_gone());
    file.set_len(0).unwrap();
    // SAFETY: inside the mapping, and bytes of our own. Without the guard this would be our end.
    unsafe { copy(start.add(5000), bytes.as_mut_ptr(), 64) };
    assert_eq!(bytes, [0; 64]);
    assert!(watched.is_gone());
    let mut fds =
        [libc::pollfd { fd: event.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    // SAFETY: one entry.
    assert_eq!(unsafe { libc::poll(fds.as_mut_ptr(), 1, 0) }, 1, "the control thread is woken");
}

#[test]
fn a_range_that_is_not_watched_any_more_is_used_for_the_next_one() {
    let event = Arc::new(Event::new().unwrap());
    let (_file, start) = mapped(4096);
    let first = Guard::watch(start, 4096, &event);
    let node: *const Node = first.node;
    drop(first);
    let again = (0..64).map(|_| Guard::watch(start, 4096, &event)).collect::<Vec<_>>();
    assert!(again.iter().any(|watched| std::ptr::eq(watched.node, node)));
}
