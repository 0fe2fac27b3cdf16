//! The word of an operator that nothing new is to be sent: a file in the chain's folder, so that it reaches a
//! running daemon and outlives it. What is done about it is left to `app`.

use super::sqlite::{private_options, refused, sync_folder};
use eyre::Result;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::PathBuf;

/// The longest reason that is kept, in bytes.
const LONGEST: u64 = 400;

/// The file, there or not.
#[derive(Clone, Debug)]
pub struct Pause {
    path: PathBuf,
}

impl Pause {
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Why nothing is to be sent; empty where nobody gave a reason. `None`: it may be. A file that is there and
    /// cannot be read pauses too.
    pub fn reason(&self) -> Option<String> {
        let mut bytes = Vec::new();
        match fs::File::open(&self.path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
            Ok(_) => Some(plain(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(format!("{} is there and cannot be read: {error}", self.path.display())),
        }
    }

    /// Pauses. Already paused, the new reason takes the place of the old.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, why: &str) -> Result<()> {
        let draft = self.path.with_extension("new");
        let wrong = |error| refused(&self.path, error);
        private_options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&draft)
            .and_then(|mut file| file.write_all(plain(why).as_bytes()).and_then(|()| file.sync_all()))
            .map_err(wrong)?;
        fs::rename(&draft, &self.path).map_err(wrong)?;
        sync_folder(&self.path)
    }

    /// Lifts the pause; false where there was none.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn lift(&self) -> Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => sync_folder(&self.path).map(|()| true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(refused(&self.path, error)),
        }
    }
}

/// One line that does nothing to a terminal.
fn plain(text: &str) -> String {
    let mut line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut end = line.len().min(usize::try_from(LONGEST).unwrap_or(usize::MAX));
    while !line.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    line.truncate(end);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lasts_until_it_is_lifted_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let pause = Pause::at(dir.path().join("paused"));
        assert_eq!(pause.reason(), None);
        assert!(!pause.lift().unwrap());
        pause.set("").unwrap();
        assert_eq!(pause.reason().as_deref(), Some(""));
        pause.set("oracle\u{1b}[2J\nis odd ").unwrap();
        assert_eq!(pause.reason().as_deref(), Some("oracle [2J is odd"));
        pause.set(&"é".repeat(999)).unwrap();
        assert_eq!(pause.reason().unwrap().len(), 400);
        assert!(pause.lift().unwrap());
        assert_eq!(pause.reason(), None);
    }

    #[test]
    fn what_cannot_be_read_pauses() {
        let dir = tempfile::tempdir().unwrap();
        let pause = Pause::at(dir.path().to_owned());
        assert!(pause.reason().unwrap().contains("cannot be read"));
    }
}
