/** `nyota bench` as it is built and called, against real servers. Nothing here depends on how fast they are. */
import { afterEach, describe, expect, it } from 'vitest';
import { createServer, type ServerOptions, type Session } from '../../src/index.js';
import { CliProcess, nyota, nyotaHere } from '../support/cli-process.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function listen(onSession: (session: Session) => void, options: ServerOptions = {}): Promise<string> {
  const server = createServer(options, onSession);
  cleanUps.push(() => server.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return String(address.port);
}

interface Result {
  readonly kind: string;
  readonly sent: number;
  readonly done: number;
  readonly connections: number;
  readonly failed: Record<string, number>;
  readonly latencyMs: { readonly count: number; readonly p50: number; readonly max: number };
}

async function benchJson(...args: string[]): Promise<{ result: Result; stderr: string }> {
  const { code, stdout, stderr } = await nyota(['bench', ...args, '--json']);
  expect(code, stderr).toBe(0);
  return { result: JSON.parse(stdout) as Result, stderr };
}

describe('nyota bench', () => {
  it('sends events as fast as they are taken, and all of them are acknowledged', async () => {
    let heard = 0;
    const port = await listen((session) =>
      session.on('bench', (payload: Buffer) => {
        heard += payload.length;
      }),
    );
    const { result, stderr } = await benchJson(
      port,
      '--duration',
      '0.3',
      '--size',
      '10',
      '--connections',
      '3',
    );
    expect(result).toMatchObject({ kind: 'events', connections: 3, failed: {} });
    expect(result.done).toBe(result.sent);
    expect(heard).toBe(result.sent * 10);
    expect(result.latencyMs.count).toBeGreaterThan(0);
    expect(stderr).toContain('3 connected');
  });

  it('keeps a rate, and times every message', async () => {
    const port = await listen((session) => session.on('bench', () => {}));
    const { result } = await benchJson(port, '--duration', '0.5', '--rate', '100', '--connections', '2');
    expect(result.sent).toBeGreaterThan(0);
    expect(result.sent).toBeLessThanOrEqual(51);
    expect(result.latencyMs.count).toBe(result.sent);
  });

  it('sends requests to a handler of any name', async () => {
    let asked = 0;
    const port = await listen((session) =>
      session.handle('work', () => {
        asked++;
        return 'done';
      }),
    );
    const { result } = await benchJson(port, '--duration', '0.3', '--requests', '--event', 'work');
    expect(result).toMatchObject({ kind: 'requests', failed: {} });
    expect(result.done).toBe(asked);
    expect(result.latencyMs.p50).toBeLessThanOrEqual(result.latencyMs.max);
  });

  it('carries payloads above the usual frame', async () => {
    const port = await listen((session) => session.on('bench', () => {}), { maxFrameBytes: 4 * 1024 * 1024 });
    const size = String(2 * 1024 * 1024);
    const { result } = await benchJson(port, '--duration', '0.2', '--rate', '20', '--size', size);
    expect(result).toMatchObject({ failed: {} });
    expect(result.done).toBe(result.sent);
  });

  it('prints the result as text without --json', async () => {
    const port = await listen((session) => session.on('bench', () => {}));
    const { code, stdout } = await nyota(['bench', port, '--duration', '0.1', '--rate', '100']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/throughput .* events\/s/);
    expect(stdout).toMatch(/latency .* p99 /);
  });

  it('tells requests that nobody handles, and fails', async () => {
    const port = await listen(() => {});
    const { code, stdout, stderr } = await nyota(['bench', port, '--duration', '0.1', '--requests']);
    expect(code).toBe(1);
    expect(stdout).toContain('NYOTA_NO_HANDLER');
    expect(stderr).toContain('nothing that was sent was answered');
  });

  it('ends with its result at the first Ctrl-C', async () => {
    const port = await listen((session) => session.on('bench', () => {}));
    const running = new CliProcess(['bench', port, '--duration', '60', '--rate', '10']);
    cleanUps.push(() => {
      running.signal('SIGKILL');
      return running.ended;
    });
    await running.prints(/1 connected/);
    running.signal('SIGINT');
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/messages/);
  });

  it('fails where nobody listens', async () => {
    const port = await listen(() => {});
    await Promise.all(cleanUps.splice(0).map((cleanUp) => cleanUp()));
    const { code, stderr } = await nyota(['bench', port, '--duration', '0.1']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^nyota: NYOTA_CONNECT_FAILED[^\n]+\n$/);
  });
});

describe('a wrong call of nyota bench exits 2 with one line', () => {
  it.each([
    ['no address', [], /missing required argument 'address'/],
    ['no rate', ['1', '--rate', '0'], /--rate <n>.*'0' is invalid/],
    ['a duration that is no number', ['1', '--duration', 'long'], /'long' is invalid.*seconds/],
    ['too many connections', ['1', '--connections', '10001'], /'10001' is invalid/],
    ['a size above what a frame may hold', ['1', '--size', '99999999'], /'99999999' is invalid/],
    ['an empty name', ['1', '--event', ''], /--event takes a name/],
    ['an unknown option', ['1', '--conections', '2'], /unknown option '--conections'/],
    ['a bad address', ['nowhere'], /ADDRESS takes a port/],
  ])('%s', async (_what, args, says) => {
    const { code, stdout, stderr } = await nyotaHere(['bench', ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^nyota: [^\n]+\n$/);
    expect(stderr).toMatch(says);
  });

  it('an event that may not be sent', async () => {
    const port = await listen(() => {});
    const { code, stdout, stderr } = await nyota(['bench', port, '--event', 'connect', '--duration', '0.1']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('NYOTA_RESERVED_EVENT');
  });
});
