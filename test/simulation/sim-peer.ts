/**
 * What both sides of a simulated session do: listen, handle, send, ask, write to the store; and tell the books of it.
 */
import type { Client } from '../../src/client/client.js';
import type { Session } from '../../src/server/session.js';
import type { Line, Sent } from './books.js';
import type { Listening, Side, Step } from './plan.js';
import { type Context, coreOf, ON_PURPOSE } from './sim-context.js';
import type { SimProcess } from './sim-process.js';

type SendStep = Extract<Step, { do: 'send' }>;
type RequestStep = Extract<Step, { do: 'request' }>;

export type AnyPeer = Client | Session;

/** What a request may fail with. */
const REFUSALS: ReadonlySet<string> = new Set([
  'NYOTA_TIMEOUT',
  'NYOTA_ABORTED',
  'NYOTA_EXPIRED',
  'NYOTA_SESSION_LOST',
  'NYOTA_CLOSED',
  'NYOTA_SERVER_CLOSING',
  // The reply did not fit into the other side's outbox.
  'NYOTA_OUTBOX_FULL',
]);

export interface PeerHost {
  readonly side: Side;
  readonly name: string;
  readonly process: SimProcess;
  /** The line that this side's messages go to. */
  line(): Line;
  /** The session has another owner by now. */
  stale(): boolean;
  /** A message was accepted. */
  accepted(record: Sent): void;
  /** Throws nothing: tells the books where the message should not have left its sender yet. */
  checkStored(record: Sent): void;
}

const OWN_KEY = { client: 'c', server: 's' } as const;

export class SimPeer {
  readonly peer: AnyPeer;
  readonly host: PeerHost;
  readonly #context: Context;
  /** The last value that this side wrote to its own key. */
  ownValue = 0;
  /** `send` returned false, or the outbox was full: 'drain' must follow. */
  wantsDrain = false;
  readonly asked: Sent[] = [];
  /** A new session begins: its revisions begin anew. */
  renewing = false;
  /** One has begun: what went along hides the server's values until it is decided. */
  renewed = false;
  /** The highest revision that was heard of, by key. */
  readonly #revisions = new Map<string, number>();

  constructor(context: Context, peer: AnyPeer, host: PeerHost) {
    this.#context = context;
    this.peer = peer;
    this.host = host;
    this.ownValue = this.#ownShown(host.side);
    // Both classes have the same members here; a union of them can't be called.
    const any = peer as Client;
    any.on('e', (...args: unknown[]) => this.#heard(args));
    any.handle('r', (...args: unknown[]) => this.#asked(args) as never);
    any.on('drain', () => {
      this.wantsDrain = false;
    });
    any.on('error', (error) => {
      if (host.process.alive) context.reported(host.name, error);
    });
    any.on('change', (key, _value, revision) => this.#changed(key, revision));
    if (context.world.replaysMore) this.#replayMore();
  }

  get live(): boolean {
    return this.host.process.alive && coreOf(this.peer).link.state.is !== 'ended';
  }

  send(step: SendStep): void {
    for (let i = 0; i < step.count; i++) this.#sendOne(step);
  }

  request(step: RequestStep): void {
    const { host } = this;
    if (!this.live) return;
    const { books, trace } = this.#context;
    const uid = books.nextUid;
    const signal = this.#abortAfter(step.abortMs);
    const peer = this.peer.with({ timeoutMs: step.timeoutMs, ...(signal && { signal }) }) as Client;
    const { outbox } = coreOf(this.peer).link;
    const before = outbox.lastSeq;
    const reply = peer.request('r', uid, step.listening, this.#ownShown(host.side), padding(uid, 0));
    // What is refused at once was never accepted: the outbox tells.
    const taken = outbox.lastSeq > before;
    const record = taken
      ? books.accept(host.line(), 'request', host.side, 0, outbox.lastSeq, true)
      : undefined;
    if (record !== undefined) {
      host.accepted(record);
      this.#asks(record);
    } else this.wantsDrain = true;
    trace.note(host.name, 'request', uid, step.listening, taken);
    reply.then(
      (value: unknown) => this.#answered(record, undefined, value),
      (error: unknown) => this.#answered(record, error, undefined),
    );
  }

  write(step: Extract<Step, { do: 'set' | 'delete' | 'update' }>): void {
    if (!this.live) return;
    const peer = this.peer as Client;
    const ttlMs = step.do === 'set' ? step.ttlMs : 0;
    try {
      if (step.do === 'delete') peer.delete(step.key);
      else if (step.do === 'update') {
        peer.store
          .update(step.key, (value) => (Number(value ?? 0) || 0) + 1)
          .catch((error: unknown) => {
            const code = (error as { code?: string }).code ?? String(error);
            if (!REFUSALS.has(code) && code !== 'NYOTA_OUTBOX_FULL')
              this.#context.fail('errors', `${this.host.name}: update failed with ${code}`);
          });
      } else if (step.key === 'own') {
        const value = Math.max(this.ownValue, this.#ownShown(this.host.side)) + 1;
        peer.set(OWN_KEY[this.host.side], value);
        this.ownValue = value;
      } else {
        peer.store.set(step.key, this.#context.books.nextUid, ttlMs > 0 ? { ttlMs } : {});
      }
    } catch (error) {
      this.#refused(error);
    }
  }

  /** So long, and then on again. */
  pause(ms: number): void {
    if (this.#context.healing) return;
    this.peer.pause();
    this.#paused = true;
    this.host.process.clock.setTimeout(() => this.resume(), ms);
  }

  resume(): void {
    this.#paused = false;
    this.peer.resume();
  }

  #paused = false;

  #sendOne(step: SendStep): void {
    const { host } = this;
    if (!this.live) return;
    const { books, trace } = this.#context;
    const uid = books.nextUid;
    const wantsAck = step.ack || step.ttlMs > 0 || step.abortMs > 0;
    const signal = this.#abortAfter(step.abortMs);
    const peer = this.peer.with({
      ...(step.ttlMs > 0 && { ttlMs: step.ttlMs }),
      ...(signal && { signal }),
    }) as Client;
    let record: Sent | undefined;
    const args: unknown[] = [uid, step.listening, this.#ownShown(host.side), padding(uid, step.size)];
    if (wantsAck) args.push((error: unknown) => record && this.#acknowledged(record, error));
    try {
      if (!peer.send('e', ...args)) this.wantsDrain = true;
    } catch (error) {
      this.#refused(error, step.size);
      return;
    }
    const seq = coreOf(this.peer).link.outbox.lastSeq;
    record = books.accept(host.line(), 'event', host.side, step.size, seq, wantsAck);
    this.#checkRoom();
    host.accepted(record);
    if (wantsAck) this.#asks(record);
    trace.note(host.name, 'sends', uid);
  }

  /** A message that was accepted had room. */
  #checkRoom(): void {
    const { outbox, limits } = coreOf(this.peer).link;
    const { frames, bytes } = outbox;
    if (frames > limits.maxOutboxFrames || bytes > limits.maxOutboxBytes)
      this.#context.fail(
        'limits',
        `${this.host.name}: took a message with ${frames} frames and ${bytes} bytes in its outbox`,
      );
  }

  /** An answer is owed to it while its process lives. */
  #asks(record: Sent): void {
    this.asked.push(record);
    this.#context.asking.add(record.uid);
  }

  /** Its process has died: nothing is owed to it any more. */
  orphan(): void {
    for (const { uid } of this.asked) this.#context.asking.delete(uid);
  }

  #refused(error: unknown, size = 0): void {
    const code = (error as { code?: string }).code;
    // It would not fit into an empty outbox either.
    if (code === 'NYOTA_FRAME_TOO_LARGE' && size > this.#context.world.maxOutboxBytes) return;
    if (code === 'NYOTA_OUTBOX_FULL') this.wantsDrain = true;
    else if (code !== 'NYOTA_CLOSED')
      this.#context.fail('errors', `${this.host.name}: refused with ${String(error)}`);
  }

  #acknowledged(record: Sent, error: unknown): void {
    if (!this.host.process.alive) return;
    const code = error === undefined ? undefined : ((error as { code?: string }).code ?? String(error));
    this.#context.trace.note(this.host.name, 'onAck', record.uid, code);
    this.#context.books.answered(record, error, this.renewing);
    // What a side says that has lost the session is not the session's.
    if (code === 'NYOTA_EXPIRED' && !this.host.stale()) this.#context.books.excuse(record, 'withdrawn');
    else if (code !== undefined) this.#context.books.excuse(record, 'maybe');
  }

  #answered(record: Sent | undefined, error: unknown, value: unknown): void {
    const { books, trace } = this.#context;
    if (!this.host.process.alive) return;
    const code = error === undefined ? 'ok' : ((error as { code?: string }).code ?? (error as Error).message);
    trace.note(this.host.name, 'reply', record?.uid, code);
    if (record === undefined) {
      if (code !== 'NYOTA_OUTBOX_FULL' && code !== 'NYOTA_CLOSED')
        this.#context.fail('answers', `a request that was refused was answered with ${code}`);
      return;
    }
    books.answered(record, error, this.renewing);
    if (error !== undefined) {
      if (code !== ON_PURPOSE && !REFUSALS.has(code))
        this.#context.fail('errors', `${this.host.name}: request ${record.uid} failed with ${String(error)}`);
      if (code !== ON_PURPOSE) books.excuse(record, 'maybe');
    } else if (value !== record.uid * 2 + 1) {
      this.#context.fail('same bytes', `request ${record.uid} was answered with ${String(value)}`);
    } else if (record.dispatched === 0) {
      this.#context.fail('answers', `request ${record.uid} has a reply, and no handler ran`);
    }
  }

  #heard(args: unknown[]): unknown {
    const { process } = this.host;
    if (!process.alive) return undefined;
    const { delivery } = this.peer;
    const record = this.#arrived(args, delivery?.redelivered === true, delivery?.id);
    const listening = args[1] as Listening;
    const settle = (): void => {
      if (record !== undefined && process.alive) record.settled = true;
    };
    const { ms } = this.#lateness(args[0] as number);
    if (listening === 'later') {
      return new Promise<void>((resolve) => {
        process.clock.setTimeout(() => {
          settle();
          resolve();
        }, ms);
      });
    }
    settle();
    if (listening === 'throws') throw new Error(ON_PURPOSE);
    if (listening === 'commits') this.#commit(delivery?.commit, args[0] as number);
    if (listening === 'pauses') this.pause(ms);
    if (listening === 'answers' && !this.#context.healing) {
      this.#sendOne({
        do: 'send',
        from: this.host.side,
        client: 0,
        count: 1,
        listening: 'now',
        size: 3,
        ack: true,
        ttlMs: 0,
        abortMs: 0,
      });
    }
    return undefined;
  }

  #asked(args: unknown[]): unknown {
    const { process } = this.host;
    if (!process.alive) return new Promise(() => {});
    const context = args[4] as {
      redelivered: boolean;
      id: string;
      commit: (key: string, value: unknown) => void;
    };
    const record = this.#arrived(args, context.redelivered, context.id);
    const [uid, listening] = args as [number, Listening];
    const settle = (): number => {
      if (record !== undefined && process.alive) record.settled = true;
      return uid * 2 + 1;
    };
    if (listening === 'commits') this.#commit(context.commit, uid);
    if (listening === 'throws') {
      settle();
      throw new Error(ON_PURPOSE);
    }
    if (listening !== 'later') return settle();
    return new Promise((resolve) => {
      process.clock.setTimeout(() => resolve(settle()), this.#lateness(uid).ms);
    });
  }

  /** An effect in the same step: how many such messages there were. */
  #commit(commit: ((key: string, value: unknown) => void) | undefined, _uid: number): void {
    const key = `n-${this.host.side}`;
    commit?.(key, Number(this.#shown(key)) + 1);
  }

  #arrived(args: unknown[], redelivered: boolean, deliveryId: string | undefined): Sent | undefined {
    const { books, trace, counts } = this.#context;
    const [uid, , own, pad] = args as [number, Listening, number, string];
    const { host } = this;
    const stale = host.stale();
    trace.note(host.name, 'hears', uid, redelivered ? 'again' : '', stale ? 'stale' : '');
    if (redelivered) counts.redeliveries++;
    if (this.#paused)
      this.#context.fail('pause', `${host.name}: message ${uid} was dispatched during a pause`);
    if (pad !== padding(uid, pad.length))
      this.#context.fail('same bytes', `message ${uid} came with other bytes`);
    const record = books.dispatched({
      uid,
      redelivered,
      deliveryId,
      at: host.name,
      stale,
      size: pad.length,
    });
    if (record !== undefined && !stale) {
      host.checkStored(record);
      const other: Side = host.side === 'client' ? 'server' : 'client';
      const hidden = this.renewed && coreOf(this.peer).store.firstKeptSeq !== undefined;
      if (!hidden && !this.#context.unordered.has(uid) && this.#shown(OWN_KEY[other]) < own)
        this.#context.fail(
          'store order',
          `${host.name}: message ${uid} is there, and the value written before it is not`,
        );
    }
    return stale ? undefined : record;
  }

  #shown(key: string): number {
    return Number((this.peer as Client).get(key) ?? 0);
  }

  #ownShown(side: Side): number {
    return this.#shown(OWN_KEY[side]);
  }

  #changed(key: string, revision: number): void {
    if (!this.host.process.alive || this.renewing) return;
    const sessionKey = `${this.peer.id} ${key}`;
    if (revision <= (this.#revisions.get(sessionKey) ?? 0))
      this.#context.fail('revisions', `${this.host.name}: the revision of ${key} went back to ${revision}`);
    this.#revisions.set(sessionKey, revision);
  }

  #lateness(uid: number): { ms: number } {
    return { ms: this.#context.healing ? 1 : ([3, 30, 120, 700, 2_500][uid % 5] ?? 0) };
  }

  #abortAfter(ms: number): AbortSignal | undefined {
    if (ms === 0) return undefined;
    const controller = new AbortController();
    this.host.process.clock.setTimeout(() => controller.abort(), ms);
    return controller.signal;
  }

  /** As another implementation might: frames that the other side has go out again, in front of those that it has not. */
  #replayMore(): void {
    const { outbox } = coreOf(this.peer).link;
    const random = this.#context.random(0x4e91);
    const proto = Object.getPrototypeOf(outbox) as typeof outbox;
    let again: Buffer[] = [];
    outbox.rewind = (seq) => {
      const from = seq - random.int(6);
      again = [];
      outbox.forEach((of, frame) => {
        if (of > from && of <= seq) again.push(Buffer.from(frame));
      });
      proto.rewind.call(outbox, seq);
    };
    outbox.take = () => {
      const piece = proto.take.call(outbox);
      if (piece === undefined || again.length === 0) return piece;
      return Buffer.concat([...again.splice(0), piece]);
    };
  }
}

function padding(uid: number, size: number): string {
  return String.fromCharCode(97 + (uid % 26)).repeat(size);
}
