/**
 * Random runs of a session pair: the steps that a property test draws, and the books that are kept of them: what was
 * sent, dispatched, acknowledged, asked and answered. `finish` heals everything and says what does not add up.
 */
import fc from 'fast-check';
import { NyotaError } from '../../src/errors.js';
import type { Role } from '../../src/features/session-core.js';
import type { SessionPair } from './session-pair.js';
import { type Done, microtasks, type SessionSide, type Settleable, settleable } from './session-side.js';

/** `echo`: its listener sends; `write`: its listener writes to the store; `pause`: its listener pauses. */
type EventKind = 'plain' | 'acked' | 'echo' | 'write' | 'pause';

export type Step =
  | { do: 'send'; from: Role; kind: EventKind; size: number }
  | { do: 'request'; from: Role; kind: 'now' | 'later' | 'missing' }
  | { do: 'cancel'; from: Role; which: number }
  | { do: 'set' | 'delete' | 'swap'; from: Role; key: string }
  | { do: 'settle'; at: Role; which: number }
  | { do: 'deliver'; to: Role; bytes: number }
  | { do: 'cut'; unnoticedBy: Role | undefined }
  | { do: 'connect' | 'reconnect' | 'pump' }
  | { do: 'advance'; ms: number; deliver: boolean }
  | { do: 'pause' | 'resume'; at: Role };

const role = fc.constantFrom<Role>('client', 'server');
const which = fc.nat({ max: 7 });

export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('send'),
      from: role,
      kind: fc.constantFrom<EventKind[]>('plain', 'acked', 'acked', 'echo', 'write', 'write', 'pause'),
      size: fc.constantFrom(0, 0, 10, 300, 3_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('request'),
      from: role,
      kind: fc.constantFrom('now', 'later', 'later', 'missing'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel'), from: role, which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('set', 'set', 'delete', 'swap'),
      from: role,
      key: fc.constantFrom('a', 'b', 'c'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle'), at: role, which }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('deliver'),
      to: role,
      bytes: fc.constantFrom(1, 3, 20, 100, 1_000, 100_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('cut'),
      unnoticedBy: fc.constantFrom(undefined, undefined, 'client', 'server'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom('connect', 'connect', 'pump', 'pump', 'reconnect') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance'),
      ms: fc.constantFrom(10, 60, 400, 2_000),
      deliver: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('pause', 'resume', 'resume'), at: role }) },
);

interface Asked {
  readonly id: number;
  readonly kind: 'now' | 'later' | 'missing';
  /** The request's id in its session. */
  requestId: number;
  cancelled: boolean;
  ran: number;
  readonly outcomes: Array<{ reply?: unknown; error?: unknown }>;
}

/** The books of one side. */
class Books {
  readonly side: SessionSide;
  /** Ids of the events that this side has sent. */
  readonly sent: number[] = [];
  readonly acked: Array<[id: number, error: NyotaError | undefined]> = [];
  readonly wantsAck: number[] = [];
  readonly asked: Asked[] = [];
  readonly swaps: Array<'pending' | boolean> = [];
  /** Listeners and handlers of this side that have not settled. */
  readonly running: Array<() => void> = [];
  /** The events among them: nothing from the first of them on may be acknowledged. */
  readonly unsettled = new Set<number>();
  /** Requests of the other side's in the order in which their handlers began. */
  readonly handled: number[] = [];
  readonly wrong: string[] = [];
  settlesAtOnce = false;

  constructor(side: SessionSide) {
    this.side = side;
  }
}

export class SessionRun {
  readonly pair: SessionPair;
  readonly #books: { client: Books; server: Books };
  #nextId = 1;

  constructor(pair: SessionPair) {
    this.pair = pair;
    this.#books = { client: new Books(pair.client), server: new Books(pair.server) };
    this.#equip('client', 'server');
    this.#equip('server', 'client');
  }

  async apply(step: Step): Promise<void> {
    const { pair } = this;
    switch (step.do) {
      case 'send':
        this.#send(step.from, step.kind, step.size);
        break;
      case 'request':
        this.#request(step.from, step.kind);
        break;
      case 'cancel':
        this.#cancel(step.from, step.which);
        break;
      case 'set':
        pair[step.from].set(step.key, this.#nextId++);
        break;
      case 'delete':
        pair[step.from].delete(step.key);
        break;
      case 'swap':
        this.#swap(step.from, step.key);
        break;
      case 'settle':
        await this.#settle(step.at, step.which);
        break;
      case 'deliver':
        pair.deliver(step.to, step.bytes);
        await microtasks();
        break;
      case 'cut':
        pair.cut(step.unnoticedBy);
        break;
      case 'connect':
        if (!pair.connecting) pair.connect();
        break;
      case 'reconnect':
        pair.connect();
        break;
      case 'pump':
        pair.pump();
        break;
      case 'advance':
        await pair.advance(step.ms, { deliver: step.deliver });
        break;
      case 'pause':
        pair[step.at].core.link.pause();
        break;
      case 'resume':
        pair[step.at].core.link.resume();
        await microtasks();
        break;
    }
  }

  /** Heals everything, runs it dry, and returns what does not add up: nothing, in a session that keeps its word. */
  async finish(): Promise<string[]> {
    const { pair } = this;
    for (const at of ['client', 'server'] as const) {
      const books = this.#books[at];
      books.settlesAtOnce = true;
      pair[at].core.link.resume();
      for (const settle of books.running.splice(0)) settle();
    }
    await microtasks();
    pair.connect();
    for (let round = 0; round < 20; round++) {
      await pair.advance(100);
      for (const at of ['client', 'server'] as const) {
        // An event may have paused its side again.
        pair[at].core.link.resume();
        for (const settle of this.#books[at].running.splice(0)) settle();
      }
    }
    return [...this.#audit('client', 'server'), ...this.#audit('server', 'client'), ...this.#auditPair()];
  }

  #equip(at: Role, other: Role): void {
    const { side, running } = this.#books[at];
    const books = this.#books[at];
    const later = (id: number): PromiseLike<void> => {
      const { promise, settle }: Settleable = settleable();
      books.unsettled.add(id);
      running.push(() => {
        books.unsettled.delete(id);
        settle();
      });
      return promise;
    };
    side.listener = ({ event, args }) => {
      if (event === 'write') side.set('a', this.#nextId++);
      if (event === 'echo') this.#send(at, 'plain', 0);
      if (event === 'pause' && !books.settlesAtOnce) side.core.link.pause();
      return books.settlesAtOnce || Number(args[0]) % 3 !== 0 ? undefined : later(Number(args[0]));
    };
    side.handlers.set('now', ([id], _request, done) => {
      books.handled.push(Number(id));
      this.#handle(other, Number(id), done);
    });
    side.handlers.set('later', ([id], _request, done) => {
      books.handled.push(Number(id));
      running.push(() => this.#handle(other, Number(id), done));
    });
  }

  #handle(asker: Role, id: number, done: Done): void {
    const asked = this.#books[asker].asked.find((request) => request.id === id);
    if (asked !== undefined) asked.ran++;
    done(true, id * 2);
  }

  #send(from: Role, kind: EventKind, size: number): void {
    const books = this.#books[from];
    const id = this.#nextId++;
    books.sent.push(id);
    const args = [id, 'x'.repeat(size)];
    if (kind !== 'acked') {
      books.side.send(kind, args);
      return;
    }
    books.wantsAck.push(id);
    books.side.send(kind, args, (error) => {
      books.acked.push([id, error]);
      const { unsettled, side } = this.#books[from === 'client' ? 'server' : 'client'];
      if (!side.dispatched.some(({ args: [dispatched] }) => dispatched === id)) {
        books.wrong.push(`event ${id} was acknowledged and not dispatched`);
      }
      for (const open of unsettled) {
        if (open <= id) books.wrong.push(`event ${id} was acknowledged while the listener of ${open} ran`);
      }
      if (id % 5 === 0) this.#send(from, 'plain', 0);
    });
  }

  #request(from: Role, kind: 'now' | 'later' | 'missing'): void {
    const books = this.#books[from];
    const asked: Asked = {
      id: this.#nextId++,
      kind,
      requestId: 0,
      cancelled: false,
      ran: 0,
      outcomes: [],
    };
    books.asked.push(asked);
    asked.requestId = books.side.request(kind, [asked.id], (outcome) => asked.outcomes.push(outcome));
  }

  #cancel(from: Role, which: number): void {
    const { asked, side } = this.#books[from];
    const open = asked.filter(({ outcomes }) => outcomes.length === 0);
    const chosen = open[which % Math.max(1, open.length)];
    if (chosen === undefined) return;
    chosen.cancelled = true;
    side.core.requests.cancel(chosen.requestId, new NyotaError('NYOTA_ABORTED', 'cancelled'));
  }

  #swap(from: Role, key: string): void {
    const { side, swaps } = this.#books[from];
    const index = swaps.push('pending') - 1;
    const expectedRevision = side.core.store.revisionOf(key);
    side.core.store.compareAndSet(
      { kind: 'compare-and-set', key, bytes: Buffer.from([this.#nextId++ % 128]), expectedRevision },
      ({ accepted }) => {
        swaps[index] = accepted;
      },
    );
  }

  async #settle(at: Role, index: number): Promise<void> {
    const { running } = this.#books[at];
    const [settle] = running.splice(index % Math.max(1, running.length), 1);
    settle?.();
    await microtasks();
  }

  #audit(from: Role, to: Role): string[] {
    const books = this.#books[from];
    const { wrong } = books;
    const expect = (what: string, actual: unknown, expected: unknown): void => {
      const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
      if (a !== e) wrong.push(`${from} to ${to}: ${what}: ${a} instead of ${e}`);
    };
    expect(
      'dispatched',
      this.pair[to].dispatched.map(({ args }) => args[0]),
      books.sent,
    );
    expect(
      'acknowledged',
      books.acked.map(([id, error]) => [id, error?.code]),
      books.wantsAck.map((id) => [id, undefined]),
    );
    const { handled } = this.#books[to];
    expect(
      'order of requests',
      handled,
      [...handled].sort((a, b) => a - b),
    );
    for (const asked of books.asked) {
      const [outcome, ...more] = asked.outcomes;
      expect(`outcomes of request ${asked.id} after the first`, more, []);
      const code = (outcome?.error as NyotaError | undefined)?.code;
      if (asked.cancelled) expect(`cancelled request ${asked.id}`, code, 'NYOTA_ABORTED');
      else if (asked.kind === 'missing') expect(`request ${asked.id}`, code, 'NYOTA_NO_HANDLER');
      else expect(`request ${asked.id}`, [asked.ran, outcome?.reply], [1, asked.id * 2]);
      if (asked.ran > 1) wrong.push(`${from}: request ${asked.id} was handled ${asked.ran} times`);
    }
    expect('store writes that wait for a result', books.swaps.filter((swap) => swap === 'pending').length, 0);
    const { core } = books.side;
    const { outbox } = core.link;
    expect('outbox', [outbox.frames, outbox.bytes, outbox.unsentBytes], [0, 0, 0]);
    expect('pending requests', core.requests.pending, 0);
    expect('quiet', core.link.quiet, true);
    expect('reports', books.side.reports, []);
    return wrong;
  }

  #auditPair(): string[] {
    const { pair } = this;
    const wrong = pair.failures
      .filter(({ error }) => error.code !== 'NYOTA_PING_TIMEOUT')
      .map(({ role: side, error }) => `${side} ended a connection: ${error.code} ${error.message}`);
    const withRevision = ({ core }: SessionSide, key: string): unknown => [key, core.store.revisionOf(key)];
    const revisions = [pair.client, pair.server].map((side) =>
      JSON.stringify(side.content().map(([key]) => withRevision(side, key))),
    );
    if (revisions[0] !== revisions[1]) wrong.push(`the revisions differ: ${revisions.join(' and ')}`);
    const contents = {
      client: pair.client.content(),
      server: pair.server.content(),
      seenByClient: [...pair.client.seen].sort(([a], [b]) => (a < b ? -1 : 1)),
      seenByServer: [...pair.server.seen].sort(([a], [b]) => (a < b ? -1 : 1)),
    };
    if (new Set(Object.values(contents).map((content) => JSON.stringify(content))).size > 1) {
      wrong.push(`the stores differ: ${JSON.stringify(contents)}`);
    }
    pair.cut();
    for (const { role: side, core } of [pair.client, pair.server]) {
      if (core.link.nextDeadline !== Number.POSITIVE_INFINITY)
        wrong.push(`${side} still waits for something`);
    }
    return wrong;
  }
}
