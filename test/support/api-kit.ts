/**
 * What the tests of the public API share: servers and clients that are gone after each test, and waiting for events
 * with a failure that says what was waited for. Uses the public exports only.
 */
import type { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import {
  type AnyContract,
  type Client,
  type ClientOptions,
  createClient,
  createServer,
  NyotaError,
  type Peer,
  type PeerEvents,
  type Server,
  type ServerOptions,
  type Session,
} from '../../src/index.js';
import { deferred } from './deferred.js';

export { deferred };

/** How long a test waits for what must happen, in ms. */
const PATIENCE_MS = 5_000;

interface Emits {
  once(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** The arguments of the next such event; rejects, naming it, where it does not come. */
export function once<A extends unknown[] = unknown[]>(emitter: object, event: string): Promise<A> {
  const emits = emitter as Emits;
  const promise = new Promise<A>((resolve, reject) => {
    const heard = (...args: unknown[]): void => {
      clearTimeout(timer);
      resolve(args as A);
    };
    const timer = setTimeout(() => {
      emits.off(event, heard);
      reject(new Error(`no '${event}' within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    emits.once(event, heard);
  });
  // Where a test fails before it looks here, that failure is the one to show.
  promise.catch(() => {});
  return promise;
}

/** The promise's value; rejects, naming it, where it does not settle. */
export function within<T>(promise: PromiseLike<T>, what: string, ms = PATIENCE_MS): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error as Error);
      },
    );
  });
}

/** What the call throws; a failure where it throws nothing. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

/** The NyotaError that the call throws. */
export function nyotaErrorOf(call: () => unknown): NyotaError {
  const error = thrownBy(call);
  if (error instanceof NyotaError) return error;
  throw new Error('something else than a NyotaError was thrown', { cause: error });
}

/** What the promise rejects with; a failure where it resolves. */
export async function rejectionOf(promise: PromiseLike<unknown>): Promise<Error & { code?: unknown }> {
  try {
    await within(promise, 'the rejection');
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not reject');
}

/** Every text and code along the error's causes, for "somewhere it says why". */
export function causesOf(error: unknown): string {
  const said: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    said.push(`${(at as { code?: unknown }).code} ${at.message}`);
    if (at instanceof AggregateError) said.push(...at.errors.map(causesOf));
  }
  return said.join(' < ');
}

/** The port at which a server listens. */
export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error(`no port: ${address}`);
}

/** A client, its session on the server, and the server. */
export interface Pair {
  readonly server: Server;
  readonly client: Client;
  readonly session: Session;
  readonly port: number;
}

/** Either side, without a contract: a client and a session are both one. */
export type AnyPeer = Peer<
  AnyContract['toServer'],
  AnyContract['toClient'],
  AnyContract['state'],
  PeerEvents
>;

/** Both sides, for what must hold on either: [who sends, who receives], by name. */
export const DIRECTIONS = [
  ['client', 'session'],
  ['session', 'client'],
] as const;

interface Closable {
  destroy(): unknown;
}

/** Call once at the top of a file. All that is made through it is destroyed after each test. */
export function useKit() {
  const opened: Closable[] = [];
  const cleanups: Array<() => unknown> = [];
  /** The `error` events that no test asked for. */
  const errors: unknown[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0).reverse()) one.destroy();
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    errors.length = 0;
  });

  /** Something with `destroy()`, to be destroyed after the test. */
  function own<T extends Closable>(one: T): T {
    opened.push(one);
    return one;
  }

  /** Collects the `error` events of a peer, so that none becomes a process warning. */
  function quiet<T extends object>(peer: T): T {
    (peer as Emits & EventEmitter).on('error', (error: unknown) => errors.push(error));
    return peer;
  }

  /** A server that listens on a free port of this machine. */
  async function listening(
    options: ServerOptions = {},
    onSession?: (session: Session, resumed: boolean) => void,
  ): Promise<Server> {
    const server = own(quiet(createServer(options, onSession)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }

  /** A client with short delays between its attempts, unless the options say otherwise. */
  function client(options: ClientOptions): Client {
    return own(
      quiet(createClient({ host: '127.0.0.1', reconnect: { minDelayMs: 1, maxDelayMs: 20 }, ...options })),
    );
  }

  /** A client that is connected, and its session. */
  async function pair(
    options: { server?: ServerOptions; client?: ClientOptions; onSession?: (session: Session) => void } = {},
  ): Promise<Pair> {
    const began = deferred<Session>();
    const server = await listening(options.server, (session) => {
      quiet(session);
      options.onSession?.(session);
      began.resolve(session);
    });
    const port = portOf(server);
    const connecting = client({ port, ...options.client });
    await once(connecting, 'connect');
    return { server, client: connecting, session: await within(began.promise, 'the session'), port };
  }

  /** A client and its session as `here` and `there`, for what must hold on either side. */
  async function sides(
    here: 'client' | 'session',
    there: 'client' | 'session',
  ): Promise<Pair & { here: AnyPeer; there: AnyPeer }> {
    const both = await pair();
    return { here: both[here], there: both[there], ...both };
  }

  return {
    own,
    quiet,
    errors,
    listening,
    client,
    pair,
    sides,
    /** Runs after the test. */
    cleanup: (fn: () => unknown): void => {
      cleanups.push(fn);
    },
  };
}

/** Cuts the client's connection from the server's side, and waits until the session is attached again. */
export async function cut(session: Session, client: Client): Promise<void> {
  const back = Promise.all([once(session, 'connect'), once(client, 'connect')]);
  session.socket?.destroy();
  await back;
}

/** The process warnings of nyota's that come while `body` runs, and a turn later. */
export async function warningsDuring(body: () => unknown): Promise<Array<Error & { code?: string }>> {
  const heard: Array<Error & { code?: string }> = [];
  const listen = (warning: Error): void => {
    if (warning.name === 'NyotaWarning') heard.push(warning);
  };
  process.on('warning', listen);
  try {
    await body();
    // emitWarning speaks on the next tick.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', listen);
  }
  return heard;
}
