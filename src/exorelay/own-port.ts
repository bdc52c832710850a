/**
 * This service's own port: answers the status check, and takes messages that are sent here directly, past ExoCom. They have no
 * sender that anybody verified, their values are not encoded apart, and replies go back the way they came and are kept nowhere.
 */
import { randomUUID } from 'node:crypto';
import { type AnyContract, createServer, encode, NyotaError, type Server, type Session } from '../index.js';
import { sendFault } from './arguments.js';
import type { Sent } from './contract.js';
import type { Inbound } from './inbound.js';
import { type Message, readMessage, STATUS, STATUS_OK } from './message.js';
import type { ResolvedRelayOptions } from './options.js';

interface DirectContract extends AnyContract {
  toServer: { 'exo.message': (message: unknown) => void; [STATUS]: () => string };
  toClient: { 'exo.deliver': (message: Message) => void; [STATUS_OK]: () => void };
}

const MAX_SESSIONS = 1_000;

export class OwnPort {
  readonly #options: ResolvedRelayOptions;
  readonly #inbound: Inbound;
  readonly #report: (error: Error) => void;
  readonly #server: Server<DirectContract>;

  constructor(options: ResolvedRelayOptions, inbound: Inbound, report: (error: Error) => void) {
    this.#options = options;
    this.#inbound = inbound;
    this.#report = report;
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
      (session) => this.#serve(session),
    );
  }

  /** Resolves with the port, once it listens there. Rejects where it can't be had. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let decided = false;
      this.#server.on('error', (error) => {
        if (decided) this.#report(error);
        decided = true;
        reject(error);
      });
      this.#server.listen(port, this.#options.listenHost, () => {
        decided = true;
        const address = this.#server.address();
        if (typeof address === 'object' && address !== null) resolve(address.port);
      });
    });
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  destroy(): void {
    this.#server.destroy();
  }

  #serve(session: Session<DirectContract>): void {
    session.on('error', (error) => this.#report(error));
    session.on(STATUS, () => void session.send(STATUS_OK));
    session.handle(STATUS, () => STATUS_OK);
    session.on('exo.message', (value) => {
      const message = readMessage(value);
      if (typeof message === 'string') this.#report(new NyotaError('NYOTA_INVALID_ARGUMENT', message));
      else {
        this.#inbound.direct(message, (name, payload, last) =>
          this.#reply(session, message, name, payload, last),
        );
      }
    });
  }

  /** Faults are `error` events. */
  #reply(
    session: Session<DirectContract>,
    { id: responseTo, activityId, auth }: Message,
    name: unknown,
    payload: unknown,
    last: boolean,
  ): Sent {
    const { serviceName, clock } = this.#options;
    const id = randomUUID();
    try {
      const fault = sendFault(name, payload, 'reply');
      if (fault !== undefined) throw fault;
      session.send('exo.deliver', {
        id,
        name: name as string,
        ...(payload !== undefined && { payload: encode(payload, { name: 'payload' }) }),
        activityId,
        ...(auth !== undefined && { auth }),
        responseTo,
        causedBy: responseTo,
        ...(last && { last }),
        sender: serviceName,
        timestamp: Math.round(clock.now()),
      });
    } catch (error) {
      this.#report(error as NyotaError);
    }
    return { id, activityId };
  }
}
