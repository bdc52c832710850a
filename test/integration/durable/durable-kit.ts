/**
 * Servers and clients over durable stores. Each store is tested through `STORES`: `open()` gives what a process that starts
 * would open, on the content that those before it have left. A process that dies is `destroy()`: nothing of it is finished.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import {
  type Client,
  type ClientOptions,
  createClient,
  createServer,
  MemoryStore,
  type NyotaError,
  type Server,
  type ServerOptions,
  type Session,
  type SessionStore,
} from '../../../src/index.js';
import { lmdbStore } from '../../../src/stores/lmdb/index.js';
import { FAST, portOf } from '../../support/delivery-pair.js';
import { eventually, once, turns } from '../../support/delivery-wait.js';

export interface Shelf {
  open(): SessionStore;
  /** Resolves once nothing is being written any more: a real process takes what it has not written with it when it dies. */
  settled(): Promise<void>;
}

/** For `describe.each`: a name, and what makes an empty one. */
export const STORES: [string, () => Shelf][] = [
  [
    'MemoryStore, durable',
    () => {
      const store = new MemoryStore({ durable: true });
      return { open: () => store, settled: async () => {} };
    },
  ],
  [
    'lmdbStore',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'nyota-durable-'));
      const writes = new Set<Promise<unknown>>();
      const settled = async (): Promise<void> => {
        while (writes.size > 0) await Promise.allSettled(writes);
      };
      onTestFinished(async () => {
        await settled();
        rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
      });
      return { open: () => watched(lmdbStore({ path: join(folder, 'sessions') }), writes), settled };
    },
  ],
];

/** A store whose promises are in `pending` until they settle, and a moment longer: one write may lead to the next. */
function watched(store: SessionStore, pending: Set<Promise<unknown>>): SessionStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const result: unknown = value.apply(target, args);
        if (!(result instanceof Promise)) return result;
        const done = result.catch(() => {}).then(() => turns(1));
        pending.add(done);
        void done.then(() => pending.delete(done));
        return result;
      };
    },
  });
}

/** What a server's user sees. */
export interface Service {
  readonly server: Server;
  readonly port: number;
  /** What `onSession` was given, in order. */
  readonly began: { readonly session: Session; readonly resumed: boolean }[];
  readonly errors: NyotaError[];
  /** The session that began last. */
  readonly session: Session;
  /** Abrupt, and done when the port is free. */
  destroy(): Promise<void>;
}

/** A server process that listens; destroyed when the test is over. */
export async function serve(
  store: SessionStore,
  onSession: (session: Session, resumed: boolean) => void = () => {},
  { port = 0, ...options }: ServerOptions & { port?: number } = {},
): Promise<Service> {
  const began: { session: Session; resumed: boolean }[] = [];
  const errors: NyotaError[] = [];
  const server = createServer({ store, ...options }, (session, resumed) => {
    began.push({ session, resumed });
    session.on('error', (error) => errors.push(error));
    onSession(session, resumed);
  });
  server.on('error', (error) => errors.push(error));
  const closed = once(server, 'close');
  closed.catch(() => {}); // only those who wait for it are concerned
  onTestFinished(async () => {
    server.destroy();
    await closed;
  });
  const listening = once(server, 'listening');
  server.listen(port, '127.0.0.1');
  await listening;
  return {
    server,
    port: portOf(server),
    began,
    errors,
    get session() {
      const last = began.at(-1);
      if (last === undefined) throw new Error('there is no session');
      return last.session;
    },
    async destroy() {
      server.destroy();
      await closed;
    },
  };
}

/** What a client's user sees. */
export interface Caller {
  readonly client: Client;
  readonly errors: NyotaError[];
  /** Sessions, gaps and invalidations: what should not come while a session lives. */
  readonly losses: unknown[];
}

/** A client process; destroyed when the test is over. Its first session is no loss. */
export function call(port: number | (() => number), options: ClientOptions = {}): Caller {
  const errors: NyotaError[] = [];
  const losses: unknown[] = [];
  const client = createClient({
    // Asked at every attempt: servers come and go.
    createConnection: () => connect({ port: typeof port === 'number' ? port : port(), host: '127.0.0.1' }),
    reconnect: FAST,
    ...options,
  });
  client.on('error', (error) => errors.push(error));
  client.on('session', ({ reason }) => reason !== undefined && losses.push(['session', reason.code]));
  client.on('gap', ({ uncertain, lost, reason }) => losses.push(['gap', uncertain, lost, reason.code]));
  client.on('sessionInvalidated', () => losses.push(['invalidated']));
  onTestFinished(() => client.destroy());
  return { client, errors, losses };
}

/** Resolves once the client is connected, whether it was before or not. */
export function connected(client: Client): Promise<void> {
  return eventually(() => client.connected, 'the client is connected');
}

/** Resolves once all messages of a session up to this number are in the store. */
export function written(store: SessionStore, id: string, seq: number): Promise<void> {
  let last: number | undefined;
  const look = async (): Promise<void> => {
    last = (await store.load(id))?.lastSeq;
  };
  return eventually(
    () => {
      void look();
      return last === seq;
    },
    () => `message ${seq} is in the store: ${last}`,
  );
}

/** A store that does something of its own, and has the rest done by another. */
export function wrapped(store: SessionStore, own: Partial<SessionStore>): SessionStore {
  return new Proxy(store, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name as keyof SessionStore];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
