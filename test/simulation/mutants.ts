/**
 * The product with one of its rules broken, by patching classes while a test runs: nothing in src knows of it. Each must be
 * caught by the simulation; one that is not shows an invariant that is missing.
 */

import { ClientIdentity } from '../../src/client/identity.js';
import { ClientStore } from '../../src/features/store/client-store.js';
import { ServerStore } from '../../src/features/store/server-store.js';
import { Heartbeat } from '../../src/link/attachment.js';
import type { Carry, FrameView } from '../../src/link/feature.js';
import { Inbox } from '../../src/link/inbox.js';
import { Journal } from '../../src/link/journal.js';
import { Link } from '../../src/link/link.js';
import { Outbox } from '../../src/link/outbox.js';
import { Tracker } from '../../src/link/tracker.js';
import { Connection } from '../../src/net/connection.js';
import { Pump } from '../../src/peer/pump.js';
import { HeldSession } from '../../src/server/held-session.js';
import { MemoryStore } from '../../src/stores/memory.js';
import type { SessionBatch } from '../../src/stores/session-store.js';
import { LENGTH_BYTES } from '../../src/wire/constants.js';
import { FrameType } from '../support/frame-type.js';
import type { World } from './plan.js';
import { SimProcess } from './sim-process.js';

export interface Mutant {
  readonly name: string;
  /** Breaks the rule; returns what mends it. */
  apply(): () => void;
  /** False for worlds without what the rule is about. Default: every world has it. */
  readonly needs?: (world: World) => boolean;
}

type Method = (...args: never[]) => unknown;

/** Puts another method in the place of a class's own; `make` is given the one that was there. */
function method<K extends string>(
  name: string,
  owner: { prototype: Record<K, unknown> },
  key: K,
  make: (before: Method) => (this: never, ...args: never[]) => unknown,
): Mutant {
  return {
    name,
    apply: () => {
      const before = owner.prototype[key] as Method;
      (owner.prototype as Record<string, unknown>)[key] = make(before);
      return () => {
        (owner.prototype as Record<string, unknown>)[key] = before;
      };
    },
  };
}

function getter(
  name: string,
  owner: { prototype: object },
  key: string,
  get: (this: never) => unknown,
): Mutant {
  return {
    name,
    apply: () => {
      const before = Object.getOwnPropertyDescriptor(owner.prototype, key) as PropertyDescriptor;
      Object.defineProperty(owner.prototype, key, { ...before, get: get as () => unknown });
      return () => Object.defineProperty(owner.prototype, key, before);
    },
  };
}

const call = (fn: Method, self: unknown, ...args: unknown[]): unknown =>
  fn.apply(self as never, args as never[]);

const receiving: readonly Mutant[] = [
  method('dedupe off', Link, 'receiveSequenced', (before) => {
    return function (this: Link, frame: FrameView) {
      if (frame.seq <= this.inbox.received && frame.type === FrameType.EVENT) {
        const { source, start, end, flags } = frame;
        this.receiveUnsequenced({ type: FrameType.VOLATILE, flags, seq: 0, ack: -1, source, start, end });
      }
      return call(before, this, frame);
    };
  }),
  method('gap check off', Link, 'receiveSequenced', (before) => {
    return function (this: Link, frame: FrameView) {
      if (frame.seq > this.inbox.received + 1) this.inbox.accept(frame.seq - 1, 0, false, 0);
      return call(before, this, frame);
    };
  }),
  getter('ack before it is settled', Inbox, 'settled', function (this: Inbox) {
    return this.received;
  }),
  getter('ack before it is stored', Inbox, 'ackable', function (this: Inbox) {
    return this.settled;
  }),
  method('the flag of redelivery is missing', Link, 'expectRedelivery', () => () => {}),
  method('settled out of order is forgotten', Inbox, 'wasSettled', () => () => false),
  method('a snapshot claims what still runs', Inbox, 'snapshot', (before) => {
    return function (this: Inbox) {
      call(before, this);
      return { settled: this.received, beyond: [] };
    };
  }),
  method('pause is ignored', Link, 'pause', () => () => {}),
  method('no back-pressure', Pump, 'setReading', () => () => {}),
  getter('received told too high', HeldSession, 'received', function (this: HeldSession) {
    return this.core.link.inbox.received + 1;
  }),
];

const rewound = new WeakSet<object>();

const sending: readonly Mutant[] = [
  method('sent before it is stored', Outbox, 'holdBack', () => () => {}),
  method('the cursor is not rewound', Outbox, 'rewind', () => () => {}),
  {
    name: 'replay out of order',
    apply: () => {
      const { rewind, take } = Outbox.prototype;
      Outbox.prototype.rewind = function (seq) {
        rewound.add(this);
        rewind.call(this, seq);
      };
      Outbox.prototype.take = function () {
        const piece = take.call(this);
        return piece !== undefined && rewound.delete(this) ? swapFirst(piece) : piece;
      };
      return () => Object.assign(Outbox.prototype, { rewind, take });
    },
  },
  method('no limit of the outbox', Outbox, 'assertRoom', () => () => {}),
  method('taken back and sent all the same', Outbox, 'withdraw', () => {
    return function (this: Outbox, seq: number) {
      return seq > this.sentSeq && seq <= this.lastSeq;
    };
  }),
  method('drain is never told', Pump, 'drain', () => () => {}),
  method('an acknowledgement is told twice', Tracker, 'add', (before) => {
    return function (this: Tracker, seq: number, options: { onAck?: (error?: unknown) => void }) {
      const { onAck } = options;
      const twice = (error?: unknown): void => {
        onAck?.(error);
        onAck?.(error);
      };
      call(before, this, seq, onAck === undefined ? options : { ...options, onAck: twice });
    };
  }),
  method('a reply is lost now and then', Outbox, 'append', (before) => {
    let replies = 0;
    return function (this: Outbox, type: number, flags: number, payload: Uint8Array) {
      if (type === FrameType.REPLY && ++replies % 5 === 0)
        return call(before, this, FrameType.SKIP, 0, new Uint8Array(0));
      return call(before, this, type, flags, payload);
    };
  }),
  method('a new session leaves the queue behind', Link, 'carryOver', (before) => {
    return function (this: Link, _handled: unknown, error: unknown, keepShared: unknown) {
      return call(before, this, this.outbox.lastSeq, error, keepShared);
    };
  }),
  method('a new session sends what was handled', Link, 'carryOver', (before) => {
    return function (this: Link, _handled: unknown, error: unknown, keepShared: unknown) {
      return call(before, this, this.outbox.ackedSeq, error, keepShared);
    };
  }),
];

const sharing: readonly Mutant[] = [
  method('a store result is lost', ServerStore, 'chunkEnd', (before) => {
    let results = 0;
    return function (this: ServerStore) {
      if (++results % 3 !== 0) call(before, this);
    };
  }),
  method('a store change is lost', ClientStore, 'receive', (before) => {
    let deltas = 0;
    return function (this: ClientStore, type: number, body: unknown) {
      if (type === FrameType.KV_DELTA && ++deltas % 4 === 0) return true;
      return call(before, this, type, body);
    };
  }),
  method('the store does not go along', ClientStore, 'carry', (before) => {
    return function (this: ClientStore, carry: Carry) {
      call(before, this, { ...carry, keepShared: false });
    };
  }),
];

let keepsTimers = false;

const owning: readonly Mutant[] = [
  method('no fence at a commit', MemoryStore, 'commit', (before) => {
    return function (this: MemoryStore, id: string, _fence: number, batch: unknown) {
      return call(before, this, id, this.load(id)?.fence, batch);
    };
  }),
  method('no fence at an attach', MemoryStore, 'attach', (before) => {
    return function (this: MemoryStore, id: string, _fence: number, ...rest: unknown[]) {
      return call(before, this, id, this.load(id)?.fence, ...rest);
    };
  }),
  {
    name: 'a late attempt takes the session',
    needs: ({ servers }) => servers > 1,
    apply: () => {
      const { load } = MemoryStore.prototype;
      MemoryStore.prototype.load = function (id) {
        const stored = load.call(this, id);
        return stored && { ...stored, attempt: 0 };
      };
      const undo = getter('', HeldSession, 'attempt', () => 0).apply();
      return () => {
        undo();
        MemoryStore.prototype.load = load;
      };
    },
  },
  method('a stale close is accepted', Link, 'detach', (before) => {
    return function (this: Link) {
      return call(before, this, this.state.is === 'attached' ? this.state.generation : 0);
    };
  }),
  method('a takeover keeps both', Pump, 'attach', (before) => {
    return function (this: Pump, ...args: unknown[]) {
      const { end } = Connection.prototype;
      Connection.prototype.end = () => {};
      try {
        return call(before, this, ...args);
      } finally {
        Connection.prototype.end = end;
      }
    };
  }),
  {
    name: 'expiry ignores a reconnect',
    apply: () => {
      const { welcome } = HeldSession.prototype;
      const { clearTimeout } = SimProcess.prototype;
      HeldSession.prototype.welcome = function (...args) {
        keepsTimers = true;
        try {
          welcome.apply(this, args);
        } finally {
          keepsTimers = false;
        }
      };
      SimProcess.prototype.clearTimeout = function (timer) {
        if (!keepsTimers) clearTimeout.call(this, timer);
      };
      return () => {
        HeldSession.prototype.welcome = welcome;
        SimProcess.prototype.clearTimeout = clearTimeout;
      };
    },
  },
  method('nobody looks for a dead link', Heartbeat, 'tick', () => () => 'quiet'),
  method('the secret is kept for a new session', ClientIdentity, 'renew', () => () => {}),
];

const storing: readonly Mutant[] = [
  method('what waits for its ack is let go', MemoryStore, 'commit', (before) => {
    return function (this: MemoryStore, id: string, fence: number, batch: { lastSeq?: number }) {
      return call(before, this, id, fence, { ...batch, ...(batch.lastSeq && { trim: batch.lastSeq }) });
    };
  }),
  method('store entries are not kept', MemoryStore, 'commit', (before) => {
    return function (this: MemoryStore, id: string, fence: number, batch: object) {
      return call(before, this, id, fence, { ...batch, entries: [] });
    };
  }),
  {
    needs: ({ clientStores }) => clientStores,
    ...method('what goes along is not stored with the session', MemoryStore, 'commit', (before) => {
      return function (this: MemoryStore, id: string, fence: number, batch: SessionBatch) {
        if (batch.credential === undefined) return call(before, this, id, fence, batch);
        return call(before, this, id, fence, { credential: batch.credential });
      };
    }),
  },
  {
    needs: ({ clientStores, clientDiskMs }) => clientStores && clientDiskMs[1] > 0,
    ...method('sent before its welcome is stored', Outbox, 'shut', () => () => {}),
  },
  {
    needs: ({ durable }) => durable,
    ...getter('what is held counts as dispatched', Link, 'knowsDispatched', () => true),
  },
  method('the tombstone is lost', MemoryStore, 'tombstone', () => () => undefined),
  method('a step of the old session lets the new one out', Journal, 'restarted', () => () => {}),
  getter('the last step is not waited for', Journal, 'unsettled', () => false),
];

export const MUTANTS: readonly Mutant[] = [...receiving, ...sending, ...sharing, ...owning, ...storing];

/** Runs with these rules broken, and mends them. */
export async function withMutants<T>(mutants: readonly Mutant[], run: () => Promise<T>): Promise<T> {
  const undo = mutants.map((mutant) => mutant.apply());
  try {
    return await run();
  } finally {
    for (const mend of undo.reverse()) mend();
  }
}

/** The first two frames of a piece in the other order. */
function swapFirst(piece: Buffer): Buffer {
  const first = LENGTH_BYTES + piece.readUInt32BE(0);
  if (first >= piece.length) return piece;
  const second = LENGTH_BYTES + piece.readUInt32BE(first);
  return Buffer.concat([
    piece.subarray(first, first + second),
    piece.subarray(0, first),
    piece.subarray(first + second),
  ]);
}
