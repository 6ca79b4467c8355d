//! Recovery from loss, windows and memory over a wire with rate, delay and queue, in virtual time.

mod goodput;
mod pace;
mod scenarios;
mod sharing;
mod tuning;
mod wire;
