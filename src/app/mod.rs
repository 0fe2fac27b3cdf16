//! The wiring: the only place that sees both the deciding and the outside. One file a command.

pub mod hands;
pub mod index;
pub mod log;
pub mod positions;
pub mod scan;
pub mod wire;
