/**
 * What was accepted, and what has become of it: the books against which every dispatch, acknowledgement and reply of a
 * simulated run is checked at the moment it happens.
 *
 * A line of the books is one direction of a session's life: everything that a client sends, through all of its sessions; or
 * what a server's session sends. Its records are in the order in which they were accepted.
 */
import type { Side } from './plan.js';
import type { SimProcess } from './sim-process.js';

/** Why a message need not be dispatched. `void`, `withdrawn`: it must not be. */
export type Excuse = 'void' | 'withdrawn' | 'uncertain' | 'maybe';

export interface Sent {
  readonly uid: number;
  readonly kind: 'event' | 'request';
  readonly from: Side;
  readonly line: Line;
  readonly index: number;
  readonly size: number;
  /** Its number in the session it is queued in, as its sender knows it. */
  seq: number;
  excuse: Excuse | undefined;
  /** Dispatched, in a way that no crash has undone. */
  done: boolean;
  /** Its listeners or its handler have finished. */
  settled: boolean;
  dispatched: number;
  /** Of the last dispatch. */
  deliveryId: string | undefined;
  /** How often `onAck` was called, or a request settled. */
  answers: number;
  wantsAnswer: boolean;
  acked: boolean;
  /** A client's store has held it. */
  stored: boolean;
}

/** One Session object of a server's. */
export interface SessionLife {
  closed: boolean;
  /** It has reported that it lost what it had taken in last. */
  told: boolean;
  /** Messages that it must report before it closes: no store has them. */
  readonly owes: number[];
}

export class Line {
  readonly name: string;
  readonly records: Sent[] = [];
  /** The process that had its session last. */
  holder: SimProcess | undefined;
  /** What the holder's session has told of itself. */
  life: SessionLife | undefined;
  /** All before it are done or excused. */
  floor = 0;

  constructor(name: string) {
    this.name = name;
  }
}

export interface Arrival {
  readonly uid: number;
  readonly redelivered: boolean;
  readonly deliveryId: string | undefined;
  /** Which object dispatched it, for the text. */
  readonly at: string;
  /** Its process has lost the session, and does not know yet: what it does counts for nothing. */
  readonly stale: boolean;
  readonly size: number;
}

export class Books {
  readonly lines: Line[] = [];
  readonly #records: Sent[] = [];
  readonly #fail: (invariant: string, text: string) => void;

  constructor(fail: (invariant: string, text: string) => void) {
    this.#fail = fail;
  }

  line(name: string): Line {
    const line = new Line(name);
    this.lines.push(line);
    return line;
  }

  get nextUid(): number {
    return this.#records.length;
  }

  get sent(): number {
    return this.#records.length;
  }

  accept(
    line: Line,
    kind: 'event' | 'request',
    from: Side,
    size: number,
    seq: number,
    wantsAnswer: boolean,
  ): Sent {
    const record: Sent = {
      uid: this.#records.length,
      kind,
      from,
      line,
      index: line.records.length,
      size,
      seq,
      excuse: undefined,
      done: false,
      settled: false,
      dispatched: 0,
      deliveryId: undefined,
      answers: 0,
      wantsAnswer,
      acked: false,
      stored: false,
    };
    this.#records.push(record);
    line.records.push(record);
    return record;
  }

  find(uid: number): Sent | undefined {
    return this.#records[uid];
  }

  /** A listener or a handler is called. */
  dispatched({ uid, redelivered, deliveryId, at, stale, size }: Arrival): Sent | undefined {
    const record = this.#records[uid];
    if (record === undefined) {
      this.#fail('same bytes', `${at} was given the message ${uid}, which nobody sent`);
      return undefined;
    }
    const text = `${at}: message ${uid} (${record.line.name} #${record.index})`;
    if (record.size !== size)
      this.#fail('same bytes', `${text} came with ${size} bytes instead of ${record.size}`);
    record.dispatched++;
    if (stale) return record;
    if (record.excuse !== undefined && record.excuse !== 'maybe') {
      this.#fail('exactly once', `${text} was dispatched although it was ${record.excuse}`);
    }
    if (record.done) this.#fail('exactly once', `${text} was dispatched again`);
    if (record.dispatched > 1 && !redelivered)
      this.#fail('redelivery', `${text} came again without the flag`);
    if (redelivered && record.deliveryId !== undefined && record.deliveryId !== deliveryId)
      this.#fail('redelivery', `${text} came again as ${deliveryId} instead of ${record.deliveryId}`);
    record.deliveryId = deliveryId;
    record.done = true;
    this.#checkBefore(record, text);
    return record;
  }

  /**
   * A message need not be dispatched, or must not be. One that is dispatched already may be undone by a crash of its
   * receiver: then it need not be dispatched again where it is given up by now.
   */
  excuse(record: Sent, excuse: Excuse): void {
    if (record.excuse !== undefined && record.excuse !== 'maybe') return;
    if (record.done && excuse !== 'maybe') return;
    record.excuse = excuse;
  }

  /** Its receiver has died: what had not been kept is to be dispatched again. */
  reopen(line: Line, isKept: (record: Sent) => boolean): void {
    for (const record of line.records) {
      if (!record.done || isKept(record)) continue;
      record.done = false;
      record.settled = false;
      line.floor = Math.min(line.floor, record.index);
      if (record.acked)
        this.#fail(
          'no loss after an ack',
          `message ${record.uid} (${line.name}) was acknowledged and is forgotten`,
        );
    }
  }

  /**
   * An `onAck` was called, or a request settled.
   *
   * @param told the session is over, and its server says up to where it had dispatched: listeners may be running yet
   */
  answered(record: Sent, error: unknown, told: boolean): void {
    record.answers++;
    if (record.answers > 1)
      this.#fail('answers', `message ${record.uid} (${record.line.name}) was answered twice`);
    if (error !== undefined || record.kind === 'request') return;
    record.acked = true;
    if (!record.done || (!record.settled && !told))
      this.#fail('ack', `message ${record.uid} (${record.line.name}) was acknowledged and is not handled`);
  }

  /** What is missing of a line, once everything is at rest. */
  checkAtRest(line: Line): void {
    for (const record of line.records) {
      if (record.done || record.excuse !== undefined) continue;
      this.#fail('no loss', `message ${record.uid} (${line.name} #${record.index}) was never dispatched`);
      return;
    }
  }

  #checkBefore({ line, index }: Sent, text: string): void {
    const { records } = line;
    for (let at = line.floor; at < index; at++) {
      const before = records[at] as Sent;
      if (before.done || before.excuse !== undefined) continue;
      const invariant = records.slice(index).some(({ done }, i) => i > 0 && done) ? 'same order' : 'no loss';
      this.#fail(invariant, `${text} was dispatched before message ${before.uid} (#${before.index})`);
      return;
    }
    while (line.floor < records.length) {
      const { done, excuse } = records[line.floor] as Sent;
      if (!done && excuse === undefined) break;
      line.floor++;
    }
  }
}
