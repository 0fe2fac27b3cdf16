//! Finds anvil, starts it and ends it: one child process per chain. Knows nothing of what is deployed.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use eyre::{Result, WrapErr, bail};

/// A loaded machine starts anvil in well under a second; a minute means that it hangs.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Then the process that owns the folder, and a number.
const HOME_PREFIX: &str = "backstop-anvil-";

/// A running anvil. It is killed on drop, and by the kernel should this process die first (Linux).
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    port: u16,
    /// Its own HOME: anvil leaves a history file per block there.
    home: PathBuf,
}

impl Anvil {
    /// A new, empty chain.
    pub fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// A chain that continues the one at `url`, which must outlive it: anvil panics when its upstream is gone.
    pub fn fork(url: &str) -> Result<Self> {
        Self::with(&[
            "--fork-url",
            url,
            "--no-storage-caching",
            "--no-rate-limit",
            "--retries",
            "2",
            "--timeout",
            "5000",
        ])
    }

    /// A new chain with further command line arguments of anvil.
    pub fn with(arguments: &[&str]) -> Result<Self> {
        let program = find()?;
        let home = temporary_home()?;
        let mut command = Command::new(&program);
        command
            .args(["--host", "127.0.0.1", "--port", "0", "--accounts", "10", "--auto-impersonate"])
            // No transaction may carry more than Ethereum's do (EIP-7825).
            .arg("--enable-tx-gas-limit")
            .args(arguments)
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        die_with_parent(&mut command);
        let child = launch(command).wrap_err_with(|| format!("starting {}", program.display()))?;
        // From here on the drop of `anvil` cleans up, also on the way out of an error.
        let mut anvil = Self { child, port: 0, home };
        anvil.port = anvil
            .await_port()
            .wrap_err_with(|| format!("{} {} did not come up", program.display(), arguments.join(" ")))?;
        Ok(anvil)
    }

    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn ws(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, for tests that stop or kill this very node.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn await_port(&mut self) -> Result<u16> {
        let Some(stdout) = self.child.stdout.take() else { bail!("anvil has no standard output") };
        let heard = listen(stdout);
        match heard.recv_timeout(START_LIMIT) {
            Ok(Started::Port(port)) => {
                // A full pipe would block anvil; the thread ends with the process.
                if let Some(mut stderr) = self.child.stderr.take() {
                    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
                }
                Ok(port)
            }
            Ok(Started::Ended(output)) => {
                let mut errors = String::new();
                if let Some(mut stderr) = self.child.stderr.take() {
                    stderr.read_to_string(&mut errors).wrap_err("reading anvil's error output")?;
                }
                bail!("anvil said: {}{}", tail(&output), tail(&errors));
            }
            Err(_) => bail!("anvil named no port within {} s", START_LIMIT.as_secs()),
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

enum Started {
    Port(u16),
    Ended(String),
}

/// Reads anvil's output for ever (it blocks on a full pipe) and reports the port it names, or its end.
fn listen(stdout: ChildStdout) -> mpsc::Receiver<Started> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        let mut named = false;
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            if named {
                continue;
            }
            if let Some(port) = line.strip_prefix("Listening on ").and_then(port_of) {
                named = true;
                let _ = sender.send(Started::Port(port));
            } else {
                said.push_str(&line);
                said.push('\n');
            }
        }
        if !named {
            let _ = sender.send(Started::Ended(said));
        }
    });
    receiver
}

fn port_of(address: &str) -> Option<u16> {
    address.trim().rsplit(':').next()?.parse().ok()
}

/// The end of a long output: the banner with the keys says nothing about a failure.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn temporary_home() -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        sweep();
    }
    let home = std::env::temp_dir().join(format!("{HOME_PREFIX}{}-{number}", std::process::id()));
    std::fs::create_dir_all(&home).wrap_err_with(|| format!("creating {} for anvil", home.display()))?;
    Ok(home)
}

/// Removes what killed processes left behind. Nothing depends on it: errors are left alone.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(HOME_PREFIX)?.split('-').next()?.parse().ok());
        // Only Linux tells cheaply whether a process is still there.
        let is_gone =
            |pid: u32| Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists();
        if owner.is_some_and(is_gone) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// `BACKSTOP_ANVIL`, the pinned package, then the usual places.
fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("BACKSTOP_ANVIL") {
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("BACKSTOP_ANVIL names {}, which is not a file", named.display());
        }
        return Ok(named);
    }
    let packaged = super::tests_directory()?.join(format!(
        "node_modules/@foundry-rs/anvil-{}-{}/bin/anvil",
        package_os(),
        package_arch()
    ));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let candidates = std::iter::once(packaged)
        .chain(std::env::split_paths(&path).map(|directory| directory.join("anvil")))
        .chain(home.map(|home| home.join(".foundry/bin/anvil")));
    match candidates.into_iter().find(|candidate| is_program(candidate)) {
        Some(program) => Ok(program),
        None => bail!(
            "anvil is not here. Any of these will do: `npm ci --ignore-scripts --prefix anvil-tests` (Linux on x86-64), \
             `foundryup` (all systems), or BACKSTOP_ANVIL=/path/to/anvil"
        ),
    }
}

fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.is_file()
}

fn package_os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

fn package_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Spawns from a thread that lives as long as the process: the kernel ties the death signal below to the *thread*
/// that forked, and the threads of tests and of tokio's pools end early.
fn launch(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static LAUNCHER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let launcher = LAUNCHER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let gone = || std::io::Error::other("the thread that starts anvil is gone");
    let (sender, answer) = mpsc::channel();
    launcher.send((command, sender)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// A killed test runner runs no destructors; without this its anvils would stay.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    #[allow(unsafe_code, reason = "std has no safe way to run code between fork and exec")]
    // SAFETY: prctl is a plain system call, allowed between fork and exec.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}
