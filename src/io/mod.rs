//! One outside thing per file: disks, keys, nodes. Knows `domain`, never `app`.

pub mod datadir;
pub mod index;
pub mod journal;
pub mod signer;
mod sqlite;
