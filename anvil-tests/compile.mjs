// Compiles the contracts that are published as sources only (Aave V3.6, Chainlink's aggregator and its
// proxy) and puts Multicall3's bytecode beside them, as one JSON file per contract. Prints the directory on
// stdout and progress on stderr. The directory is keyed by the lock file and this script, so that a second
// run answers at once and a changed pin never meets an old artifact.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.join(here, "node_modules");
const require = createRequire(import.meta.url);

const AAVE = "@aave-dao/aave-v3-origin/src/contracts/";
const CHAINLINK = "@chainlink/contracts/src/v0.6/";

const UNITS = [
  {
    title: "Aave V3.6",
    solc: "solc-0.8.27",
    settings: {
      evmVersion: "shanghai",
      optimizer: { enabled: true, runs: 200 },
      metadata: { bytecodeHash: "none" },
      remappings: [
        "solidity-utils/=@bgd-labs/solidity-utils/src/",
        "openzeppelin-contracts/contracts/=@openzeppelin/contracts/",
        "openzeppelin-contracts-upgradeable/contracts/=@openzeppelin/contracts-upgradeable/",
      ],
    },
    files: [
      "instances/PoolInstance",
      "instances/PoolConfiguratorInstance",
      "instances/ATokenInstance",
      "instances/VariableDebtTokenInstance",
      "misc/DefaultReserveInterestRateStrategyV2",
      "misc/AaveOracle",
      "misc/PriceOracleSentinel",
      "protocol/configuration/ACLManager",
      "protocol/configuration/PoolAddressesProvider",
      "helpers/AaveProtocolDataProvider",
      "helpers/UiPoolDataProviderV3",
      "helpers/LiquidationDataProvider",
      "mocks/testnet-helpers/TestnetERC20",
      "mocks/oracle/SequencerOracle",
      "dependencies/weth/WETH9",
    ].map((name) => `${AAVE}${name}.sol`),
    // Libraries that the entry contracts link; their code is needed too.
    libraries: `${AAVE}protocol/libraries/logic/`,
  },
  {
    title: "Chainlink aggregator and proxy",
    solc: "solc-0.6.6",
    settings: { optimizer: { enabled: true, runs: 200 } },
    files: ["FluxAggregator", "EACAggregatorProxy"].map((name) => `${CHAINLINK}${name}.sol`),
  },
];

// solc is a recursive program run as wasm on node's own stack, and Aave's contracts are deeper than the default.
const STACK = "--stack-size=30000";

const say = (line) => process.stderr.write(`${line}\n`);

function fail(sentence) {
  say(sentence);
  process.exit(1);
}

function key() {
  const hash = createHash("sha256");
  for (const name of ["package-lock.json", "compile.mjs"]) hash.update(fs.readFileSync(path.join(here, name)));
  return hash.digest("hex").slice(0, 16);
}

function targetDirectory() {
  return path.resolve(here, "..", process.env.CARGO_TARGET_DIR ?? "target", "bed", `artifacts-${key()}`);
}

function readSource(name) {
  try {
    return { contents: fs.readFileSync(path.join(modules, name), "utf8") };
  } catch {
    return { error: `not found: ${name}` };
  }
}

/** Only what is deployed is asked for: code generation is most of the time. */
function outputSelection(unit) {
  const wanted = ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"];
  const names = [...unit.files];
  if (unit.libraries) {
    for (const file of fs.readdirSync(path.join(modules, unit.libraries))) names.push(unit.libraries + file);
  }
  return Object.fromEntries(names.map((name) => [name, { [path.basename(name, ".sol")]: wanted }]));
}

function compile(unit) {
  const started = Date.now();
  const listeners = process.listeners("uncaughtException");
  const solc = require(unit.solc);
  for (const added of process.listeners("uncaughtException")) {
    if (!listeners.includes(added)) process.removeListener("uncaughtException", added);
  }
  // Sources go in through the callback: inlined into the input they overflow the wasm stack.
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(unit.files.map((name) => [name, { urls: [name] }])),
    settings: { ...unit.settings, outputSelection: outputSelection(unit) },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readSource }));
  const errors = (output.errors ?? []).filter((entry) => entry.severity === "error");
  if (errors.length > 0) fail(`${unit.title} does not compile with ${unit.solc}:\n${errors[0].formattedMessage}`);
  const artifacts = [];
  for (const [source, contracts] of Object.entries(output.contracts)) {
    for (const [contractName, { abi, evm }] of Object.entries(contracts)) {
      if (!evm?.bytecode?.object) continue;
      const { object, linkReferences } = evm.bytecode;
      artifacts.push({ contractName, sourceName: source, abi, bytecode: `0x${object}`, linkReferences });
    }
  }
  say(`  ${unit.title}: ${artifacts.length} contracts, ${((Date.now() - started) / 1000).toFixed(1)} s`);
  return artifacts;
}

function multicall() {
  const { multicall3Bytecode } = require(path.join(modules, "viem/_cjs/constants/contracts.js"));
  return { contractName: "Multicall3", sourceName: "viem", abi: [], bytecode: multicall3Bytecode, linkReferences: {} };
}

function main() {
  const target = targetDirectory();
  if (fs.existsSync(target)) return console.log(target);

  const missing = ["@aave-dao/aave-v3-origin", "@chainlink/contracts", "viem", ...UNITS.map((unit) => unit.solc)].find(
    (name) => !fs.existsSync(path.join(modules, name)),
  );
  if (missing) {
    fail(`anvil-tests/node_modules lacks ${missing}: run \`npm ci --ignore-scripts --prefix anvil-tests\` first.`);
  }
  if (!process.execArgv.includes(STACK)) {
    const again = spawnSync(process.execPath, [STACK, fileURLToPath(import.meta.url)], { stdio: "inherit" });
    process.exit(again.status ?? 1);
  }

  say("compiling the contracts that are published as sources (about 20 s, once per lock file):");
  const artifacts = [multicall(), ...UNITS.flatMap(compile)];
  fs.mkdirSync(path.dirname(target), { recursive: true });
  const unfinished = fs.mkdtempSync(`${target}.tmp-`);
  for (const artifact of artifacts) {
    fs.writeFileSync(path.join(unfinished, `${artifact.contractName}.json`), JSON.stringify(artifact));
  }
  try {
    fs.renameSync(unfinished, target);
  } catch (error) {
    // Another process was faster: its files are the same as ours.
    fs.rmSync(unfinished, { recursive: true, force: true });
    if (!fs.existsSync(target)) throw error;
  }
  console.log(target);
}

main();
