//! The test bed: the real contracts of Aave V3.0, Aave V3.6, Uniswap and Chainlink on a local chain, with people in both
//! markets. Chain A carries it; every test and demonstration works on its own fork of A, which is up in a quarter
//! of a second and changes nothing on A.
//!
//! ```no_run
//! # async fn example() -> eyre::Result<()> {
//! use backstop::bed::{Bed, Options, assets::DOLLAR};
//! let bed = Bed::obtain(Options::default(), |line| eprintln!("{line}")).await?;
//! let fork = bed.fork().await?;
//! fork.set_price("WETH", 1_800 * DOLLAR).await?;
//! # Ok(()) }
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "the bed is an edge of the tests: it asks the clock and the environment itself, and its sums are small numbers \
              of play money"
)]

mod aave;
mod aave_v30;
mod aave_v36;
pub mod abi;
mod actions;
pub mod anvil;
mod artifacts;
pub mod assets;
mod borrowers;
mod build;
pub mod chain;
mod feeds;
pub mod manifest;
pub mod operator;
pub mod rng;
pub mod scene;
pub mod uniswap;
pub mod uniswap_v2;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use eyre::{Result, bail};
use tokio::sync::OnceCell;

use self::chain::wall_clock;
pub use self::{
    actions::Action,
    anvil::Anvil,
    build::Options,
    chain::{Chain, Reverted, install_crypto},
    manifest::Manifest,
    rng::Rng,
    scene::{AccountData, Scene},
};

/// Names a chain that carries the bed already, so that nothing is built.
pub const FORK_URL: &str = "FORK_URL";

/// Chain A. Its anvil ends when this is dropped, and its forks must be gone by then.
#[derive(Debug)]
pub struct Bed {
    scene: Scene,
    /// None when somebody else runs the chain.
    anvil: Option<Anvil>,
}

/// A fork with its own anvil.
#[derive(Debug)]
pub struct Fork {
    scene: Scene,
    pub anvil: Anvil,
}

impl Bed {
    /// Starts a chain and deploys everything.
    pub async fn build(options: Options, mut progress: impl FnMut(&str)) -> Result<Self> {
        let (scene, anvil) = build::build(&options, &mut progress).await?;
        Ok(Self { scene, anvil: Some(anvil) })
    }

    /// Uses a chain that carries the bed already.
    pub async fn attach(url: &str) -> Result<Self> {
        Ok(Self { scene: Scene::attach(url).await?, anvil: None })
    }

    /// The chain that `FORK_URL` names, or a new one.
    pub async fn obtain(options: Options, progress: impl FnMut(&str)) -> Result<Self> {
        match std::env::var(FORK_URL) {
            Ok(url) if !url.is_empty() => Self::attach(&url).await,
            _ => Self::build(options, progress).await,
        }
    }

    /// A fork of the present head. It must be dropped before the bed.
    pub async fn fork(&self) -> Result<Fork> {
        let anvil = Anvil::fork(self.scene.chain.http())?;
        let chain = Chain::connect(&anvil.http())?;
        Fork::with(Scene::new(chain, self.scene.manifest.clone()), anvil).await
    }

    /// The process of chain A, when it is ours.
    pub fn anvil(&self) -> Option<&Anvil> {
        self.anvil.as_ref()
    }
}

impl Fork {
    /// A fork of any chain that carries the bed.
    pub async fn of(url: &str) -> Result<Self> {
        let anvil = Anvil::fork(url)?;
        let scene = Scene::attach(&anvil.http()).await?;
        Self::with(scene, anvil).await
    }

    /// A fork's clock starts at its upstream's head, however old that is: keepers would call it stalled.
    async fn with(scene: Scene, anvil: Anvil) -> Result<Self> {
        if scene.chain.now().await? < wall_clock() {
            scene.chain.return_to_present().await?;
        }
        Ok(Self { scene, anvil })
    }
}

impl Deref for Bed {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Deref for Fork {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

/// One bed for all tests of a process. Use its forks only: its own connection belongs to the runtime of the test that
/// came first. It ends with the process (on Linux, where the kernel sees to it).
pub async fn shared() -> Result<&'static Bed> {
    static BED: OnceCell<Bed> = OnceCell::const_new();
    BED.get_or_try_init(|| Bed::obtain(Options::default(), |line| eprintln!("{line}"))).await
}

/// Where package.json and compile.mjs are: in the source tree this was built from, or under the working directory.
fn tests_directory() -> Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("anvil-tests");
    let here = PathBuf::from("anvil-tests");
    match [built_from, here].into_iter().find(|directory| directory.join("compile.mjs").is_file()) {
        Some(directory) => Ok(directory),
        None => bail!("the folder anvil-tests is not here: run this from a checkout of backstop"),
    }
}
