//! What strays into the executor comes out to its receiver, by its owner's key and no other.

use super::{Stand, write_private};

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    providers::Provider,
    signers::local::PrivateKeySigner,
};
use backstop::{
    bed::operator::RECEIVER,
    io::journal::{Entry, Errand, Outcome, Reader},
};
use eyre::{Result, ensure, eyre};

fn ether(thousandths: u64) -> U256 {
    U256::from(thousandths) * U256::from(10).pow(U256::from(15))
}

fn key(of: &str) -> Result<(B256, Address)> {
    let key = keccak256(of);
    Ok((key, PrivateKeySigner::from_bytes(&key)?.address()))
}

impl Stand {
    fn errands(&self) -> Result<Vec<Entry>> {
        let reader = Reader::open(&self.operator.journal(self.fork.manifest.chain_id))?;
        let mut entries = reader.map_or(Ok(vec![]), |reader| reader.history(100))?;
        entries.retain(|entry| matches!(entry.errand, Some((Errand::Sweep, _))));
        Ok(entries)
    }

    /// What the executor and the receiver hold, in the native coin and two tokens.
    async fn holdings(&self, owner: Address) -> Result<[U256; 3]> {
        let native = self.fork.provider.get_balance(owner).await?;
        Ok([native, self.fork.balance(owner, "USDC").await?, self.fork.balance(owner, "WETH").await?])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strays_go_to_the_receiver_by_the_owners_key_alone() -> Result<()> {
    let (owner_key, owner) = key("the owner of the swept executor")?;
    let (stranger_key, stranger) = key("somebody else")?;
    let mut stand = Stand::new(Some(owner)).await?;
    stand.secrets.extend([owner_key.to_string(), stranger_key.to_string(), "s3cret of the owner".into()]);
    stand.operator.enlist(&stand.fork).await?;
    let executor = stand.operator.executor.ok_or_else(|| eyre!("no executor"))?;
    for account in [owner, stranger] {
        stand.fork.set_balance(account, ether(5_000)).await?;
    }
    let strays = [ether(3_210), stand.fork.amount("USDC", 777_001)?, stand.fork.amount("WETH", 41)?];
    stand.fork.fund(executor, "USDC", strays[1]).await?;
    stand.fork.fund(executor, "WETH", strays[2]).await?;
    // Last: the others cost it gas.
    stand.fork.set_balance(executor, strays[0]).await?;
    let before = stand.holdings(RECEIVER).await?;

    // Nobody's key, a stranger's, and nobody to ask: nothing moves, nothing is signed.
    let (code, _, said) = stand.run(&["sweep", "--yes"])?;
    ensure!(code == Some(3) && said.contains("BACKSTOP_OWNER__PRIVATE_KEY"), "{code:?} {said}");
    stand.set("BACKSTOP_OWNER__PRIVATE_KEY", &stranger_key.to_string());
    let (code, _, said) = stand.run(&["sweep", "--yes"])?;
    eprintln!("{said}");
    ensure!(code == Some(3) && said.contains("is not that of the executor's owner"), "{code:?} {said}");
    stand.set("BACKSTOP_OWNER__PRIVATE_KEY", &owner_key.to_string());
    let (code, _, said) = stand.run(&["sweep"])?;
    eprintln!("{said}");
    ensure!(code == Some(2) && said.contains("to be moved  777.001"), "{code:?} {said}");
    for account in [owner, stranger] {
        assert_eq!(stand.fork.provider.get_transaction_count(account).await?, 0);
    }
    ensure!(stand.errands()?.is_empty(), "signed all the same");
    assert_eq!(stand.holdings(executor).await?, strays);

    // One token by the owner's key, while no daemon runs.
    let daemon = stand.start().await?;
    let (code, _, said) = stand.run(&["sweep", "--yes"])?;
    ensure!(code == Some(3) && said.contains("already runs"), "{code:?} {said}");
    daemon.stop()?;
    let usdc = stand.fork.manifest.token("USDC")?.address.to_string();
    let moved = stand.rows(&["sweep", "--yes", "--token", &usdc])?;
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0]["amount"].as_str(), Some(strays[1].to_string().as_str()));
    assert_eq!(stand.holdings(executor).await?, [strays[0], U256::ZERO, strays[2]]);

    // The rest with a keystore that `wallet import` made.
    let path = |name: &str| stand.folder.path().join(name);
    write_private(&path("key"), &owner_key.to_string())?;
    write_private(&path("password"), "s3cret of the owner")?;
    let (file, password) = (path("key").display().to_string(), path("password").display().to_string());
    let imported = stand
        .rows(&["wallet", "import", "cold", "--key-file", &file, "--password-file", &password])?
        .remove(0);
    assert_eq!(imported["address"].as_str().unwrap_or_default().parse::<Address>()?, owner);
    stand.set("BACKSTOP_OWNER__PRIVATE_KEY", "");
    let said = stand.expect(&["sweep", "--yes", "--keystore", "cold", "--password-file", &password])?;
    eprintln!("{said}");
    assert_eq!(said.lines().count(), 2);
    assert_eq!(stand.holdings(executor).await?, [U256::ZERO; 3]);
    let after = stand.holdings(RECEIVER).await?;
    for (index, stray) in strays.iter().enumerate() {
        assert_eq!(after[index] - before[index], *stray);
    }
    let (code, stdout, said) = stand.run(&["sweep", "--keystore", "cold", "--password-file", &password])?;
    ensure!(code == Some(0) && stdout.is_empty() && said.contains("holds nothing"), "{code:?} {said}");

    // Every one of them was journaled and settled, and stands in the history.
    let errands = stand.errands()?;
    assert_eq!(errands.len(), 3);
    for errand in &errands {
        assert_eq!(errand.verdict.map(|verdict| verdict.outcome), Some(Outcome::Won));
        let receipt = stand.fork.provider.get_transaction_receipt(errand.hash).await?;
        let receipt = receipt.ok_or_else(|| eyre!("no receipt"))?;
        assert_eq!((receipt.from, receipt.to, receipt.status()), (owner, Some(executor), true));
    }
    let told = stand.expect(&["history"])?;
    eprintln!("{told}");
    assert_eq!(told.matches("  sweep  ").count(), 3, "{told}");
    Ok(())
}

/// Killed while it waits, a sweep is finished by the next one with the bytes it signed; a daemon does not start on top
/// of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_sweep_is_finished_with_the_same_bytes() -> Result<()> {
    let (owner_key, owner) = key("the owner who was interrupted")?;
    let mut stand = Stand::new(Some(owner)).await?;
    stand.operator.enlist(&stand.fork).await?;
    let executor = stand.operator.executor.ok_or_else(|| eyre!("no executor"))?;
    stand.fork.set_balance(owner, ether(5_000)).await?;
    stand.fork.set_balance(executor, ether(7)).await?;
    stand.set("BACKSTOP_OWNER__PRIVATE_KEY", &owner_key.to_string());
    stand.fork.chain.set_automine(false).await?;
    let interrupted = stand.operator.start(&["sweep", "--yes", "--token", "native"])?;
    stand.pooled().await?;
    interrupted.kill()?;
    let signed = stand.errands()?.remove(0);
    ensure!(signed.verdict.is_none() && signed.attempts == 1, "{signed:?}");
    let (code, _, said) = stand.run(&["run", "--blocks", "1"])?;
    ensure!(code == Some(3) && said.contains("`backstop sweep` left unfinished"), "{code:?} {said}");
    let pending = stand.rows(&["history", "--verdict", "pending"])?;
    assert_eq!(pending[0]["transaction"].as_str(), Some(signed.hash.to_string().as_str()));

    stand.fork.chain.set_automine(true).await?;
    stand.fork.mine(1).await?;
    stand.expect(&["sweep", "--yes"])?;
    let errands = stand.errands()?;
    assert_eq!(errands.len(), 1, "signed again: {errands:#?}");
    assert_eq!((errands[0].hash, errands[0].attempts), (signed.hash, 1));
    assert_eq!(errands[0].verdict.map(|verdict| verdict.outcome), Some(Outcome::Won));
    assert_eq!(stand.fork.provider.get_balance(executor).await?, U256::ZERO);
    Ok(())
}
