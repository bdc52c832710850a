/** docs/api.md, the events of clients, sessions and servers: each with its arguments, and that no remote peer can cause or fake one. */
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { type Client, createServer, type NyotaError, type Session } from '../../../src/index.js';
import {
  type AnyPeer,
  cut,
  deferred,
  nyotaErrorOf,
  once,
  portOf,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

const NAMES = [
  'connect',
  'disconnect',
  'reconnecting',
  'session',
  'sessionInvalidated',
  'gap',
  'error',
  'drain',
  'change',
  'conflict',
  'unhandled',
  'close',
  'listening',
  'clientError',
  'expired',
];

describe('a client emits', () => {
  it('session, then connect: { id, reason } and { resumed: false } at the first connection', async () => {
    const server = await kit.listening();
    const client = kit.client({ port: portOf(server) });
    const order: unknown[] = [];
    client.on('session', (info) => order.push(['session', info]));
    client.on('connect', (info) => order.push(['connect', info]));
    await once(client, 'connect');
    expect(order).toEqual([
      ['session', { id: client.id, reason: undefined }],
      ['connect', { resumed: false }],
    ]);
  });

  it('disconnect, reconnecting and connect { resumed: true } around a cut, and no session', async () => {
    const { client, session } = await kit.pair();
    const order: string[] = [];
    const infos: Array<{ attempt: number; delayMs: number }> = [];
    client.on('disconnect', (reason) => order.push(`disconnect ${reason?.name ?? 'without a reason'}`));
    client.on('reconnecting', (info) => {
      infos.push(info);
      order.push('reconnecting');
    });
    client.on('connect', ({ resumed }) => order.push(`connect ${resumed}`));
    client.on('session', () => order.push('session'));
    await cut(session, client);
    expect(order[0]).toMatch(/^disconnect/);
    expect(order.slice(1)).toEqual(['reconnecting', 'connect true']);
    expect(infos[0]?.attempt).toBe(1);
    expect(infos[0]?.delayMs).toBeGreaterThanOrEqual(0);
    expect(client.resumed).toBe(true);
  });

  it('reconnecting with rising attempts and delays within the bounds, while nobody answers', async () => {
    const client = kit.client({
      port: 1,
      createConnection: () => Promise.reject(new Error('nobody')),
      reconnect: { minDelayMs: 2, maxDelayMs: 8, factor: 2, jitter: 'none' },
    });
    const infos: Array<{ attempt: number; delayMs: number }> = [];
    const enough = deferred();
    client.on('reconnecting', ({ attempt, delayMs }) => {
      infos.push({ attempt, delayMs });
      if (attempt === 5) enough.resolve();
    });
    await within(enough.promise, 'five attempts');
    expect(infos).toEqual([
      { attempt: 1, delayMs: 2 },
      { attempt: 2, delayMs: 4 },
      { attempt: 3, delayMs: 8 },
      { attempt: 4, delayMs: 8 },
      { attempt: 5, delayMs: 8 },
    ]);
  });

  it('disconnect with the reason that the server gave', async () => {
    const { client, session } = await kit.pair();
    const gone = once<[NyotaError]>(client, 'disconnect');
    session.disconnect();
    expect((await gone)[0].code).toBe('NYOTA_DISCONNECTED');
  });

  it('session with the reason and gap, where a server that knows nothing took the place of the first', async () => {
    const { server, client, session, port } = await kit.pair();
    const heard: unknown[] = [];
    const running = deferred();
    session.on('uncertain', () => {
      running.resolve();
      return new Promise(() => {});
    });
    client.send('uncertain');
    await within(running.promise, 'the listener');
    const firstId = client.id;
    const gap = once<[{ uncertain: number; lost: number; reason: NyotaError }]>(client, 'gap');
    const began = once<[{ id: string; reason: NyotaError }]>(client, 'session');
    const away = once(client, 'disconnect');
    server.destroy();
    await away;
    client.send('queued', 1);
    const second = kit.own(kit.quiet(createServer((fresh) => fresh.on('queued', (n) => heard.push(n)))));
    second.listen(port, '127.0.0.1');
    const [{ uncertain, lost, reason }] = await gap;
    expect({ uncertain, lost }).toEqual({ uncertain: 1, lost: 0 });
    expect(reason.retry).toBe('new-session');
    const [info] = await began;
    expect(info.id).toBe(client.id);
    expect(info.id).not.toBe(firstId);
    expect(info.reason.code).toBe(reason.code);
    await client.sendWithAck('last');
    expect(heard).toEqual([1]);
  });

  it('sessionInvalidated, then session with the reason', async () => {
    const { client, session } = await kit.pair();
    const order: unknown[] = [];
    client.on('sessionInvalidated', () => order.push('sessionInvalidated'));
    client.on('session', ({ reason }) => order.push(reason?.code));
    const back = once(client, 'connect');
    session.invalidate();
    await back;
    expect(order).toEqual(['sessionInvalidated', 'NYOTA_SESSION_INVALIDATED']);
  });

  it('close, once, at close and at destroy', async () => {
    for (const end of ['close', 'destroy'] as const) {
      const { client } = await kit.pair();
      let closes = 0;
      const closed = deferred();
      client.on('close', () => {
        closes++;
        closed.resolve();
      });
      client[end]();
      client[end]();
      await within(closed.promise, 'close');
      await client.close();
      expect(closes).toBe(1);
    }
  });

  it('error where the server refuses it for good, and stops trying', async () => {
    const server = await kit.listening({
      authenticate: () => {
        throw new Error('the inner reason');
      },
    });
    const refused = once<[NyotaError, unknown]>(server, 'clientError');
    const client = kit.client({ port: portOf(server), auth: 'wrong' });
    const [error] = await once<[NyotaError]>(client, 'error');
    expect(error).toMatchObject({ code: 'NYOTA_UNAUTHORIZED', retry: 'never' });
    expect(error.message).not.toContain('the inner reason');
    expect(client.state).toBe('idle');
    expect((await refused)[0].code).toBe('NYOTA_UNAUTHORIZED');
  });
});

describe.each(['client', 'session'] as const)('a %s emits', (side) => {
  const other = { client: 'session', session: 'client' } as const;

  it('unhandled with the event and its arguments, where nobody listens', async () => {
    const pair = await kit.pair();
    const peer: AnyPeer = pair[side];
    const from: AnyPeer = pair[other[side]];
    const unheard = once(peer, 'unhandled');
    from.send('lonely', 1, 'two');
    expect(await unheard).toEqual(['lonely', [1, 'two']]);
    peer.on('heard', () => {});
    peer.on('unhandled', (event) => expect(event).toBe('lonely'));
    await from.sendWithAck('heard');
    peer.onAny(() => {});
    await from.sendWithAck('any');
  });

  it('connect, disconnect, drain, change, error, conflict and close to listeners with itself as this', async () => {
    const pair = await kit.pair();
    const peer: AnyPeer = pair[side];
    const selves = new Set<unknown>();
    const note = function (this: unknown): void {
      selves.add(this);
    };
    peer
      .on('disconnect', note)
      .on('connect', note)
      .on('change', note)
      .on('close', note)
      .on('unhandled', note);
    await cut(pair.session, pair.client);
    (pair[other[side]] as AnyPeer).set('a', 1);
    await (pair[other[side]] as AnyPeer).sendWithAck('unheard');
    peer.destroy();
    expect([...selves]).toEqual([peer]);
  });

  it('to once listeners once, and not to those that were taken off', async () => {
    const { session, client, ...pair } = await kit.pair();
    const peer: AnyPeer = { session, client, ...pair }[side];
    const heard: string[] = [];
    const off = () => heard.push('off');
    peer.once('connect', () => heard.push('once'));
    peer.on('connect', () => heard.push('on'));
    peer.on('connect', off).off('connect', off);
    await cut(session, client);
    await cut(session, client);
    expect(heard).toEqual(['once', 'on', 'on']);
  });
});

describe('a session on the server emits', () => {
  it('connect { resumed: false }, and { resumed: true } when its client is back', async () => {
    const infos: unknown[] = [];
    const { client, session } = await kit.pair({
      onSession: (began: Session) => began.on('connect', (info) => infos.push(info)),
    });
    await cut(session, client);
    expect(infos).toEqual([{ resumed: false }, { resumed: true }]);
    expect(session.resumed).toBe(true);
  });

  it('disconnect, expired and close where the client does not come back', async () => {
    const { client, session, server } = await kit.pair({ server: { resumeWindowMs: 20 } });
    const order: string[] = [];
    for (const name of ['disconnect', 'expired', 'close'] as const) session.on(name, () => order.push(name));
    const over = once(session, 'close');
    client.destroy();
    await over;
    expect(order).toEqual(['disconnect', 'expired', 'close']);
    expect(session.state).toBe('dead');
    expect(server.sessions.size).toBe(0);
    expect(server.stats().sessionsExpired).toBe(1);
  });

  it('disconnect and close, and not expired, where the client closes', async () => {
    const { client, session } = await kit.pair();
    const order: string[] = [];
    for (const name of ['disconnect', 'expired', 'close'] as const) session.on(name, () => order.push(name));
    const over = once(session, 'close');
    await client.close();
    await over;
    expect(order).toEqual(['disconnect', 'close']);
  });
});

describe('a server emits', () => {
  it('listening, session with (session, resumed), and close', async () => {
    const server = kit.own(createServer());
    const order: string[] = [];
    server.on('listening', () => order.push('listening'));
    server.on('session', (session, resumed) => order.push(`session ${session.id} ${resumed}`));
    server.on('close', () => order.push('close'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client: Client = kit.client({ port: portOf(server) });
    await once(client, 'connect');
    const { id } = client;
    await server.close();
    expect(order).toEqual(['listening', `session ${id} false`, 'close']);
  });

  it('clientError with the error and the remote address, where a connection speaks something else', async () => {
    const server = await kit.listening();
    const refused = once<[NyotaError, { remoteAddress: string }]>(server, 'clientError');
    const socket = kit.own(net.connect(portOf(server), '127.0.0.1'));
    socket.on('error', () => {});
    socket.write('GET / HTTP/1.1\r\n\r\n');
    const [error, info] = await refused;
    expect(error.code).toBe('NYOTA_BAD_PREAMBLE');
    expect(error.message).toMatch(/HTTP/);
    expect(info.remoteAddress).toBe('127.0.0.1');
    const { client } = await kit.pair();
    await client.sendWithAck('still alive');
  });
});

describe('the name of a lifecycle event', () => {
  it.each(NAMES)('%s can not be sent, asked for or handled: NYOTA_RESERVED_EVENT', async (name) => {
    const { client, session, server } = await kit.pair();
    for (const peer of [client, session] as AnyPeer[]) {
      const error = nyotaErrorOf(() => peer.send(name));
      expect(error.code).toBe('NYOTA_RESERVED_EVENT');
      expect(error.message).toContain(name);
      expect((await rejectionOf(peer.sendWithAck(name))).code).toBe('NYOTA_RESERVED_EVENT');
      expect((await rejectionOf(peer.request(name))).code).toBe('NYOTA_RESERVED_EVENT');
      expect(nyotaErrorOf(() => peer.handle(name, () => 1)).code).toBe('NYOTA_RESERVED_EVENT');
    }
    expect(nyotaErrorOf(() => server.send(name)).code).toBe('NYOTA_RESERVED_EVENT');
  });
});
