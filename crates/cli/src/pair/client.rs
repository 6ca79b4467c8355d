//! What runs at the client's end: any service in an engine of its own, or something without one.

use crate::running::Running;
use anyhow::Result;
use crore::driver::Link;
use crore::mem::{HugePages, Memory};
use crore::{Core, CoreConfig, Engine, Interface, Service, StackConfig, Stop};

/// A client that is yet to get its memory and its thread.
pub(crate) trait Client: Sized {
    /// It, with all its memory.
    type Made;
    /// It, on its thread.
    type Running: RunningClient;

    /// Takes the memory.
    fn make(
        self,
        settings: &StackConfig,
        interface: &Interface,
        pages: HugePages,
    ) -> Result<(Self::Made, Memory)>;

    /// Gives it a thread.
    fn start(
        made: Self::Made,
        link: Link,
        config: CoreConfig,
        stop: &Stop,
    ) -> Result<Self::Running>;
}

/// A client that runs, as the main thread sees it.
pub(crate) trait RunningClient {
    /// What is left of it.
    type Ended;

    /// Ends its sleep: there is news.
    fn wake(&self);

    /// Fails when the thread has ended before it should.
    fn check_alive(&self) -> Result<()>;

    /// Waits for its end, after its `Stop`.
    fn join(self) -> Result<Self::Ended>;
}

impl<C: Service> Client for C
where
    Core<C>: Send + 'static,
{
    type Made = Engine<C>;
    type Running = Running<C>;

    fn make(
        self,
        settings: &StackConfig,
        interface: &Interface,
        pages: HugePages,
    ) -> Result<(Engine<C>, Memory)> {
        super::sides::engine(settings, interface, self, pages)
    }

    fn start(made: Engine<C>, link: Link, config: CoreConfig, stop: &Stop) -> Result<Running<C>> {
        Running::start("client", Core::new(made, link, config), stop, |_| {})
    }
}

impl<C: Service> RunningClient for Running<C>
where
    Core<C>: Send + 'static,
{
    type Ended = Core<C>;

    fn wake(&self) {
        Running::wake(self);
    }

    fn check_alive(&self) -> Result<()> {
        Running::check_alive(self)
    }

    fn join(self) -> Result<Core<C>> {
        Running::join(self)
    }
}
