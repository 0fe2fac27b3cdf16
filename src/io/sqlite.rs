//! Opens the SQLite files of all stores: private, in WAL mode, checked, and of a schema we know.
//! What the tables mean, and what to do about a damaged file, is left to `index`, `journal` and `history`.

use crate::domain::units::{Net, Wei};
use alloy::primitives::{Address, B256};
use eyre::{Report, Result, WrapErr as _, bail, eyre};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, types::Type};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a writer waits for another process's transaction before it says so.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a store's file looks like.
pub(super) struct Shape {
    /// What people call it: "index", "journal", "history".
    pub name: &'static str,
    /// `PRAGMA application_id`: tells our files from somebody else's.
    pub id: i32,
    /// `NORMAL` (a cache) or `FULL` (each commit is on the disk before it returns).
    pub synchronous: Synchronous,
    /// The statements that lead from schema version `i` to `i + 1`. Once released, only added to.
    pub steps: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Synchronous {
    Normal = 1,
    Full = 2,
}

/// Why a file was not opened.
pub(super) enum Trouble {
    /// The bytes are not what SQLite wrote.
    Damaged(String),
    Other(Report),
}

impl Trouble {
    fn of(error: rusqlite::Error, path: &Path) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            _ => Self::Other(explain(error, path)),
        }
    }
}

impl From<Report> for Trouble {
    fn from(report: Report) -> Self {
        Self::Other(report)
    }
}

/// Opens `path` to read and write, made with the newest schema if it is not there.
///
/// # Errors
/// `Damaged` when the file fails its integrity check; otherwise what stands in the way, said for people.
pub(super) fn open(path: &Path, shape: &Shape) -> Result<Connection, Trouble> {
    if !path.exists() && !beside(path, "-wal").exists() {
        create(path, shape)?;
    }
    let length = fs::metadata(path).map(|file| file.len()).unwrap_or(0);
    if length == 0 {
        // Ours are moved into place whole, so an empty one has lost its contents.
        return Err(Trouble::Damaged("the file is empty or gone although there was a store".to_owned()));
    }
    make_private(path)?;
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, shape)?;
    sound(&db, path)?;
    settings(&db, path, shape)?;
    migrate(&mut db, shape).map_err(|error| Trouble::of(error, path))?;
    Ok(db)
}

/// Opens `path` to read only, next to whoever writes it. `None` when there is no such file yet.
///
/// # Errors
/// As `open`; also when the schema is older than this build reads.
pub(super) fn open_to_read(path: &Path, shape: &Shape) -> Result<Option<Connection>, Trouble> {
    if !path.exists() {
        return Ok(None);
    }
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, shape)?;
    let version = version(&db).map_err(|error| Trouble::of(error, path))?;
    if version < shape.steps.len() {
        let name = shape.name;
        let run = "start the keeper once to bring it up to date";
        return Err(Trouble::Other(eyre!("{name} {} has schema {version}: {run}", path.display())));
    }
    Ok(Some(db))
}

/// Builds a new store under another name and links it into place, so that no crash leaves half of one and
/// two processes that start together agree on one.
fn create(path: &Path, shape: &Shape) -> Result<(), Trouble> {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let draft = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = beside(path, &format!(".new-{}-{draft}", std::process::id()));
    let _ = fs::remove_file(&draft);
    private_options().write(true).create_new(true).open(&draft).map_err(|error| refused(&draft, error))?;
    let made = (|| {
        let mut db = Connection::open_with_flags(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "application_id", shape.id)?;
        migrate(&mut db, shape)?;
        db.close().map_err(|(_, error)| error)
    })();
    let linked = made.map_err(|error| Trouble::of(error, &draft)).and_then(|()| {
        File::open(&draft).and_then(|file| file.sync_all()).map_err(|error| refused(&draft, error))?;
        match fs::hard_link(&draft, path) {
            Ok(()) => Ok(()),
            Err(_) if path.exists() => Ok(()),
            // Some file systems have no hard links.
            Err(_) => fs::rename(&draft, path).map_err(|error| refused(path, error).into()),
        }
    });
    let _ = fs::remove_file(&draft);
    linked?;
    sync_folder(path)?;
    Ok(())
}

fn connect(path: &Path, flags: OpenFlags, shape: &Shape) -> Result<Connection, Trouble> {
    let trouble = |error| Trouble::of(error, path);
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(trouble)?;
    db.busy_timeout(PATIENCE).map_err(trouble)?;
    let (name, known) = (shape.name, shape.steps.len());
    let found = version(&db).map_err(trouble)?;
    let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(trouble)?;
    if id != shape.id {
        let advice = "name another data directory";
        return Err(Trouble::Other(eyre!("{} is not a backstop {name}: {advice}", path.display())));
    }
    if found > known {
        return Err(Trouble::Other(eyre!(
            "{} was written by a newer backstop ({name} schema {found}, this one knows {known}): run the \
             newer one, or name another data directory",
            path.display()
        )));
    }
    Ok(db)
}

/// # Errors
/// `Damaged` when the integrity check complains.
pub(super) fn sound(db: &Connection, path: &Path) -> Result<(), Trouble> {
    let complaint = integrity(db).map_err(|error| Trouble::of(error, path))?;
    complaint.map_or(Ok(()), |why| Err(Trouble::Damaged(why)))
}

/// What the integrity check complains about, if anything.
fn integrity(db: &Connection) -> rusqlite::Result<Option<String>> {
    let first: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((first != "ok").then_some(first))
}

fn settings(db: &Connection, path: &Path, shape: &Shape) -> Result<(), Trouble> {
    let trouble = |error| Trouble::of(error, path);
    let mode: String =
        db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(trouble)?;
    db.pragma_update(None, "synchronous", shape.synchronous as i32).map_err(trouble)?;
    db.pragma_update(None, "foreign_keys", true).map_err(trouble)?;
    let synchronous: i32 = db.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(trouble)?;
    if mode != "wal" || synchronous != shape.synchronous as i32 {
        return Err(Trouble::Other(eyre!(
            "{} does not keep its write-ahead log (mode {mode}, synchronous {synchronous}): put the data \
             directory on a local disk",
            path.display()
        )));
    }
    Ok(())
}

fn version(db: &Connection) -> rusqlite::Result<usize> {
    let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(unreadable)
}

fn migrate(db: &mut Connection, shape: &Shape) -> rusqlite::Result<()> {
    let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let from = version(&tx)?;
    if from < shape.steps.len() {
        shape.steps.iter().skip(from).try_for_each(|step| tx.execute_batch(step))?;
        tx.pragma_update(None, "user_version", u32::try_from(shape.steps.len()).map_err(unreadable)?)?;
    }
    tx.commit()
}

/// An SQLite error with the file in hand and what to do.
pub(super) fn explain(error: rusqlite::Error, path: &Path) -> Report {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: free some space",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "cannot be written: check its owner, its permissions, and that the file system is not read-only"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has been writing it for seconds: try again, or stop that process"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk failed: check its health before you go on",
        _ => "unexpected",
    };
    Report::new(error).wrap_err(format!("{}: {advice}", path.display()))
}

/// A file system error with the path in hand and what to do.
pub(super) fn refused(path: &Path, error: std::io::Error) -> Report {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "no permission: it must belong to the user that runs backstop",
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: name a data directory that can be written"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full: free some space",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "something else is in its place: move that away"
        }
        ErrorKind::NotFound => "there is no such place",
        _ => "the file system refused",
    };
    Report::new(error).wrap_err(format!("{}: {advice}", path.display()))
}

/// Moves a damaged store, with its log, to the first free `<name>.damaged-<n>`.
///
/// # Errors
/// When the file cannot be renamed.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf> {
    let Some(target) = (1_u32..=999).map(|n| beside(path, &format!(".damaged-{n}"))).find(|to| !to.exists())
    else {
        bail!("{}: damaged 999 times before: delete the old `.damaged-` files", path.display());
    };
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (beside(path, suffix), beside(&target, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused(&from, error)),
            _ => {}
        }
    }
    sync_folder(path)?;
    Ok(target)
}

/// `path` with `suffix` behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A name is durable once its folder is.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|file| file.sync_all())
        .wrap_err_with(|| format!("{}: sync", folder.display()))
}

/// Files made with these are for their owner alone (0600).
pub(super) fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Takes a store back from group and world. SQLite gives its log the mode of the file.
fn make_private(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(|error| refused(path, error))?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))
                .map_err(|error| refused(path, error))?;
        }
    }
    Ok(())
}

pub(super) fn address(row: &Row<'_>, column: &str) -> rusqlite::Result<Address> {
    row.get::<_, [u8; 20]>(column).map(Address::from)
}

pub(super) fn hash(row: &Row<'_>, column: &str) -> rusqlite::Result<B256> {
    row.get::<_, [u8; 32]>(column).map(B256::from)
}

/// A block, nonce or gas number as SQLite keeps it: signed, 64 bits.
pub(super) fn int(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn number(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(unreadable)
}

/// A number too large for SQLite's integers, kept as decimal text.
pub(super) fn decimal<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.get::<_, String>(column)?.parse().map_err(|error: T::Err| unreadable(error))
}

/// Reads what `Net` shows: a loss has a minus.
pub(super) fn net(row: &Row<'_>, column: &str) -> rusqlite::Result<Net> {
    let text: String = row.get(column)?;
    match text.strip_prefix('-') {
        Some(loss) => loss.parse().map(|wei| Net::Loss(Wei(wei))),
        None => text.parse().map(|wei| Net::Gain(Wei(wei))),
    }
    .map_err(unreadable)
}

/// A cell that does not hold what this build wrote.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
