/** docs/api.md, `ref` and `unref`, and docs/design.md, rule 72: what a process does when nothing else is left to do. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Built, build } from '../../support/api-built.js';
import { cut, portOf, useKit } from '../../support/api-kit.js';

const kit = useKit();
let built: Built;
beforeAll(() => {
  built = build();
});
afterAll(() => built.remove());

const OVER = { code: 0, stderr: '' };
/** It had to be killed. */
const HELD = { code: undefined, stderr: '' };

describe('a process with a client', () => {
  it('is held by it while connected', async () => {
    const port = portOf(await kit.listening());
    const source = `import { createClient } from 'nyota';
      createClient(${port}).on('connect', () => console.log('connected'));`;
    expect(await built.run(source, 'connected')).toMatchObject({ ...HELD, stdout: 'connected' });
  });

  it('is not held by it after unref, connected or not yet', async () => {
    const port = portOf(await kit.listening());
    const after = `import { createClient } from 'nyota';
      const client = createClient(${port});
      client.on('connect', () => { client.unref(); console.log('connected'); });`;
    expect(await built.run(after)).toMatchObject({ ...OVER, stdout: 'connected' });
    const before = `import { createClient } from 'nyota';
      createClient(${port}).unref();`;
    expect(await built.run(before)).toMatchObject(OVER);
  });

  it('is not held by it after unref, through a reconnect', async () => {
    const server = await kit.listening({}, (session) => {
      let connects = 0;
      session.on('connect', () => {
        connects++;
        session.send('connected', connects);
      });
      session.on('cut me', () => session.socket?.destroy());
    });
    const source = `import { createClient } from 'nyota';
      const client = createClient({ port: ${portOf(server)}, reconnect: { minDelayMs: 1, maxDelayMs: 1 } });
      const hold = setTimeout(() => {}, 60_000);
      client.unref();
      client.on('connected', (n) => {
        console.log(n);
        if (n === 1) client.send('cut me');
        else clearTimeout(hold);
      });`;
    expect(await built.run(source)).toMatchObject({ ...OVER, stdout: '1\n2' });
  });

  it('is not held by it after unref, in a back-off', async () => {
    const source = `import { createClient } from 'nyota';
      const client = createClient({ port: 1, host: '127.0.0.1', reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000, jitter: 'none' } });
      client.on('reconnecting', () => { console.log('backing off'); client.unref(); });`;
    expect(await built.run(source)).toMatchObject({ ...OVER, stdout: 'backing off' });
  });

  it('is held by it in a back-off without unref, and again after ref', async () => {
    const source = (calls: string) => `import { createClient } from 'nyota';
      const client = createClient({ port: 1, host: '127.0.0.1', reconnect: { minDelayMs: 60_000, maxDelayMs: 60_000, jitter: 'none' } });
      client.on('reconnecting', () => { console.log('backing off'); ${calls} });`;
    const [plain, again] = await Promise.all([
      built.run(source(''), 'backing off'),
      built.run(source('client.unref(); client.ref();'), 'backing off'),
    ]);
    expect(plain).toMatchObject({ ...HELD, stdout: 'backing off' });
    expect(again).toMatchObject({ ...HELD, stdout: 'backing off' });
  });

  it('is not held by it after close, disconnect or destroy', async () => {
    const port = portOf(await kit.listening());
    for (const end of ['close', 'disconnect', 'destroy']) {
      const source = `import { createClient } from 'nyota';
        const client = createClient(${port});
        client.send('tick');
        client.on('connect', () => { client.${end}(); console.log('connected'); });`;
      expect(await built.run(source)).toMatchObject({ ...OVER, stdout: 'connected' });
    }
  });

  it('that was unrefed still delivers while something else holds the process', async () => {
    const { server, client, session } = await kit.pair();
    client.unref();
    await cut(session, client);
    await client.sendWithAck('tick');
    client.ref();
    expect(server.sessions.size).toBe(1);
  });
});

describe('a process with a server', () => {
  it('is held by it while it listens, and not after unref or close', async () => {
    const source = (then: string) => `import { createServer } from 'nyota';
      const server = createServer();
      server.listen(0, '127.0.0.1', () => { console.log('listening'); ${then} });`;
    const [held, unrefed, closed, destroyed] = await Promise.all([
      built.run(source(''), 'listening'),
      built.run(source('server.unref();')),
      built.run(source('server.close();')),
      built.run(source('server.destroy();')),
    ]);
    expect(held).toMatchObject({ ...HELD, stdout: 'listening' });
    for (const outcome of [unrefed, closed, destroyed])
      expect(outcome).toMatchObject({ ...OVER, stdout: 'listening' });
  });

  it('and its client in it ends by itself once both are closed', async () => {
    const source = `import { createClient, createServer } from 'nyota';
      const server = createServer((session) => session.handle('add', (a, b) => a + b)).listen(0, '127.0.0.1', async () => {
        const client = createClient(server.address().port);
        console.log(await client.request('add', 1, 2));
        await client.close();
        await server.close();
      });`;
    expect(await built.run(source)).toMatchObject({ ...OVER, stdout: '3' });
  });
});

describe('a process in which nobody listens for errors', () => {
  it('prints a warning and lives', async () => {
    const source = `import { createClient, createServer } from 'nyota';
      const server = createServer((session) => {
        session.on('tick', () => { throw new Error('in a listener'); });
      });
      server.listen(0, '127.0.0.1', async () => {
        const client = createClient(server.address().port);
        await client.sendWithAck('tick');
        await client.close();
        await server.close();
        console.log('alive');
      });`;
    const { code, stdout, stderr } = await built.run(source);
    expect([code, stdout]).toEqual([0, 'alive']);
    expect(stderr).toContain('NYOTA_LISTENER_FAILED');
    expect(stderr).toContain('in a listener');
  });

  it('lives through malformed bytes', async () => {
    const source = `import net from 'node:net';
      import { createServer } from 'nyota';
      const server = createServer().listen(0, '127.0.0.1', () => {
        const socket = net.connect(server.address().port, '127.0.0.1');
        socket.on('error', () => {});
        socket.on('close', async () => { await server.close(); console.log('alive'); });
        socket.resume();
        socket.write('complete nonsense, and much of it');
      });`;
    const { code, stdout } = await built.run(source);
    expect([code, stdout]).toEqual([0, 'alive']);
  });

  it('warns once of listening on every address', async () => {
    const source = `import { createServer } from 'nyota';
      const server = createServer().listen(0, '0.0.0.0', () => server.close());`;
    const { code, stderr } = await built.run(source);
    expect(code).toBe(0);
    expect(stderr.match(/authenticate/g)).toHaveLength(1);
  });
});
