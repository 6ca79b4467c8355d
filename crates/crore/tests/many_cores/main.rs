//! Several cores behind one set of addresses, on one thread and in virtual time: every segment
//! arrives at the core that has its connection, and what cannot is passed on to it.

mod hosts;
mod passing_on;
mod ports;
mod steering;
