//! How frames cross between interfaces and our memory: said when it is settled, when it changes,
//! and at the end in the figures.

use crore::driver::Link;
use crore::driver::xdp::{Path, PathView, Queue};
use serde::Serialize;

/// The paths of a link's queues, watched for what becomes of them.
#[derive(Default)]
pub(crate) struct Paths(Vec<Watched>);

struct Watched {
    interface: String,
    queue: u32,
    view: PathView,
    /// What was said last.
    said: Option<Path>,
}

impl Paths {
    pub(crate) fn of(queues: &[Queue]) -> Self {
        let watched = |queue: &Queue| Watched {
            interface: queue.capabilities().name,
            queue: queue.number(),
            view: queue.path(),
            said: None,
        };
        Self(queues.iter().map(watched).collect())
    }

    /// As if nothing had been said yet.
    pub(crate) fn unsaid(mut self) -> Self {
        self.0.iter_mut().for_each(|one| one.said = None);
        self
    }

    /// A sentence for each queue about which there is something new; one for all when it is the
    /// same.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let mut news: Vec<(u32, String)> = Vec::new();
        let (mut interface, all) = (String::new(), self.0.len());
        for one in &mut self.0 {
            let path = one.view.path();
            if one.said.as_ref() != Some(&path) {
                news.push((one.queue, sentence(&path)));
                interface.clone_from(&one.interface);
                one.said = Some(path);
            }
        }
        if news.len() == all && news.windows(2).all(|two| two[0].1 == two[1].1) {
            return news
                .pop()
                .map(|(_, said)| format!("{interface}: {said}"))
                .into_iter()
                .collect();
        }
        news.iter().map(|(queue, said)| format!("{interface} queue {queue}: {said}")).collect()
    }
}

fn sentence(path: &Path) -> String {
    let how = match (path.zero_copy, path.proven) {
        (true, true) => "without copies, proven",
        (true, false) => "without copies, not proven yet",
        (false, true) => "by copies",
        (false, false) => "dead",
    };
    format!("{how}: {}", path.why)
}

/// What is to be reported of one queue of an interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PathFigures {
    interface: String,
    queue: u32,
    /// `zero-copy` or `copy`.
    mode: &'static str,
    proven: bool,
    why: String,
    /// Frames that the filter found to be ours, whether or not they reached us.
    frames_ours: u64,
    frames_received: u64,
    /// Frames that came while the path was being proven, before anybody could take them.
    frames_early: u64,
    system_calls: u64,
}

impl PathFigures {
    /// Of an interface's queue; of other links there is nothing to say.
    pub(crate) fn of(link: &Link) -> Option<Self> {
        let Link::Xdp(queue) = link else { return None };
        let (path, counters) = (queue.path().path(), queue.counters());
        Some(Self {
            interface: queue.capabilities().name,
            queue: queue.number(),
            mode: if path.zero_copy { "zero-copy" } else { "copy" },
            proven: path.proven,
            why: path.why,
            frames_ours: queue.ours().unwrap_or_default(),
            frames_received: counters.rx_frames,
            frames_early: queue.early(),
            system_calls: counters.system_calls,
        })
    }
}
