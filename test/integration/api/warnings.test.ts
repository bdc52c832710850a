/** docs/design.md, rule 69 and rule 72: what nobody listens to is a warning, and no listener breaks anything. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClient, createServer, type ServerOptions } from '../../../src/index.js';
import {
  type AnyPeer,
  cut,
  DIRECTIONS,
  deferred,
  once,
  portOf,
  useKit,
  warningsDuring,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe('an error that nobody listens to', () => {
  it.each(DIRECTIONS)(
    'of the %s is a process warning with the code, and all goes on',
    async (side, other) => {
      const pair = await kit.pair();
      const peer: AnyPeer = pair[side];
      const from: AnyPeer = pair[other];
      peer.off('error');
      peer.on('tick', () => {
        throw new Error('in a listener');
      });
      const warnings = await warningsDuring(async () => {
        await from.sendWithAck('tick');
      });
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatchObject({ name: 'NyotaWarning', code: 'NYOTA_LISTENER_FAILED' });
      expect(warnings[0]?.message).toContain('in a listener');
      await from.sendWithAck('tock');
    },
  );

  it('of a server is a process warning: a port that is taken', async () => {
    const first = await kit.listening();
    const warned = deferred<Error>();
    const listen = (warning: Error) => warned.resolve(warning);
    process.once('warning', listen);
    kit.cleanup(() => process.off('warning', listen));
    kit.own(createServer()).listen(portOf(first), '127.0.0.1');
    expect((await within(warned.promise, 'the warning')).message).toContain('EADDRINUSE');
  });

  it('of a client that is refused for good is a process warning', async () => {
    const server = await kit.listening({
      authenticate: () => {
        throw new Error('no');
      },
    });
    const warned = deferred<Error & { code?: string }>();
    const listen = (warning: Error) => warned.resolve(warning);
    process.once('warning', listen);
    kit.cleanup(() => process.off('warning', listen));
    kit.own(createClient(portOf(server)));
    expect((await within(warned.promise, 'the warning')).code).toBe('NYOTA_UNAUTHORIZED');
  });

  it('that is listened to is no warning', async () => {
    const { client, session } = await kit.pair();
    client.on('tick', () => {
      throw new Error('in a listener');
    });
    expect(await warningsDuring(() => session.sendWithAck('tick'))).toEqual([]);
    expect(kit.errors).toHaveLength(1);
  });
});

describe('a lifecycle listener', () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  let others: NodeJS.UnhandledRejectionListener[] = [];
  beforeEach(() => {
    unhandled.length = 0;
    others = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', note);
  });
  afterEach(() => {
    process.off('unhandledRejection', note);
    for (const other of others) process.on('unhandledRejection', other);
  });

  it.each(['connect', 'disconnect', 'change', 'unhandled'] as const)(
    "of '%s' that throws is reported as an error, and the others and the session go on",
    async (name) => {
      const { client, session } = await kit.pair();
      for (const peer of [client, session] as AnyPeer[]) {
        peer.on(name, () => {
          throw new Error(`in ${name}`);
        });
      }
      const heard: string[] = [];
      client.on(name, () => heard.push('client'));
      session.on(name, () => heard.push('session'));
      await cut(session, client);
      client.set('a', 1);
      session.set('b', 1);
      await client.sendWithAck('unheard');
      await session.sendWithAck('unheard');
      expect(heard.sort()).toEqual(['client', 'session']);
      const texts = kit.errors.map((error) => ((error as Error).cause as Error).message);
      expect(texts).toEqual([`in ${name}`, `in ${name}`]);
      expect(client.get()).toEqual({ a: 1, b: 1 });
      expect(session.get()).toEqual({ a: 1, b: 1 });
    },
  );

  it("of 'error' that throws becomes a warning", async () => {
    const { client, session } = await kit.pair();
    client.on('error', () => {
      throw new Error('in the error listener');
    });
    client.on('tick', () => {
      throw new Error('in a listener');
    });
    const warnings = await warningsDuring(() => session.sendWithAck('tick'));
    expect(warnings.map(({ message }) => message).join()).toContain('in the error listener');
    await session.sendWithAck('tock');
  });

  it("of 'drain', 'reconnecting', 'session' or 'close' that throws breaks nothing", async () => {
    const { client, session } = await kit.pair({ client: { highWaterBytes: 100 } });
    for (const name of ['drain', 'reconnecting', 'session', 'close'] as const) {
      client.on(name, () => {
        throw new Error(`in ${name}`);
      });
    }
    client.send('big', Buffer.alloc(1000));
    await cut(session, client);
    await client.sendWithAck('after');
    await within(client.close(), 'close');
    expect(client.state).toBe('closed');
  });

  it('that is async and rejects is reported as an error too, and is no unhandled rejection', async () => {
    const { client, session, server } = await kit.pair();
    client.on('connect', async () => {
      throw new Error('in an async connect');
    });
    server.on('clientError', async () => {
      throw new Error('in an async clientError');
    });
    const reported = once<[Error & { cause: Error }]>(client, 'error');
    await cut(session, client);
    await client.sendWithAck('after');
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
    expect((await reported)[0].cause.message).toBe('in an async connect');
  });

  it('an async onSession that rejects is reported as an error of the server', async () => {
    const server = await kit.listening({}, (async () => {
      await null;
      throw new Error('in an async onSession');
    }) as () => void);
    const reported = once<[Error & { cause: Error }]>(server, 'error');
    const client = kit.client({ port: portOf(server) });
    await client.sendWithAck('after');
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
    expect((await reported)[0].cause.message).toBe('in an async onSession');
  });
});

describe('listening where everybody can connect', () => {
  const everywhere = '0.0.0.0';

  async function warningsOf(options: ServerOptions): Promise<string[]> {
    const warnings = await warningsDuring(async () => {
      const server = kit.own(createServer(options));
      server.listen(0, everywhere);
      await once(server, 'listening');
    });
    return warnings.map(({ message }) => message);
  }

  it("without 'tls' and 'authenticate' warns, once, by name", async () => {
    const warnings = await warningsDuring(async () => {
      const server = kit.own(createServer());
      server.listen(0, everywhere);
      await once(server, 'listening');
      for (let i = 0; i < 3; i++) {
        const client = kit.client({ port: portOf(server) });
        await once(client, 'connect');
      }
    });
    expect(warnings).toHaveLength(1);
    const text = warnings[0]?.message;
    expect(text).toContain('0.0.0.0');
    expect(text).toContain('tls');
    expect(text).toContain('authenticate');
  });

  it("with 'authenticate' does not warn", async () => {
    expect(await warningsOf({ authenticate: () => true })).toEqual([]);
  });

  it('is not what a server on the loopback address does', async () => {
    expect(await warningsDuring(() => kit.listening())).toEqual([]);
  });
});
