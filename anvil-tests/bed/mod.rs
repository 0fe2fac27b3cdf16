//! The test bed: real protocol contracts on a local chain.
