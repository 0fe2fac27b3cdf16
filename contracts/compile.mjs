// SPDX-License-Identifier: MIT OR Apache-2.0
// Turns Executor.sol into abi/Executor.json, the same bytes on every machine; or compares with what is there.
// `--check` compares; `--test-doubles` compiles contracts/test-doubles into target/test-contracts instead.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

const listening = new Set(process.listeners("uncaughtException"));
const solc = createRequire(import.meta.url)("solc");
// The compiler swallows other people's errors if it may.
for (const event of ["uncaughtException", "unhandledRejection"])
  for (const listener of process.listeners(event)) if (!listening.has(listener)) process.removeListener(event, listener);

// No metadata: it would tie the bytes to comments and file names, and the code hash is pinned.
const settings = {
  evmVersion: "cancun",
  viaIR: true,
  optimizer: { enabled: true, runs: 1000000 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};

// 2394 reminds that transient storage outlives the call. Executor.sol clears all it sets before it returns.
const accepted = new Set(["2394"]);

function compile(file) {
  const name = `contracts/${file}`;
  const outputSelection = { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode", "storageLayout"] } };
  const input = {
    language: "Solidity",
    sources: { [name]: { content: readFileSync(join(here, file), "utf8") } },
    settings: { ...settings, outputSelection },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const complaints = (output.errors ?? []).filter(({ errorCode }) => !accepted.has(errorCode));
  for (const complaint of complaints) console.error(complaint.formattedMessage);
  if (complaints.length > 0) throw new Error(`${name} does not compile without complaint`);
  return output.contracts[name];
}

function artifact(contractName, contract) {
  const { bytecode, deployedBytecode } = contract.evm;
  // Numbers of syntax nodes change with any edit: only what describes the storage is kept.
  const types = contract.storageLayout.types ?? {};
  return {
    contractName,
    compiler: solc.version(),
    settings,
    abi: contract.abi,
    bytecode: `0x${bytecode.object}`,
    deployedBytecode: `0x${deployedBytecode.object}`,
    storageLayout: contract.storageLayout.storage.map(({ label, slot, offset, type }) => ({
      label,
      slot: Number(slot),
      offset,
      type: types[type].label,
    })),
  };
}

const text = (value) => `${JSON.stringify(value, null, 2)}\n`;

function executor() {
  const contract = compile("Executor.sol").Executor;
  if (Object.keys(contract.evm.deployedBytecode.immutableReferences ?? {}).length > 0)
    throw new Error("Executor.sol has immutables: its code would differ from one deployment to the next");
  return text(artifact("Executor", contract));
}

function testDoubles() {
  const to = join(root, "target", "test-contracts");
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(join(here, "test-doubles")).sort())
    for (const [name, contract] of Object.entries(compile(`test-doubles/${file}`))) {
      if (contract.evm.bytecode.object === "") continue; // an interface
      writeFileSync(join(to, `${name}.json`), text(artifact(name, contract)));
      console.log(`target/test-contracts/${name}.json`);
    }
}

function check(path) {
  let committed = "";
  try {
    committed = readFileSync(path, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  if (committed === executor()) return console.log("abi/Executor.json is what contracts/Executor.sol compiles to");
  console.error("abi/Executor.json is not what contracts/Executor.sol compiles to: run scripts/contracts and commit the result");
  process.exitCode = 1;
}

function main([mode, ...rest]) {
  const path = join(root, "abi", "Executor.json");
  if (rest.length > 0 || ![undefined, "--check", "--test-doubles"].includes(mode)) {
    console.error("usage: compile.mjs [--check | --test-doubles]");
    process.exitCode = 2;
  } else if (mode === "--check") check(path);
  else if (mode === "--test-doubles") testDoubles();
  else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, executor());
    console.log("abi/Executor.json");
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
