//! Tests from outside, as one program: a module for each part.

mod cli;
mod config;
mod exit;
