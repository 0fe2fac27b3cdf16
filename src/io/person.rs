//! The person at the terminal: asked for a secret or for a yes, on standard error, and never where there is no
//! terminal. What is typed is not repeated.

use eyre::{Result, WrapErr as _};
use secrecy::SecretString;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

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

/// One message for each time Enter is pressed. Nothing else that is typed matters.
///
/// # Errors
/// When the thread that listens cannot be started.
pub fn enters() -> Result<UnboundedReceiver<()>> {
    let (sender, receiver) = unbounded_channel();
    let listen = move || {
        let mut lines = std::io::stdin().lock().lines();
        while lines.next().is_some_and(|line| line.is_ok()) && sender.send(()).is_ok() {}
    };
    // It listens until the process ends: a read of the terminal cannot be called off.
    std::thread::Builder::new().name("enters".into()).spawn(listen).wrap_err("listening to the terminal")?;
    Ok(receiver)
}
