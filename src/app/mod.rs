//! The wiring: the only place that sees both the deciding and the outside. One file a command.

pub mod addresses;
pub mod bench;
pub mod books;
pub mod configured;
pub mod demo;
pub mod deploy;
pub mod desk;
pub mod doctor;
pub mod errand;
pub mod explain;
pub mod falls;
pub mod hands;
pub mod history;
pub mod index;
pub mod inquiry;
pub mod log;
pub mod markets;
pub mod observe;
pub mod pause;
pub mod positions;
pub mod run;
pub mod scan;
pub mod show;
pub mod sweep;
pub mod wallet;
pub mod wire;
