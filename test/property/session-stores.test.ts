/**
 * The session stores against a model: any sequence of calls by owners old and new. The model keeps every step that was taken, and
 * works out from scratch what a session must be.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lmdbStore } from '../../src/stores/lmdb/index.js';
import { MemoryStore } from '../../src/stores/memory.js';
import type {
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from '../../src/stores/session-store.js';

const START = 1_000_000;
const DAY_MS = 24 * 60 * 60 * 1000;
const IDS = ['a', 'b'];
const KEYS = ['k', 'l', 'm'];

/** Which of the fences that a session has had an owner comes with: the last one, the one before it, … */
type Age = number;
type Call =
  | { do: 'create'; id: string; windowMs: number; attempt: number | undefined }
  | { do: 'attach'; id: string; age: Age; attempt: number | undefined }
  | { do: 'takeOver'; id: string }
  | { do: 'commit'; id: string; age: Age; draft: Draft }
  | { do: 'end'; id: string; age: Age; received: number; exact: boolean | undefined }
  | { do: 'sweep' }
  | { do: 'wait'; ms: number };
/** A step, by what it changes from where the session is. */
interface Draft {
  readonly settled: number | undefined;
  readonly entries: readonly { key: string; text: string | undefined; expiresAt: number | undefined }[];
  readonly frames: readonly string[];
  /** Frames before the new ones that get another content. */
  readonly changed: number;
  readonly trim: number | undefined;
  readonly resolvedSeq: number | undefined;
  readonly gone: 'gone' | 'there' | undefined;
  readonly established: boolean | undefined;
  readonly credential: string | undefined;
  /** It can't be kept. */
  readonly broken: boolean;
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const id = fc.constantFrom(...IDS);
const age = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2) });
const attempt = maybe(fc.nat(3));
const word = fc.string({ maxLength: 4 });
const draft: fc.Arbitrary<Draft> = fc.record({
  settled: maybe(fc.integer({ min: 1, max: 3 })),
  entries: fc.uniqueArray(
    fc.record({ key: fc.constantFrom(...KEYS), text: maybe(word), expiresAt: maybe(fc.nat(9)) }),
    { selector: ({ key }) => key },
  ),
  frames: fc.array(word, { maxLength: 3 }),
  changed: fc.nat(2),
  trim: maybe(fc.oneof(fc.integer({ min: -1, max: 4 }), fc.constant(Number.NaN))),
  resolvedSeq: maybe(fc.nat(9)),
  gone: maybe(fc.constantFrom('gone' as const, 'there' as const)),
  established: maybe(fc.boolean()),
  credential: fc.option(word, { nil: undefined, freq: 9 }),
  broken: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
});
const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('create' as const), id, windowMs: fc.nat(20), attempt }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('attach' as const), id, age, attempt }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('takeOver' as const), id }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('commit' as const), id, age, draft }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      id,
      age,
      received: fc.nat(9),
      exact: maybe(fc.boolean()),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.oneof(fc.double({ min: 0, max: 30, noNaN: true }), fc.constantFrom(DAY_MS - 1, DAY_MS)),
    }),
  },
);

/** A session in the model: what it began with, and each step since. */
interface Life {
  readonly record: SessionRecord;
  readonly steps: SessionBatch[];
  attempt: number;
}

class Model {
  now = START;
  readonly #lives = new Map<string, Life>();
  readonly #ends = new Map<string, { tombstone: Tombstone; until: number; fence: number }>();
  /** All that an id has had, the last one last. */
  readonly #fences = new Map(IDS.map((each) => [each, [] as number[]]));
  /** Owners whose step could not be kept, as `id fence`. */
  readonly #failed = new Set<string>();

  async make(store: SessionStore, made: Call): Promise<void> {
    if (made.do === 'wait') this.now += made.ms;
    else if (made.do === 'sweep') await this.#sweep(store);
    else if (made.do === 'create') await this.#create(store, made);
    else if (made.do === 'attach') await this.#attach(store, made);
    else if (made.do === 'takeOver') this.#takeOver(store, made.id);
    else if (made.do === 'commit') await this.#commit(store, made.id, made.age, made.draft);
    else await this.#end(store, made);
  }

  session(of: string): StoredSession | undefined {
    const life = this.#lives.get(of);
    if (life === undefined) return undefined;
    const begun = life.steps.findLastIndex(({ credential }) => credential !== undefined);
    const steps = life.steps.slice(Math.max(0, begun));
    const last = <K extends keyof SessionBatch>(name: K, among = steps): SessionBatch[K] | undefined =>
      among.findLast((each) => each[name] !== undefined)?.[name];
    const trimmed = Math.max(
      0,
      ...(steps.map(({ trim }) => trim).filter((trim) => trim && trim > 0) as number[]),
    );
    const entries = new Map(
      steps.flatMap((each) => each.entries ?? []).map((entry): [string, StoredEntry] => [entry.key, entry]),
    );
    const frames = new Map(
      steps.flatMap((each) => each.outbound ?? []).map((frame): [number, StoredFrame] => [frame.seq, frame]),
    );
    return {
      record: { ...life.record, credential: last('credential') ?? life.record.credential },
      fence: this.#fence(of, 0),
      attempt: life.attempt,
      inbound: last('inbound') ?? { settled: 0, beyond: [] },
      entries: [...entries.values()].filter(({ bytes }) => bytes !== undefined),
      revision: last('revision') ?? 0,
      outbound: [...frames.values()].filter(({ seq }) => seq > trimmed).sort((a, b) => a.seq - b.seq),
      trimmed,
      lastSeq: last('lastSeq') ?? 0,
      resolvedSeq: last('resolvedSeq') ?? 0,
      detachedAt: last('detachedAt', life.steps) as number | null,
      established: last('established') ?? false,
    };
  }

  tombstone(of: string): Tombstone | undefined {
    const end = this.#ends.get(of);
    if (end === undefined || this.now >= end.until) return undefined;
    const { exact, ...numbers } = end.tombstone;
    return exact === true ? { ...numbers, exact } : numbers;
  }

  async #create(store: SessionStore, made: Call & { do: 'create' }): Promise<void> {
    const bytes = Buffer.from(`secret of ${made.id} since ${this.now}`);
    const record = { id: made.id, credential: bytes, identity: bytes, resumeWindowMs: made.windowMs };
    const fence = await outcome(() => store.create(record, this.now, made.attempt));
    if (this.#lives.has(made.id)) {
      expect(fence).toBe('NYOTA_STORE_FAILED');
      return;
    }
    this.#raised(made.id, fence);
    this.#lives.set(made.id, { record, steps: [{ detachedAt: this.now }], attempt: made.attempt ?? 0 });
  }

  async #attach(store: SessionStore, made: Call & { do: 'attach' }): Promise<void> {
    const raised = await store.attach(made.id, this.#fence(made.id, made.age), this.now, made.attempt);
    const life = this.#lives.get(made.id);
    if (life === undefined || made.age > 0) {
      expect(raised).toBeUndefined();
      return;
    }
    this.#raised(made.id, raised);
    life.steps.push({ detachedAt: null });
    life.attempt = made.attempt ?? life.attempt;
  }

  #takeOver(store: SessionStore, of: string): void {
    const session = store.takeOver?.(of, this.now);
    const life = this.#lives.get(of);
    if (life === undefined) {
      expect(session).toBeUndefined();
      return;
    }
    this.#raised(of, session?.fence);
    life.steps.push({ detachedAt: null });
    expect(sorted(session)).toEqual(sorted(this.session(of)));
  }

  async #commit(store: SessionStore, of: string, by: Age, from: Draft): Promise<void> {
    const batch = batchOf(from, this.session(of), this.now);
    const fence = this.#fence(of, by);
    const owner = `${of} ${fence}`;
    const said = await outcome(() => store.commit(of, fence, batch));
    const life = this.#lives.get(of);
    if (life === undefined || by > 0) {
      // Which of the two is said of an owner whose step failed before it lost the session is the store's choice.
      expect(said).toBe(this.#failed.has(owner) ? (said as string) : 'NYOTA_TAKEN_OVER');
      expect(said).not.toBe('done');
    } else if (from.broken || this.#failed.has(owner)) {
      this.#failed.add(owner);
      expect(said).toBe('NYOTA_STORE_FAILED');
    } else {
      expect(said).toBe('done');
      life.steps.push(batch);
    }
  }

  async #end(store: SessionStore, made: Call & { do: 'end' }): Promise<void> {
    const { received, exact } = made;
    const tombstone: Tombstone = {
      code: 'NYOTA_SESSION_CLOSED',
      received,
      sent: 0,
      ...(exact === undefined ? {} : { exact }),
    };
    const fence = this.#fence(made.id, made.age);
    const end = this.#ends.get(made.id);
    const isLate = !this.#lives.has(made.id) && end !== undefined && fence < end.fence;
    // How long a store still knows a fence after a day is its choice.
    if (isLate && this.now >= end.until) return;
    await store.end(made.id, fence, tombstone, this.now);
    if (isLate || (this.#lives.has(made.id) && made.age > 0)) return;
    this.#over(made.id, tombstone, fence);
  }

  async #sweep(store: SessionStore): Promise<void> {
    const left = [...this.#lives.keys()].filter((each) => {
      const { detachedAt, record } = this.session(each) as StoredSession;
      return detachedAt !== null && this.now - detachedAt >= record.resumeWindowMs;
    });
    expect(await store.sweep(this.now)).toBe(left.length);
    for (const each of left) {
      const { inbound, lastSeq } = this.session(each) as StoredSession;
      this.#over(
        each,
        { code: 'NYOTA_SESSION_EXPIRED', received: inbound.settled, sent: lastSeq },
        this.#fence(each, 0),
      );
    }
  }

  #over(of: string, tombstone: Tombstone, fence: number): void {
    this.#lives.delete(of);
    this.#ends.set(of, { tombstone, until: this.now + DAY_MS, fence });
  }

  /** A number that the id never had where it has not had so many. */
  #fence(of: string, by: Age): number {
    const fences = this.#fences.get(of) ?? [];
    return fences.at(-1 - by) ?? by;
  }

  #raised(of: string, fence: unknown): void {
    const fences = this.#fences.get(of) as number[];
    expect(fence).toBeGreaterThan(fences.at(-1) ?? 0);
    expect(fence).toBeGreaterThanOrEqual(Math.floor(this.now));
    fences.push(fence as number);
  }
}

function batchOf(from: Draft, before: StoredSession | undefined, now: number): SessionBatch {
  const fresh = before === undefined || from.credential !== undefined;
  const { trimmed, lastSeq, revision, inbound } = fresh
    ? { trimmed: 0, lastSeq: 0, revision: 0, inbound: { settled: 0 } }
    : before;
  const frame = (seq: number, text: string): StoredFrame => ({ seq, frame: Buffer.from(text) });
  const kept = Math.max(0, lastSeq - trimmed);
  const changed = Array.from({ length: Math.min(from.changed, kept) }, (_, i) =>
    frame(lastSeq - i, 'another'),
  );
  const outbound = [...changed, ...from.frames.map((text, i) => frame(lastSeq + 1 + i, text))];
  if (from.broken) {
    const seq = Math.max(lastSeq, trimmed + 9) + from.frames.length + 1;
    outbound.push({ seq, frame: undefined } as unknown as StoredFrame);
  }
  const batch = {
    inbound: from.settled && { settled: inbound.settled + from.settled, beyond: [[99, 100]] as const },
    entries: from.entries.map(({ key, text, expiresAt }, i) => ({
      key,
      bytes: text === undefined ? undefined : Buffer.from(text),
      revision: revision + 1 + i,
      expiresAt,
    })),
    revision: from.entries.length > 0 ? revision + from.entries.length : undefined,
    outbound,
    lastSeq: lastSeq + from.frames.length,
    trim: from.trim === undefined ? undefined : trimmed + from.trim,
    resolvedSeq: from.resolvedSeq,
    detachedAt: from.gone && { gone: now, there: null }[from.gone],
    established: from.established,
    credential: from.credential === undefined ? undefined : Buffer.from(from.credential),
  };
  return Object.fromEntries(Object.entries(batch).filter(([, value]) => value !== undefined)) as SessionBatch;
}

async function outcome(make: () => unknown): Promise<unknown> {
  try {
    return (await make()) ?? 'done';
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

function sorted(session: StoredSession | undefined): StoredSession | undefined {
  return session && { ...session, entries: [...session.entries].sort((a, b) => (a.key < b.key ? -1 : 1)) };
}

async function agree(store: SessionStore, calls: readonly Call[]): Promise<void> {
  const model = new Model();
  for (const made of calls) {
    await model.make(store, made);
    for (const each of IDS) {
      expect(sorted(await store.load(each))).toEqual(sorted(model.session(each)));
      expect(await store.tombstone(each, model.now)).toEqual(model.tombstone(each));
    }
  }
}

describe('after any calls a store holds what the model says', () => {
  it('in memory', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 60, size: 'max' }), (calls) =>
        agree(new MemoryStore({ durable: true }), calls),
      ),
      { numRuns: 150 },
    );
  });

  it('in a folder', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { minLength: 20, maxLength: 60, size: 'max' }), async (calls) => {
        const path = mkdtempSync(join(tmpdir(), 'nyota-model-'));
        const store = lmdbStore({ path });
        try {
          await agree(store, calls);
        } finally {
          await store.close();
          rmSync(path, { recursive: true, force: true });
        }
      }),
      { numRuns: 12 },
    );
  });
});
