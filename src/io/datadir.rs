//! The data directory: one private folder per chain, held by one daemon. What the files in it mean is left
//! to the stores.

use super::sqlite::{private_options, refused, sync_folder};
use eyre::{Result, WrapErr as _, bail};
use fs4::fs_std::FileExt as _;
use std::fs::{self, DirBuilder, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// `<root>/<chain id>/`, there and writable when opened.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// Held by the one process that may write the journal and use the key. Ends with the value, or with the
/// process, however that ends.
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// Opens the folder of `chain_id` below `root`; makes both where they are missing, for their owner alone
    /// (0700), and takes the chain's folder back from group and world.
    ///
    /// # Errors
    /// No permission, a read-only file system, a full disk, or a file in the folder's place.
    pub fn open(root: &Path, chain_id: u64) -> Result<Self> {
        let path = root.join(chain_id.to_string());
        if !path.is_dir() {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&path).map_err(|error| refused(&path, error)).wrap_err("data directory")?;
            sync_folder(&path)?;
        }
        let this = Self { path };
        this.make_private().wrap_err("data directory")?;
        Ok(this)
    }

    /// The folder of `chain_id` where it is there already. Nothing is made or changed.
    pub fn there(root: &Path, chain_id: u64) -> Option<Self> {
        let path = root.join(chain_id.to_string());
        path.is_dir().then_some(Self { path })
    }

    /// The process that holds the lock, "unknown" where the file does not say; `None` when nobody does.
    ///
    /// # Errors
    /// When the lock file cannot be read or the file system cannot lock.
    pub fn holder(&self) -> Result<Option<String>> {
        let path = self.path.join("lock");
        if !path.exists() {
            return Ok(None);
        }
        let file = File::open(&path).map_err(|error| refused(&path, error)).wrap_err("data directory")?;
        // Shared, and let go at once: who starts at this very moment is at worst refused once.
        let free = fs4::fs_std::FileExt::try_lock_shared(&file).wrap_err("the file system cannot lock")?;
        Ok((!free).then(|| holder(&file)))
    }

    /// Becomes the one daemon of this folder. Other commands read next to it without a lock.
    ///
    /// # Errors
    /// Another process holds it: names that process. Also when the `lock` file cannot be written.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.path.join("lock");
        let mut file = private_options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| refused(&path, error))
            .wrap_err("data directory")?;
        let free = file.try_lock_exclusive().wrap_err_with(|| {
            format!("{}: the file system cannot lock: put the data directory on a local disk", path.display())
        })?;
        if !free {
            let holder = holder(&file);
            bail!(
                "another backstop (process {holder}) already runs on {}: stop it first, or name another data \
                 directory and another key",
                self.path.display()
            );
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| refused(&path, error))?;
        Ok(Lock { _file: file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A cache: may be deleted while nothing runs.
    pub fn index(&self) -> PathBuf {
        self.path.join("index.db")
    }

    /// Not a cache: what was promised, signed and sent.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.db")
    }

    /// What was decided, for people. May be deleted while nothing runs.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.db")
    }

    /// There while nothing new is to be sent.
    pub fn pause(&self) -> PathBuf {
        self.path.join("paused")
    }

    fn make_private(&self) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let wrong = |error| refused(&self.path, error);
            let mode = fs::metadata(&self.path).map_err(wrong)?.permissions().mode();
            if mode & 0o077 != 0 {
                fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700)).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

/// The process whose number is in the lock file.
fn holder(file: &File) -> String {
    let mut holder = String::new();
    // A number we cannot read is no reason to say less about the lock.
    let _ = file.take(20).read_to_string(&mut holder);
    holder.trim().parse::<u32>().map_or("unknown".to_owned(), |pid| pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(result: Result<impl Sized>) -> String {
        format!("{:#}", result.err().expect("a refusal"))
    }

    #[test]
    fn a_second_daemon_is_refused_with_the_number_of_the_first() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path(), 1).unwrap();
        let held = first.lock().unwrap();
        let said = refusal(DataDir::open(root.path(), 1).unwrap().lock());
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        drop(held);
        first.lock().unwrap();
    }

    #[test]
    fn chains_do_not_lock_each_other_out() {
        let root = tempfile::tempdir().unwrap();
        let _one = DataDir::open(root.path(), 1).unwrap().lock().unwrap();
        let _other = DataDir::open(root.path(), 10).unwrap().lock().unwrap();
    }

    #[test]
    fn a_lock_file_left_behind_by_a_dead_process_holds_nobody_up() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path(), 1).unwrap();
        fs::write(dir.path().join("lock"), "4000000000\n").unwrap();
        dir.lock().unwrap();
        let pid = fs::read_to_string(dir.path().join("lock")).unwrap();
        assert_eq!(pid.trim(), std::process::id().to_string());
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_for_its_owner_alone_even_if_it_was_not_before() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = DataDir::open(&root.path().join("deep/er"), 1).unwrap();
        assert_eq!((mode(dir.path()), mode(dir.path().parent().unwrap())), (0o700, 0o700));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        DataDir::open(&root.path().join("deep/er"), 1).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
    }

    #[test]
    fn a_file_in_the_folders_place_is_said_plainly() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("1"), "").unwrap();
        let said = refusal(DataDir::open(root.path(), 1));
        assert!(said.contains("something else is in its place"), "{said}");
    }
}
