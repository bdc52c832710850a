/**
 * This service's own port: answers the status check, and takes messages that are sent here directly, past ExoCom. They
 * have no sender that anybody verified.
 */
import { type AnyContract, createServer, type NyotaError, type Server } from '../index.js';
import { type Message, readMessage, STATUS, STATUS_OK } from './message.js';
import type { ResolvedRelayOptions } from './options.js';

export interface OwnPortHooks {
  /** A message; `respond` sends a reply to whoever sent it. */
  message(message: Message, respond: (reply: Message) => void): void;
  /** Something that is no message. */
  malformed(text: string): void;
  listening(port: number): void;
  error(error: Error): void;
}

interface DirectContract extends AnyContract {
  toServer: { 'exo.message': (message: unknown) => void; [STATUS]: () => string };
  toClient: { 'exo.deliver': (message: Message) => void; [STATUS_OK]: () => void };
}

const MAX_SESSIONS = 1_000;

export class OwnPort {
  readonly #server: Server<DirectContract>;

  constructor(options: ResolvedRelayOptions, hooks: OwnPortHooks) {
    const { listenTls, authenticate, createServer: make, limits, clock, drainTimeoutMs } = options;
    this.#server = createServer<DirectContract>(
      {
        ...limits,
        maxSessions: MAX_SESSIONS,
        drainTimeoutMs,
        clock,
        ...(listenTls !== undefined && { tls: listenTls }),
        ...(authenticate !== undefined && { authenticate }),
        ...(make !== undefined && { createServer: make }),
      },
      (session) => {
        session.on('error', (error) => hooks.error(error));
        session.on(STATUS, () => void session.send(STATUS_OK));
        session.handle(STATUS, () => STATUS_OK);
        session.on('exo.message', (value) => {
          const message = readMessage(value);
          if (typeof message === 'string') hooks.malformed(message);
          else hooks.message(message, (reply) => void session.send('exo.deliver', reply));
        });
      },
    );
    this.#server.on('error', (error: NyotaError) => hooks.error(error));
    this.#server.on('listening', () => {
      const address = this.#server.address();
      if (typeof address === 'object' && address !== null) hooks.listening(address.port);
    });
  }

  /** @throws NyotaError `NYOTA_INVALID_OPTION` for a port that can't be */
  listen(port: number, host: string): void {
    this.#server.listen(port, host);
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  destroy(): void {
    this.#server.destroy();
  }
}
