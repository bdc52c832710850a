/** `nyota exocom`, as a process. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CliProcess, nyota } from '../../support/cli-process.js';
import { eventually } from '../../support/delivery-wait.js';
import { ExoComKit, portOf } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
const running: CliProcess[] = [];
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nyota-exocom-cli-'));
});
afterEach(async () => {
  await kit.close();
  for (const process of running.splice(0)) {
    process.signal('SIGKILL');
    await process.ended;
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Starts it at a free port, and says which. */
async function exocom(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ process: CliProcess; port: number }> {
  const process = new CliProcess(['exocom', '--host', '127.0.0.1', ...args], { EXOCOM_PORT: '0', ...env });
  running.push(process);
  const [, port] = await process.prints(/^ExoCom online at port (\d+)$/m);
  return { process, port: Number(port) };
}

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

describe('nyota exocom', () => {
  it('"ExoCom online at port 3200" once it is up, console lines, and ends gracefully', async () => {
    const { hub } = await kit.hub();
    const free = portOf(hub);
    await hub.close();
    const { process, port } = await exocom(['--port', String(free)]);
    expect(port).toBe(free);
    const users = kit.relay(port, 'users');
    users.registerHandler('users create', (_payload, { reply }) => void reply('users created'));
    await users.up();
    const web = await kit.relay(port, 'web').up();
    await web.request('users create');
    await process.prints(/^web {2}--\[ users create \]-> {2}users$/m);
    await process.prints(/^users {2}--\[ users created \]-> {2}web$/m);
    await process.prints(/nyota: warning: Service 'users' is taken at its word/);
    await Promise.all([users.close(), web.close()]);
    process.signal('SIGTERM');
    expect((await process.ended).code).toBe(0);
  });

  it('Port taken: exits with "address already in use"', async () => {
    const { hub } = await kit.hub();
    const { code, stdout, stderr } = await nyota([
      'exocom',
      '--host',
      '127.0.0.1',
      '--port',
      String(portOf(hub)),
    ]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe(`nyota: address already in use: port ${portOf(hub)}\n`);
  });

  it('the environment: EXOCOM_PORT, SERVICE_DATA, EXOCOM_TOKENS', async () => {
    const { process, port } = await exocom([], {
      SERVICE_DATA: '{ "web": { "sends": ["users create"] } }',
      EXOCOM_TOKENS: '{ "web": "w" }',
    });
    const web = kit.relay(port, 'web', { token: 'w' });
    await web.up();
    web.send('users create');
    await process.prints(/nyota: warning: No receivers for message 'users create' registered/);
  });

  it('`--routes` and `--tokens` as files, `--monitor-port`', async () => {
    const routes = file('routes.yml', 'web:\n  sends: [users list]\nusers:\n  receives: [users list]\n');
    const tokens = file('tokens.json', '{ "web": "w", "users": "u" }');
    const { process, port } = await exocom(['--routes', routes, '--tokens', tokens, '--monitor-port', '0']);
    const [, monitor] = await process.prints(/^monitor at (http:\/\/127\.0\.0\.1:\d+\/)$/m);
    await kit.relay(port, 'users', { token: 'u' }).up();
    const config = await (await fetch(`${monitor}config.json`)).json();
    expect(config).toMatchObject({
      clients: { users: { instances: [{}] } },
      routes: { web: { sends: ['users list'] } },
    });
    expect(await (await fetch(`${monitor}metrics`)).text()).toContain('exocom_instances{role="users"} 1');
  });

  it.each([
    [
      'routes that are wrong',
      () => ['--routes', file('bad.json', '{ "web": { "sned": [] } }')],
      /bad\.json': web\.sned: there is no such key/,
    ],
    [
      'routes that are not there',
      () => ['--routes', '/nowhere.json'],
      /routes file '\/nowhere\.json': ENOENT/,
    ],
    ['a port that is none', () => ['--port', 'x'], /port is a whole number/],
    ['an unknown flag', () => ['--prot', '1'], /unknown option '--prot'/],
    ['half of TLS', () => ['--tls-key', 'key.pem'], /--tls-key and --tls-cert go together/],
  ])('%s: exits 2 with one line', async (_what, args, expected) => {
    const { code, stdout, stderr } = await nyota(['exocom', ...args()], { env: { EXOCOM_PORT: '0' } });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(expected);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it('comes back on the same port after a kill, and what was sent meanwhile arrives', async () => {
    const { process, port } = await exocom([]);
    const got: unknown[] = [];
    const jobs = kit.relay(port, 'jobs');
    jobs.registerHandler('job', (n) => void got.push(n));
    const web = kit.relay(port, 'web');
    await Promise.all([jobs.up(), web.up()]);
    web.send('job', 1);
    await eventually(() => got.length === 1, 'the first arrives');
    process.signal('SIGKILL');
    await process.ended;
    web.send('job', 2);
    await exocom(['--port', String(port)]);
    await eventually(() => got.length === 2, 'the second arrives');
    expect(got).toEqual([1, 2]);
  });

  it('`--help` names the flags and the environment', () => {
    const { stdout, status } = spawnSync(process.execPath, ['dist/cli/main.js', 'exocom', '--help'], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    for (const word of ['--routes <file>', '--monitor-port <port>', 'EXOCOM_PORT', 'SERVICE_DATA']) {
      expect(stdout).toContain(word);
    }
  });
});
