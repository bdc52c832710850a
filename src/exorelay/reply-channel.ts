/**
 * Replies on their way to a stream's consumer. Pure: a queue with one reader.
 *
 * Up to `AHEAD` replies are taken in ahead of the consumer. Those beyond count as handled only once they are read, and
 * so the service that sends them is slowed down (`drained()`) instead of this process being filled.
 */
import type { NyotaError } from '../index.js';

const AHEAD = 256;

interface Queued<T> {
  readonly reply: T;
  readonly read: (() => void) | undefined;
}

export class ReplyChannel<T> {
  #queue: Queued<T>[] = [];
  #end: { readonly error: NyotaError | undefined } | undefined;
  #wake: (() => void) | undefined;

  /** A promise where the reply is handled only once it is read. */
  push(reply: T): Promise<void> | undefined {
    if (this.#end !== undefined) return undefined;
    if (this.#queue.length < AHEAD) {
      this.#queue.push({ reply, read: undefined });
      this.#wake?.();
      return undefined;
    }
    return new Promise((resolve) => this.#queue.push({ reply, read: resolve }));
  }

  /** Nothing follows. What has come can still be read; then the reader gets the error, if there is one. */
  end(error?: NyotaError): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  /** The reader has left: what is queued counts as handled. */
  discard(): void {
    this.end();
    for (const { read } of this.#queue.splice(0)) read?.();
  }

  /** The next reply; undefined at the end. */
  async next(): Promise<T | undefined> {
    while (this.#queue.length === 0) {
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const queued = this.#queue.shift();
    queued?.read?.();
    return queued?.reply;
  }
}
