/**
 * A peer that takes nothing while a gigabyte (in the short form an eighth of it) is offered to it: `send` refuses, memory stays bounded, and what was
 * accepted arrives once the peer takes it. The sender is a process of its own, so that its memory can be watched.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once as onceEmitted } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Client, Session } from '../../../src/index.js';
import { FAST, startClient, startProxy, startServer } from '../../support/delivery-pair.js';
import { deferred, upTo } from '../../support/delivery-wait.js';
import { inLength } from '../../support/length.js';

const MIB = 1024 * 1024;
/** The defaults, which the child runs with. */
const MAX_OUTBOX_BYTES = 16 * MIB;
const HIGH_WATER_BYTES = MIB;
const MESSAGE_BYTES = 64 * 1024;
const OFFERED_BYTES = inLength(1024, 128) * MIB;
/** The outbox and what is on its way to the kernel, with room for what comes and goes between two collections. */
const MAX_GROWTH_BYTES = MAX_OUTBOX_BYTES * 2 + 64 * MIB;

const script = fileURLToPath(new URL('../../support/delivery-stall-child.js', import.meta.url));

interface Offered {
  accepted: number;
  waits: number;
  refused: number;
  firstWait: number;
  firstRefusal: number;
  codes: string[];
  growth: { rss: number; external: number; arrayBuffers: number; heapUsed: number };
  digest: string;
}

interface Child {
  readonly process: ChildProcess;
  /** The next message of this kind; rejects where the child ends before. */
  told<T>(is: string): Promise<T>;
  readonly ended: Promise<number | string | null>;
}

function start(...args: string[]): Child {
  const child = fork(script, [String(OFFERED_BYTES), ...args], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const messages: Array<{ is: string }> = [];
  const waiting: Array<() => void> = [];
  child.on('message', (message) => {
    messages.push(message as { is: string });
    for (const wake of waiting.splice(0)) wake();
  });
  const ended = onceEmitted(child, 'exit').then(
    ([code, signal]) => (code ?? signal) as number | string | null,
  );
  const told = async <T>(is: string): Promise<T> => {
    for (;;) {
      const found = messages.findIndex((message) => message.is === is);
      if (found !== -1) return messages.splice(found, 1)[0] as T;
      const news = new Promise<void>((resolve) => waiting.push(resolve));
      const over = await Promise.race([news, ended.then((code) => ({ code }))]);
      if (over !== undefined) throw new Error(`the child ended (${over.code}) without '${is}': ${stderr}`);
    }
  };
  return { process: child, told, ended };
}

/** Takes what the child sends: its numbers in order, and a hash of it all. */
function receive(peer: Client | Session) {
  const numbers: number[] = [];
  const hash = createHash('sha256');
  const end = deferred();
  (peer as Client).on('bytes', (message: Buffer) => {
    numbers.push(message.readUInt32BE());
    hash.update(message);
  });
  (peer as Client).on('end', () => end.resolve());
  return { numbers, end: end.promise, digest: () => hash.digest('hex') };
}

function expectBounded(offered: Offered): void {
  expect(offered.accepted + offered.refused).toBe(OFFERED_BYTES / MESSAGE_BYTES);
  // First `send` asks to wait, above the high-water mark; then it refuses, at the limit of the outbox.
  expect(offered.firstWait).toBeGreaterThan(0);
  expect(offered.firstWait * MESSAGE_BYTES).toBeLessThanOrEqual(HIGH_WATER_BYTES);
  expect(offered.firstRefusal).toBeGreaterThan(offered.firstWait);
  expect(offered.codes).toEqual(['NYOTA_OUTBOX_FULL']);
  // Nothing is handled while the peer takes nothing: the outbox is all that is accepted.
  expect(offered.accepted * MESSAGE_BYTES).toBeLessThanOrEqual(MAX_OUTBOX_BYTES);
  expect(offered.accepted * MESSAGE_BYTES).toBeGreaterThan(MAX_OUTBOX_BYTES - 2 * MESSAGE_BYTES);
  const { rss, external, arrayBuffers } = offered.growth;
  for (const bytes of [rss, external, arrayBuffers]) expect(bytes).toBeLessThan(MAX_GROWTH_BYTES);
}

describe(`a stalled peer and ${OFFERED_BYTES / MIB} MiB of sends`, () => {
  beforeAll(() => {
    const built = fileURLToPath(new URL('../../../dist/index.js', import.meta.url));
    if (!existsSync(built)) throw new Error('this test runs the built package: npm run build');
  });

  it('a client refuses, keeps its memory bounded, and delivers all that it accepted', async () => {
    const session = deferred<Session>();
    const { port } = await startServer({}, session.resolve);
    const proxy = await startProxy(port);
    const child = start('client', String(proxy.port));
    const received = receive(await session.promise);
    await child.told('ready');
    proxy.stall();
    child.process.send('go');
    const offered = await child.told<Offered>('offered');
    expectBounded(offered);
    proxy.unstall();
    await received.end;
    await child.told('delivered');
    expect(received.numbers).toEqual([0, ...upTo(offered.accepted - 1)]);
    expect(received.digest()).toBe(offered.digest);
    child.process.send('close');
    expect(await child.ended).toBe(0);
  });

  it('a server does the same for a client of its own that stalls', async () => {
    const child = start('server');
    const { address } = await child.told<{ address: { port: number } }>('listening');
    const proxy = await startProxy(address.port);
    const client = startClient({ port: proxy.port, host: '127.0.0.1', reconnect: FAST });
    const received = receive(client);
    await child.told('ready');
    proxy.stall();
    child.process.send('go');
    const offered = await child.told<Offered>('offered');
    expectBounded(offered);
    proxy.unstall();
    await received.end;
    await child.told('delivered');
    expect(received.numbers).toEqual([0, ...upTo(offered.accepted - 1)]);
    expect(received.digest()).toBe(offered.digest);
    child.process.send('close');
    expect(await child.ended).toBe(0);
  });
});
