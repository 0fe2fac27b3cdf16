// SPDX-License-Identifier: MIT OR Apache-2.0
// Writes presets/aave-v3.toml: the production markets of Aave V3 from Aave's address book, and where Uniswap V3
// and V2 are on their chains. `--check` compares instead, byte for byte.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import * as book from '@aave-dao/aave-address-book';

const require = createRequire(import.meta.url);
const uniswap = require('@uniswap/sdk-core');

// Their package.json is not among their exports.
const version = (name) =>
  JSON.parse(fs.readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

const TESTNET = /Sepolia|Fuji|Testnet|Mumbai|Goerli/;

// QuoterV2 and the router by chain. Source: Uniswap's own deployment pages, docs/contracts/v3/reference/deployments
// of github.com/Uniswap/docs at commit 8c5d09e23f53683b20bac8e7da8898f01b9f068e (QuoterV2; SwapRouter where a page
// has it, else SwapRouter02). The package @uniswap/sdk-core has neither reliably: its `quoterAddress` is the first
// Quoter on some chains, and its router of Celo is Ethereum's. A chain without such a page gets no route.
const SAME = ['0x61fFE014bA17989E743c5F6cB21bF9697530B21e', '0xE592427A0AEce92De3Edee1F18E0157C05861564'];
const VENUES = {
  1: SAME,
  10: SAME,
  56: ['0x78D78E420Da98ad378D7799bE8f4AF69033EB077', '0xB971eF87ede563556b2ED4b1C0b0019111Dd85d2'],
  137: SAME,
  143: ['0x661e93cca42afacb172121ef892830ca3b70f08d', '0xfe31f71c1b106eac32f1a19239c9a9a72ddfb900'],
  // X Layer: content/protocols/v3/deployments/v3-xlayer-deployments.mdx at commit 0cd8e42a28543e9e9c22545a16bbae12244e5d1e.
  196: ['0xd1b797d92d87b688193a2b976efc8d577d204343', '0x4f0c28f5926afda16bf2506d5d9e57ea190f9bca'],
  4326: ['0x31db60c6a4c71909674094b404597762df424ae7', '0x2eec3eb1c9dc14af773e04a177f960124295a067'],
  8453: ['0x3d4e44Eb1374240CE5F1B871ab261CD16335B76a', '0x2626664c2603336E57B271c5C0b26F421741e481'],
  42161: SAME,
  42220: ['0x82825d0554fA07f7FC52Ab63c961F330fdEFa8E8', '0x5615CDAb10dc425a742d643d949a7F474C01abc4'],
  43114: ['0xbe0F5544EC67e9B3b2D979aaA43f18Fd87E6257F', '0xbb00FF08d01D300023C629E8fFfFcb65A5a578cE'],
};

// The native coin as a token where @uniswap/sdk-core (WETH9) does not name it. Source: as above, the pages of the two.
const WRAPPED = {
  196: '0xe538905cf8410324e03A5A23C1c177a474D59b2b',
  42220: '0x471EcE3750Da237f93B8E339c536989b8978a438',
};

// Where Uniswap V2's factory and router are those that @uniswap/sdk-core (V2_FACTORY_ADDRESSES, V2_ROUTER_ADDRESSES) and
// Uniswap's own page both name: content/protocols/v2/deployments.mdx at commit
// 1e57095571cb84472a26f9cacb9c501703858bfb. Of Celo neither has a router.
const PAIRS = new Set([1, 10, 56, 137, 143, 196, 4326, 8453, 42161, 43114]);

// Where nothing can be sent, and why.
const OBSERVE_ONLY = {
  324: 'ZKsync Era does not run the bytecode of the Ethereum machine that the executor is',
};

function kebab(name) {
  const words = name.replace(/^AaveV3/, '').replace(/Whitelabel$/, '');
  const whole = { BNB: 'bnb', ZkSync: 'zksync', XLayer: 'xlayer' };
  return whole[words] ?? words.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase();
}

function address(text) {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) throw new Error(`not an address: ${text}`);
  // Checksummed where the source is not: the same digits.
  return uniswap.validateAndParseAddress(text);
}

function route(chain) {
  if (!VENUES[chain] || OBSERVE_ONLY[chain]) return [];
  const [quoter, router] = VENUES[chain];
  const wrapped = WRAPPED[chain] ?? uniswap.WETH9[chain]?.address;
  const factory = uniswap.CHAIN_TO_ADDRESSES_MAP[chain]?.v3CoreFactoryAddress;
  if (!wrapped || !factory) throw new Error(`no factory or wrapped coin for chain ${chain}`);
  return [
    `route.uniswap_v3_factory = "${address(factory)}"`,
    `route.uniswap_v3_quoter = "${address(quoter)}"`,
    `route.uniswap_v3_router = "${address(router)}"`,
    `route.wrapped_native = "${address(wrapped)}"`,
    ...(PAIRS.has(chain) ? pairs(chain) : []),
  ];
}

function pairs(chain) {
  const factory = uniswap.V2_FACTORY_ADDRESSES[chain];
  const router = uniswap.V2_ROUTER_ADDRESSES[chain];
  if (!factory || !router) throw new Error(`no factory or router of pairs for chain ${chain}`);
  return [
    `route.uniswap_v2_factory = "${address(factory)}"`,
    `route.uniswap_v2_router = "${address(router)}"`,
  ];
}

function markets() {
  // Namespace objects have no prototype: compare explicitly.
  const known = Object.entries(book).filter(([name]) => /^AaveV3[A-Z]/.test(name) && !TESTNET.test(name));
  return known
    .filter(([, market]) => market.POOL_ADDRESSES_PROVIDER && market.POOL)
    .map(([name, market]) => ({ name: kebab(name), chain: market.CHAIN_ID, provider: market.POOL_ADDRESSES_PROVIDER }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function text() {
  const lines = [
    '# The production markets of Aave V3, and where Uniswap V3 and V2 are on their chains. Written by scripts/presets: do not edit.',
    '#',
    `# Source of the markets: @aave-dao/aave-address-book ${version('@aave-dao/aave-address-book')} (npm, MIT licence, (c) 2026 BGD Labs).`,
    `# Source of factories, wrapped coins and all of Uniswap V2: @uniswap/sdk-core ${version('@uniswap/sdk-core')} (npm, MIT licence, (c) 2021 Uniswap Labs).`,
    '# Source of quoters and routers: the deployment pages of github.com/Uniswap/docs, commits 8c5d09e23f53 and, for X Layer, 0cd8e42a2854.',
    '# Only addresses_provider is trusted of a market; everything else about it is read on the chain.',
  ];
  for (const { name, chain, provider } of markets()) {
    lines.push('', `[markets.${name}]`, `chain_id = ${chain}`, `addresses_provider = "${address(provider)}"`);
    if (OBSERVE_ONLY[chain]) lines.push(`observe_only = "${OBSERVE_ONLY[chain]}"`);
    lines.push(...route(chain));
  }
  return lines.join('\n') + '\n';
}

const path = new URL('aave-v3.toml', import.meta.url);
const made = text();
if (process.argv.includes('--check')) {
  if (fs.readFileSync(path, 'utf8') !== made) {
    console.error('presets/aave-v3.toml is not what scripts/presets writes: run scripts/presets and look at the difference');
    process.exit(1);
  }
  console.log('presets/aave-v3.toml is reproduced');
} else {
  fs.writeFileSync(path, made);
  console.log(`${made.match(/^\[markets/gm).length} markets`);
}
