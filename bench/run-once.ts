/** One run of one contender: its server and its client as processes of their own, and what they have measured. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Report } from './child.js';
import type { Contender, Measure } from './measure.js';

const CHILD = join(import.meta.dirname, 'child.js');
const TOO_LONG_MS = 60_000;
const END_WITHIN_MS = 5_000;
/** A folder that takes a CPU profile of every process. */
const PROFILES = process.env.NYOTA_BENCH_PROFILES;

export async function runOnce(measure: Measure, contender: Contender): Promise<Record<string, number>> {
  const { stack, params } = contender;
  const children: ChildProcess[] = [];
  const begin = (half: string, ...more: string[]): Half => {
    const args = [half, measure.id, stack, JSON.stringify(params), ...more];
    const child = fork(CHILD, args, {
      execArgv: [
        '--expose-gc',
        ...(PROFILES === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${PROFILES}`]),
      ],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    });
    children.push(child);
    return new Half(child);
  };
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${TOO_LONG_MS / 1000} s`)), TOO_LONG_MS);
  });
  const work = async (): Promise<Record<string, number>> => {
    if (measure.server === undefined) {
      return measure.values(await begin('client').result, undefined, params);
    }
    const server = begin('server');
    const address = await Promise.race([server.address, server.result.then(() => server.address)]);
    const client = begin('client', JSON.stringify(address));
    server.speaksTo(client);
    client.speaksTo(server);
    const [clientResult, serverResult] = await Promise.all([client.result, server.result]);
    return measure.values(clientResult, serverResult, params);
  };
  try {
    return await Promise.race([work(), tooLong]);
  } finally {
    clearTimeout(timer);
    await Promise.all(children.map(ended));
  }
}

/** The next run begins with nothing else on the machine. */
function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) {
      resolve();
      return;
    }
    // By itself where it can: what it has started or left on disk goes with it, and a profile is written.
    const timer = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    if (child.connected) child.disconnect();
  });
}

class Half {
  readonly #child: ChildProcess;
  readonly address: Promise<unknown>;
  readonly result: Promise<unknown>;
  #other: Half | undefined;
  #words: string[] = [];

  constructor(child: ChildProcess) {
    this.#child = child;
    let ready: (address: unknown) => void;
    this.address = new Promise((resolve) => {
      ready = resolve;
    });
    this.result = new Promise((resolve, reject) => {
      child.once('exit', (code, signal) => reject(new Error(`a process ended with ${signal ?? code}`)));
      child.on('message', (message) => {
        const report = message as Report;
        if (report.is === 'ready') ready(report.address);
        else if (report.is === 'word') this.#tell(report.word);
        else if (report.is === 'failed') reject(new Error(report.reason));
        else resolve(report.result);
      });
    });
    this.result.catch(() => {});
  }

  speaksTo(other: Half): void {
    this.#other = other;
    for (const word of this.#words.splice(0)) this.#tell(word);
  }

  #tell(word: string): void {
    if (this.#other === undefined) this.#words.push(word);
    else if (this.#other.#child.connected) this.#other.#child.send(word);
  }
}
