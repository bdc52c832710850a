/**
 * A short session that has everything in it: events, a request and a store write each way, begun before the client is
 * connected. What comes out of it is compared as a whole, so that a test that cuts it somewhere sees all that went wrong.
 */
import { type ClientOptions, createClient, createServer, type ServerOptions } from '../../src/index.js';
import { FAST } from './delivery-pair.js';
import { eventually } from './delivery-wait.js';

export interface ShortSession {
  /** What was dispatched, in order, at each side. */
  readonly atServer: unknown[];
  readonly atClient: unknown[];
  /** What each side was answered, or the error. */
  readonly replies: { toClient?: unknown; toServer?: unknown };
  readonly handled: { byServer: number; byClient: number };
  readonly stores: { server: unknown; client: unknown };
  readonly sessions: { begun: number; held: number };
  /** 'gap', 'sessionInvalidated', errors, messages nobody listened to: none belong here. */
  readonly problems: unknown[];
}

/** What must come out, wherever the connection was cut. */
export const WHOLE: ShortSession = {
  atServer: ['one', 'two', 'three'],
  atClient: ['one', 'two', 'three'],
  replies: { toClient: 'for the client', toServer: 'for the server' },
  handled: { byServer: 1, byClient: 1 },
  stores: { server: { up: 1, down: 2 }, client: { up: 1, down: 2 } },
  sessions: { begun: 1, held: 1 },
  problems: [],
};

export interface Link {
  readonly server: ServerOptions;
  readonly client: ClientOptions;
  /** Given the server's port, the one that the client is to dial, and how to end what is in between. */
  connect(port: number): Promise<{ port: number; close(): Promise<void> }>;
}

/** Runs it over a link that may break, to the end. */
export async function runShortSession(link: Link): Promise<ShortSession> {
  const result: ShortSession = {
    atServer: [],
    atClient: [],
    replies: {},
    handled: { byServer: 0, byClient: 0 },
    stores: { server: undefined, client: undefined },
    sessions: { begun: 0, held: 0 },
    problems: [],
  };
  const { replies, handled, problems } = result;
  const settled = (side: 'toClient' | 'toServer', reply: Promise<unknown>): void => {
    const settle = (value: unknown): void => {
      if (side in replies) problems.push(['settled twice', side]);
      replies[side] = value;
    };
    reply.then(settle, settle);
  };

  const server = createServer(link.server, (session) => {
    result.sessions.begun++;
    session.on('error', (error) => problems.push(error));
    session.on('unhandled', (event) => problems.push(['unhandled', event]));
    session.on('event', (text: string) => {
      result.atServer.push(text);
    });
    session.handle('ask', () => {
      handled.byServer++;
      return 'for the client';
    });
    session.send('event', 'one');
    session.set('down', 2);
    session.send('event', 'two');
    settled('toServer', session.request('ask'));
    session.send('event', 'three');
  });
  const listening = new Promise<void>((resolve) => server.once('listening', resolve));
  server.listen(0, '127.0.0.1');
  await listening;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const between = await link.connect(address.port);

  const client = createClient({ port: between.port, host: '127.0.0.1', reconnect: FAST, ...link.client });
  for (const event of ['error', 'gap', 'sessionInvalidated', 'unhandled'] as const) {
    client.on(event, (...args: unknown[]) => problems.push([event, ...args]));
  }
  client.on('event', (text: string) => {
    result.atClient.push(text);
  });
  client.handle('ask', () => {
    handled.byClient++;
    return 'for the server';
  });
  client.send('event', 'one');
  settled('toClient', client.request('ask'));
  client.send('event', 'two');
  client.set('up', 1);
  client.send('event', 'three');

  try {
    const done = (): boolean =>
      result.atServer.length >= 3 && result.atClient.length >= 3 && Object.keys(replies).length === 2;
    await eventually(done, () => `the end of ${JSON.stringify(result)}`);
    const [session] = [...server.sessions.values()];
    await Promise.all([client.store.synced(), session?.store.synced()]);
    // Whatever would be dispatched twice has come by the time that one more message has been there and back.
    await Promise.all([client.request('ask'), session?.request('ask')]);
    handled.byServer--;
    handled.byClient--;
    Object.assign(result.stores, { server: session?.get(), client: client.get() });
    for (const [side, store] of Object.entries(result.stores)) {
      Object.assign(result.stores, { [side]: { ...(store as object) } });
    }
    result.sessions.held = server.sessions.size;
    return result;
  } finally {
    client.destroy();
    server.destroy();
    await between.close();
  }
}
