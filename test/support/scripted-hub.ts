/**
 * A hub for the tests of a relay alone: registers whoever comes, and then does what the test says. Nothing is routed,
 * accepted or answered by itself, unless `accepting` is on.
 */

import {
  type DeliveredEnvelope,
  type Handled,
  type Message,
  openEnvelope,
  type Rejection,
  type RelayContract,
  sealMessage,
} from '../../src/exorelay/message.js';
import { createServer, type Server, type Session } from '../../src/index.js';

export class ScriptedHub {
  readonly server: Server<RelayContract>;
  readonly sessions: Session<RelayContract>[] = [];
  readonly registrations: unknown[] = [];
  readonly awaited: unknown[] = [];
  readonly messages: Message[] = [];
  readonly handled: Handled[] = [];
  readonly cancelled: string[] = [];
  left = 0;
  /** Accepts every message as it comes. */
  accepting = true;
  credentials: unknown;
  #port = 0;
  #changed: (() => void)[] = [];

  constructor(hub = 'hub-1') {
    this.server = createServer<RelayContract>(
      {
        authenticate: (credentials) => {
          this.credentials = credentials;
          return credentials;
        },
      },
      (session) => {
        this.sessions.push(session);
        session.on('error', () => {});
        session.on('exo.register', (registration) => {
          this.registrations.push(registration);
          session.send('exo.registered');
          this.#tell();
        });
        session.on('exo.awaiting', (awaited) => {
          this.awaited.push(...awaited);
          this.#tell();
        });
        session.on('exo.message', (envelope) => {
          this.messages.push(openEnvelope(envelope));
          if (this.accepting) session.send('exo.accepted', { id: envelope.id });
          this.#tell();
        });
        session.on('exo.handled', (handled) => {
          this.handled.push(handled);
          this.#tell();
        });
        session.on('exo.cancel', ({ id }) => {
          this.cancelled.push(id);
          this.#tell();
        });
        session.on('exo.leave', () => {
          this.left++;
          this.#tell();
        });
        session.send('exo.hello', { hub });
      },
    );
  }

  get port(): number {
    return this.#port;
  }

  listen(port = 0): Promise<this> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', () => {
        this.#port = (this.server.address() as { port: number }).port;
        resolve(this);
      });
    });
  }

  /** To the newest session. */
  deliver(message: Partial<Message> & { name: string; id: string }, sender = 'web'): void {
    this.deliverAsIs(sealMessage({ activityId: 'activity', sender, ...message }));
  }

  /** What no hub would send, too. */
  deliverAsIs(envelope: DeliveredEnvelope): void {
    this.session.send('exo.deliver', envelope);
  }

  accept(id: string): void {
    this.session.send('exo.accepted', { id });
  }

  reject(rejection: Rejection): void {
    this.session.send('exo.rejected', rejection);
  }

  get session(): Session<RelayContract> {
    const session = this.sessions[this.sessions.length - 1];
    if (session === undefined) throw new Error('no relay has connected');
    return session;
  }

  /** Resolves with the nth message of that name. */
  async message(name: string, nth = 1): Promise<Message> {
    const found = (): Message | undefined => this.messages.filter((one) => one.name === name)[nth - 1];
    await this.until(() => found() !== undefined);
    return found() as Message;
  }

  /** Resolves once it is so; asked whenever something arrives. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!done()) return;
        this.#changed = this.#changed.filter((other) => other !== check);
        resolve();
      };
      this.#changed.push(check);
      check();
    });
  }

  #tell(): void {
    for (const check of [...this.#changed]) check();
  }
}

/** Resolves with what the next event of that name brings. */
export function next<T = unknown>(
  emitter: { once(event: never, listener: (value: T) => void): unknown },
  event: string,
): Promise<T> {
  return new Promise((resolve) => emitter.once(event as never, resolve));
}
