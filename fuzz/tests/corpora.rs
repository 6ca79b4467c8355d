//! Every input that was kept, through its target once: what was found stays found.

use std::fs;
use std::path::Path;

/// The corpus of `target`, and the inputs that once broke something.
fn replay(target: &str, run: fn(&[u8])) {
    let mut inputs = 0;
    for kept in ["corpus", "found"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kept).join(target);
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            println!("{}", path.display());
            run(&fs::read(&path).expect("a readable input"));
            inputs += 1;
        }
    }
    assert!(inputs > 0, "the corpus of {target} is empty");
}

#[test]
fn wire_frame() {
    replay("wire_frame", crore_fuzz::wire_frame);
}

#[test]
fn stack_frames() {
    replay("stack_frames", crore_fuzz::stack_frames);
    crore_fuzz::stack_frames_seeds().iter().for_each(|input| crore_fuzz::stack_frames(input));
}

#[test]
fn memif_peer() {
    replay("memif_peer", crore_fuzz::memif_peer);
}

/// Not a test: puts the seeds where `run` looks for inputs.
#[test]
#[ignore = "writes files"]
fn write_seeds() {
    let seeds = [
        ("stack_frames", crore_fuzz::stack_frames_seeds()),
        ("memif_peer", crore_fuzz::memif_peer_seeds()),
    ];
    for (target, seeds) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        for (number, input) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), input).unwrap();
        }
    }
}

#[test]
fn stack_segments() {
    replay("stack_segments", crore_fuzz::stack_segments);
}

#[test]
fn stack_calls() {
    replay("stack_calls", crore_fuzz::stack_calls);
}
