//! Recovery from loss over a wire with rate, delay and queue, in virtual time.

mod goodput;
mod scenarios;
mod wire;
