// SPDX-License-Identifier: MIT OR Apache-2.0
// Carries out the commands of docs/walkthrough.md and rewrites their outputs in place. How the page is read:
//
// - In a block ```console a line that begins with "$ " is a command ("> " goes on with it), and what stands below it is
//   what it printed, standard error included. One shell, the second terminal, runs all of them in their order.
// - A block ```text below <!-- first terminal --> is what `scripts/demo --stay` has printed; below
//   <!-- first terminal: Enter --> Enter is pressed there first.
// - <!-- ends with 3 --> above a block: its last command must end with this code; every other with 0.
// - <!-- 12 lines --> above a block: this much of each output is kept, and it is marked where something is left out.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const PAGE = 'docs/walkthrough.md';
const FOLDER = /\/\S*\/backstop-demo-\d+/g;
const LONGEST = 60;
const WIDEST = 600;
const END = 'end-of-this-command';

/** A process, and what it has printed since somebody last looked. */
class Terminal {
  heard = '';
  isOver = false;
  #wake = () => {};

  constructor(command, args, env) {
    this.child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.heard += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => this.child.on('exit', resolve)).then(() => {
      this.isOver = true;
      this.#wake();
    });
  }

  /** Waits until `wanted` is found, and takes everything up to its end. */
  async until(wanted) {
    for (;;) {
      const found = wanted.exec(this.heard);
      if (found) {
        const end = found.index + found[0].length;
        const said = this.heard.slice(0, end);
        this.heard = this.heard.slice(end);
        return { said, found };
      }
      if (this.isOver) throw new Error(`it ended before it said ${wanted}: ${this.heard}`);
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  async stop(signal) {
    this.child.kill(signal);
    await this.ended;
  }
}

/** What is kept of an output: no colours, no line wider than a page, no more than `most` lines. */
function kept(output, most) {
  const lines = output.trimEnd().split('\n');
  const short = lines.map((line) => (line.length > WIDEST ? `${line.slice(0, WIDEST)} [...]` : line.trimEnd()));
  if (output.trim() === '') return [];
  const left = lines.length - most;
  return left > 0 ? [...short.slice(0, most), `[... ${left} more line${left === 1 ? '' : 's'}]`] : short;
}

/** The commands of a block, each as the lines that were typed. */
function commands(block) {
  const all = [];
  let isOpen = false;
  for (const line of block) {
    if (line.startsWith('$ ')) all.push([line]);
    else if (/^>( |$)/.test(line) && isOpen) all.at(-1).push(line);
    isOpen = line.startsWith('$ ') || (/^>( |$)/.test(line) && isOpen);
  }
  return all;
}

async function carryOut(shell, command, code) {
  // Braces keep what `cd` and variables change; nobody is there to be asked.
  shell.child.stdin.write(`{ ${command}\n} < /dev/null 2>&1; printf '%s %s\\n' ${END} $?\n`);
  const { said, found } = await shell.until(new RegExp(`${END} (\\d+)\n`));
  if (found[1] !== code) throw new Error(`it ended with ${found[1]}, not ${code}:\n${said}`);
  return said.slice(0, found.index);
}

async function walk(page, terminals) {
  const lines = page.split('\n');
  const out = [];
  let marks = '';
  let folder;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at];
    out.push(line);
    if (line.startsWith('<!--')) marks += line;
    else if (!line.startsWith('```')) marks = '';
    if (!line.startsWith('```')) continue;
    const end = lines.indexOf('```', at + 1);
    const block = lines.slice(at + 1, end);
    const most = Number(/(\d+) lines/.exec(marks)?.[1] ?? LONGEST);
    const code = /ends with (\d+)/.exec(marks)?.[1] ?? '0';
    if (line === '```console') {
      const all = commands(block);
      for (const [index, typed] of all.entries()) {
        const here = typed.map((one) => one.replace(FOLDER, folder ?? '$&'));
        console.error(here.join('\n'));
        const text = here.map((one) => one.slice(2)).join('\n');
        out.push(...here, ...kept(await carryOut(terminals.second, text, index + 1 === all.length ? code : '0'), most));
      }
    } else if (marks.includes('first terminal')) {
      console.error(marks);
      const first = terminals.first();
      const isAgain = marks.includes('Enter');
      if (isAgain) first.child.stdin.write('\n');
      const { said } = await first.until(isAgain ? /in block \d+\n/ : /Ctrl-C.*\n/);
      folder ??= said.match(FOLDER)?.[0];
      out.push(...kept(said, most));
    } else {
      out.push(...block);
    }
    out.push('```');
    at = end;
    marks = '';
  }
  return out.join('\n');
}

// Nothing of whoever runs this is seen in the walk, and nothing of it stays with him.
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'backstop-walk-'));
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BACKSTOP_')));
const second = new Terminal('bash', ['--noprofile', '--norc'], { ...env, HOME: home, NO_COLOR: '1' });
let demo;
const first = () => (demo ??= new Terminal('scripts/demo', ['--stay'], env));
try {
  fs.writeFileSync(PAGE, await walk(fs.readFileSync(PAGE, 'utf8'), { first, second }));
} finally {
  await second.stop('SIGTERM');
  await demo?.stop('SIGINT');
  fs.rmSync(home, { recursive: true, force: true });
}
