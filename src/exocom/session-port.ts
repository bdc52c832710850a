/**
 * The way to a relay over its nyota session: what the hub says, and what to do where the relay does not take it.
 */
import type { DeliveredEnvelope, MessageRef, Rejection, RelayContract } from '../exorelay/message.js';
import { readRefs } from '../exorelay/message.js';
import { NyotaError, type Session } from '../index.js';
import type { RelayPort } from './instance.js';

export class SessionPort implements RelayPort {
  readonly #session: Session<RelayContract>;
  readonly #answerMs: number;

  /** @param answerMs how long the relay may take to say what it knows */
  constructor(session: Session<RelayContract>, answerMs: number) {
    this.#session = session;
    this.#answerMs = Math.max(1, answerMs);
  }

  get connected(): boolean {
    return this.#session.connected;
  }

  deliver(envelope: DeliveredEnvelope): 'sent' | 'slow' | 'full' | 'impossible' {
    if (this.#over) return 'full';
    try {
      return this.#session.send('exo.deliver', envelope) ? 'sent' : 'slow';
    } catch (error) {
      const full = error instanceof NyotaError && ['NYOTA_OUTBOX_FULL', 'NYOTA_CLOSED'].includes(error.code);
      return full ? 'full' : 'impossible';
    }
  }

  registered(): void {
    this.#tell(() => this.#session.send('exo.registered'));
  }

  accepted(id: string): void {
    this.#tell(() => this.#session.send('exo.accepted', { id }));
  }

  rejected(rejection: Rejection): void {
    this.#tell(() => this.#session.send('exo.rejected', rejection));
  }

  cancel(ref: MessageRef): void {
    this.#tell(() => this.#session.send('exo.cancel', ref));
  }

  async known(refs: readonly MessageRef[]): Promise<readonly MessageRef[]> {
    const session = this.#session.with({ timeoutMs: this.#answerMs });
    return readRefs(await session.request('exo.known', refs));
  }

  pause(): void {
    if (!this.#over) this.#session.pause();
  }

  resume(): void {
    if (!this.#over) this.#session.resume();
  }

  invalidate(): void {
    this.#session.invalidate();
  }

  get #over(): boolean {
    return this.#session.state === 'dead';
  }

  /** A relay that does not even take answers has stopped reading: it begins anew, and sends again what it has no answer to. */
  #tell(send: () => unknown): void {
    if (this.#over) return;
    try {
      send();
    } catch {
      this.#session.invalidate();
    }
  }
}
