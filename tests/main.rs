//! Tests from outside, as one program: a module for each part.

mod config;
mod exit;
