//! The person at the terminal: asked for a secret or for a yes, on standard error, and never where there is no
//! terminal. What is typed is not repeated.

use eyre::{Result, WrapErr as _};
use secrecy::SecretString;
use std::io::{IsTerminal as _, Write as _};

/// Whether there is somebody to ask.
pub fn is_there() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks for a secret, without showing what is typed.
///
/// # Errors
/// When the terminal fails.
pub fn secret(prompt: &str) -> Result<SecretString> {
    let mut terminal = std::io::stderr();
    write!(terminal, "{prompt}: ").and_then(|()| terminal.flush()).wrap_err("terminal")?;
    rpassword::read_password().map(SecretString::from).wrap_err("terminal")
}

/// Asks a question that is answered by y or anything else.
///
/// # Errors
/// When the terminal fails.
pub fn agrees(question: &str) -> Result<bool> {
    let mut terminal = std::io::stderr();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).wrap_err("terminal")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).wrap_err("terminal")?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
