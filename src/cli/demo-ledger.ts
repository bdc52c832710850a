/**
 * What one end of a link has handled, and what became of its requests. The server's is kept in a file as well, one line for each
 * thing, written before the listener returns: its process is killed in the middle of its work, and what it had handled by then counts.
 */
import { existsSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Delivered } from './demo-messages.js';

/** A line's first letter. */
const PROCESS = 'p';
const EVENT = 'e';
const REQUEST = 'r';
const ANSWERED = 'a';
const FAILED = 'f';

export class Ledger {
  readonly #file: number | undefined;
  /** One for each process that handled any, the oldest first. */
  readonly events: Delivered[][] = [];
  readonly requests: Delivered[][] = [];
  readonly roundTripsMs: number[] = [];
  failed = 0;
  #count = 0;
  #firstAt = 0;
  #lastAt = 0;

  /** @param path where a process before this one may have kept it; without one it is in memory alone */
  constructor(path?: string) {
    if (path !== undefined) {
      // A line in the middle of which the process died does not count.
      const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
      for (const line of lines) this.#note(line);
      this.#file = openSync(path, 'a');
    }
    this.#write(PROCESS);
  }

  /** Events handled. */
  get count(): number {
    return this.#count;
  }

  /** From the first event to the last. */
  get handledMs(): number {
    return this.#lastAt - this.#firstAt;
  }

  event(n: number, redelivered: boolean): void {
    this.#write(EVENT, n, Number(redelivered), Date.now());
  }

  request(n: number, redelivered: boolean): void {
    this.#write(REQUEST, n, Number(redelivered));
  }

  answered(roundTripMs: number): void {
    this.#write(ANSWERED, roundTripMs);
  }

  requestFailed(): void {
    this.#write(FAILED);
  }

  #write(what: string, ...values: number[]): void {
    const line = [what, ...values].join(' ');
    // When this returns the system has it: it survives the process, though not the machine.
    if (this.#file !== undefined) writeSync(this.#file, `${line}\n`);
    this.#note(line);
  }

  #note(line: string): void {
    const [what, value, redelivered, at] = line.split(' ');
    const delivered = { n: Number(value), redelivered: redelivered === '1' };
    if (what === EVENT) {
      this.events.at(-1)?.push(delivered);
      this.#lastAt = Number(at);
      if (this.#count === 0) this.#firstAt = this.#lastAt;
      this.#count++;
    } else if (what === REQUEST) this.requests.at(-1)?.push(delivered);
    else if (what === ANSWERED) this.roundTripsMs.push(Number(value));
    else if (what === FAILED) this.failed++;
    else {
      this.events.push([]);
      this.requests.push([]);
    }
  }
}
