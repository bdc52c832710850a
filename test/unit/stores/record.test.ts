/** The rules of a kept session, each by its name. What stores make of them together is in test/contract. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import {
  attachSession,
  commitStep,
  createSession,
  endSession,
  expireSession,
  FailedOwners,
  type HeadRow,
  isForgotten,
  isOver,
  isWhole,
  readSession,
  readTombstone,
  type StepWrites,
  TOMBSTONE_MS,
  type TombstoneRow,
} from '../../../src/stores/record.js';
import type { SessionBatch, StoredEntry, StoredFrame, Tombstone } from '../../../src/stores/session-store.js';

const NOW = 1_000_000;
const RECORD = {
  id: 'a',
  credential: Buffer.from('secret'),
  identity: Buffer.from('who'),
  resumeWindowMs: 1_000,
};
const CLOSED: Tombstone = { code: 'NYOTA_SESSION_CLOSED', received: 3, sent: 4, exact: true };

function head(over: Partial<HeadRow> = {}): HeadRow {
  return { ...(createSession(RECORD, undefined, undefined, NOW) as HeadRow), fence: 7, ...over };
}
function tombstone(over: Partial<TombstoneRow> = {}): TombstoneRow {
  return { ...(endSession(head(), undefined, 7, CLOSED, NOW) as TombstoneRow), ...over };
}
function step<H extends HeadRow>(before: H, batch: SessionBatch): StepWrites<H> {
  return commitStep('a', before, before.fence, batch) as StepWrites<H>;
}
const frame = (seq: number): StoredFrame => ({ seq, frame: Buffer.from(`frame ${seq}`) });
const entry = (key: string, bytes: Buffer | undefined = Buffer.from(key)): StoredEntry => ({
  key,
  bytes,
  revision: 1,
  expiresAt: undefined,
});
const seqs = (frames: readonly StoredFrame[]): number[] => frames.map(({ seq }) => seq);
const refusal = (code: string) => expect.objectContaining({ name: 'NyotaError', code });

describe('createSession', () => {
  it('begins with what was given, alone since now, and with nothing else', () => {
    expect(createSession(RECORD, undefined, undefined, NOW, 5)).toEqual({
      credential: RECORD.credential,
      identity: RECORD.identity,
      resumeWindowMs: 1_000,
      fence: NOW,
      attempt: 5,
      inbound: { settled: 0, beyond: [] },
      revision: 0,
      trimmed: 0,
      lastSeq: 0,
      resolvedSeq: 0,
      detachedAt: NOW,
      established: false,
    });
    expect(createSession(RECORD, undefined, undefined, NOW)).toMatchObject({ attempt: 0 });
  });

  it('keeps no buffer that it was given', () => {
    const { credential, identity } = head();
    expect(credential).not.toBe(RECORD.credential);
    expect(identity).not.toBe(RECORD.identity);
  });

  it('refuses an id that is taken', () => {
    expect(createSession(RECORD, head(), undefined, NOW)).toEqual(refusal('NYOTA_STORE_FAILED'));
  });

  it.each([
    ['by time', undefined, NOW + 0.9, NOW],
    ['at 1 where there is no time yet', undefined, 0, 1],
    [
      'above the last one of the id, where the time is below it',
      tombstone({ fence: NOW + 50 }),
      NOW,
      NOW + 51,
    ],
    ['by time, where that is above the last one', tombstone({ fence: 7 }), NOW, NOW],
    [
      'above the last one, also where the tombstone has had its time',
      tombstone({ fence: 9, until: 0 }),
      1,
      10,
    ],
  ])('begins its fences %s', (_name, before, now, fence) => {
    expect(createSession(RECORD, undefined, before, now)).toMatchObject({ fence });
  });
});

describe('attachSession', () => {
  it('raises the fence by one, or to now, and says that the client is there', () => {
    expect(attachSession(head({ fence: NOW + 5 }), NOW + 5, NOW)).toEqual(
      head({ fence: NOW + 6, detachedAt: null }),
    );
    expect(attachSession(head({ fence: 7 }), 7, NOW + 0.5)).toEqual(head({ fence: NOW, detachedAt: null }));
  });

  it('keeps the attempt that it is given, and the one before where it is given none', () => {
    expect(attachSession(head({ attempt: 2 }), 7, NOW, 4)).toMatchObject({ attempt: 4 });
    expect(attachSession(head({ attempt: 2 }), 7, NOW)).toMatchObject({ attempt: 2 });
    expect(attachSession(head({ attempt: 2 }), 7, NOW, 0)).toMatchObject({ attempt: 0 });
  });

  it('does nothing for a lower fence, a higher one, or a session that is not there', () => {
    for (const fence of [6, 8]) expect(attachSession(head(), fence, NOW)).toBeUndefined();
    expect(attachSession(undefined, 7, NOW)).toBeUndefined();
  });

  it('keeps the fields that a driver has added', () => {
    expect(attachSession({ ...head(), owner: 'me' }, 7, NOW)).toMatchObject({ owner: 'me' });
  });
});

describe('commitStep', () => {
  it('is taken over where the fence is another, or the session is not there', () => {
    for (const fence of [6, 8]) {
      expect(commitStep('a', head(), fence, { revision: 1 })).toEqual(refusal('NYOTA_TAKEN_OVER'));
    }
    expect(commitStep('a', undefined, 7, {})).toEqual(refusal('NYOTA_TAKEN_OVER'));
  });

  it('an empty step changes nothing', () => {
    const before = { ...head({ revision: 3, trimmed: 2, lastSeq: 4, established: true }), owner: 'me' };
    expect(step(before, {})).toEqual({
      restart: false,
      entries: [],
      frames: [],
      trim: [3, 2],
      head: before,
    });
  });

  it.each<[string, SessionBatch]>([
    ['inbound', { inbound: { settled: 4, beyond: [[6, 7]] } }],
    ['revision', { revision: 9 }],
    ['lastSeq', { lastSeq: 9 }],
    ['resolvedSeq', { resolvedSeq: 9 }],
    ['detachedAt', { detachedAt: null }],
    ['detachedAt of 0', { detachedAt: 0 }],
    ['established', { established: true }],
    ['established, taken back', { established: false }],
    ['numbers of 0', { revision: 0, lastSeq: 0, resolvedSeq: 0 }],
  ])('puts %s in the head, and leaves the others alone', (_name, batch) => {
    const before = head({ revision: 3, lastSeq: 4, resolvedSeq: 5, established: true });
    expect(step(before, batch).head).toEqual({ ...before, ...batch });
  });

  it('puts and removes entries as the batch has them', () => {
    const entries = [entry('k'), { ...entry('gone'), bytes: undefined }];
    expect(step(head(), { entries }).entries).toEqual(entries);
  });

  it('trims from behind what was trimmed before', () => {
    const { trim, head: after } = step(head({ trimmed: 3, lastSeq: 9 }), { trim: 6 });
    expect(trim).toEqual([4, 6]);
    expect(after.trimmed).toBe(6);
  });

  it.each([3, 2, 0, -1, Number.NaN])('a trim to %s is none where 3 are trimmed', (trim) => {
    const { trim: removed, head: after } = step(head({ trimmed: 3 }), { trim });
    expect(removed).toEqual([4, 3]);
    expect(after.trimmed).toBe(3);
  });

  it('what was trimmed, or is trimmed by the same step, never comes back', () => {
    const outbound = [1, 2, 3, 4, 5].map(frame);
    expect(seqs(step(head({ trimmed: 2 }), { outbound }).frames)).toEqual([3, 4, 5]);
    expect(seqs(step(head({ trimmed: 2 }), { outbound, trim: 4 }).frames)).toEqual([5]);
  });

  it('a new credential begins another session of the same owner, attempt and client', () => {
    const before = head({
      attempt: 3,
      inbound: { settled: 4, beyond: [[6, 6]] },
      revision: 5,
      trimmed: 6,
      lastSeq: 9,
      resolvedSeq: 8,
      detachedAt: 12,
      established: true,
    });
    const credential = Buffer.from('another');
    const batch = { credential, entries: [entry('k')], outbound: [frame(1)], lastSeq: 1 };
    const writes = step({ ...before, owner: 'me' }, batch);
    expect(writes).toEqual({
      restart: true,
      entries: [entry('k')],
      frames: [frame(1)],
      trim: [1, 0],
      head: { ...head({ attempt: 3, detachedAt: 12, lastSeq: 1 }), credential, owner: 'me' },
    });
    expect(writes.head.credential).not.toBe(credential);
  });
});

describe('FailedOwners', () => {
  it('has the owner whose step failed, and neither the next one nor another session’s', () => {
    const failed = new FailedOwners();
    failed.add('a', 7);
    expect([failed.has('a', 7), failed.has('a', 8), failed.has('b', 7)]).toEqual([true, false, false]);
  });

  it('a late failure of an earlier owner does not hide that of a later one', () => {
    const failed = new FailedOwners();
    failed.add('a', 8);
    failed.add('a', 7);
    expect(failed.has('a', 8)).toBe(true);
  });

  it('forgets owners who have lost their session, and no others', () => {
    const failed = new FailedOwners();
    for (const id of ['here', 'lost', 'over']) failed.add(id, 7);
    failed.forgetOld((id) => ({ here: 7, lost: 8 })[id]);
    expect(['here', 'lost', 'over'].map((id) => failed.has(id, 7))).toEqual([true, false, false]);
  });
});

describe('endSession', () => {
  it('leaves a tombstone for 24 hours, with the last fence', () => {
    expect(endSession(head(), undefined, 7, CLOSED, NOW)).toEqual({
      ...CLOSED,
      until: NOW + 24 * 60 * 60 * 1000,
      fence: 7,
    });
  });

  it('does not know exactly what was dispatched unless it is told so', () => {
    const { exact: _exact, ...vague } = CLOSED;
    expect(endSession(head(), undefined, 7, vague, NOW)).toMatchObject({ exact: false });
  });

  it('does nothing for another fence', () => {
    for (const fence of [6, 8]) expect(endSession(head(), undefined, fence, CLOSED, NOW)).toBeUndefined();
  });

  it('of a session that is over: a later owner knows more, an earlier one changes nothing', () => {
    const before = tombstone({ fence: 7 });
    expect(endSession(undefined, before, 6, CLOSED, NOW)).toBeUndefined();
    expect(endSession(undefined, before, 7, CLOSED, NOW)).toMatchObject({ fence: 7 });
    expect(endSession(undefined, before, 8, CLOSED, NOW)).toMatchObject({ fence: 8 });
  });

  it('of a session that nobody knows: it is remembered', () => {
    expect(endSession(undefined, undefined, 7, CLOSED, NOW)).toMatchObject({ received: 3, fence: 7 });
  });
});

describe('isOver', () => {
  it('once its client is gone for its whole window', () => {
    const left = head({ detachedAt: NOW });
    expect([999, 1_000, 1_001].map((later) => isOver(left, NOW + later))).toEqual([false, true, true]);
  });

  it('never while its client is there', () => {
    expect(isOver(head({ detachedAt: null }), Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  it('by what the driver knows of its process, where it says so', () => {
    const there = head({ detachedAt: null });
    expect([999, 1_000].map((later) => isOver(there, NOW + later, NOW))).toEqual([false, true]);
    expect(isOver(there, NOW + 1_000, null)).toBe(false);
  });

  it('never with a window without an end', () => {
    expect(isOver(head({ resumeWindowMs: Number.MAX_SAFE_INTEGER }), 2 ** 50)).toBe(false);
  });
});

it('expireSession tells what is known of a session: all up to `settled` was dispatched, perhaps more', () => {
  const left = head({ inbound: { settled: 5, beyond: [[7, 7]] }, lastSeq: 9 });
  expect(expireSession(left, NOW)).toEqual({
    code: 'NYOTA_SESSION_EXPIRED',
    received: 5,
    sent: 9,
    exact: false,
    until: NOW + TOMBSTONE_MS,
    fence: 7,
  });
});

describe('readTombstone', () => {
  it('tells what was said until its time is over', () => {
    const row = tombstone();
    expect(readTombstone(row, NOW + TOMBSTONE_MS - 1)).toEqual(CLOSED);
    expect(readTombstone(row, NOW + TOMBSTONE_MS)).toBeUndefined();
    expect(isForgotten(row, NOW + TOMBSTONE_MS - 1)).toBe(false);
    expect(isForgotten(row, NOW + TOMBSTONE_MS)).toBe(true);
    expect(readTombstone(undefined, NOW)).toBeUndefined();
  });

  it('says nothing of `exact` where it is not', () => {
    expect(readTombstone(tombstone({ exact: false }), NOW)).not.toHaveProperty('exact');
  });
});

describe('readSession', () => {
  it('gives all that is known of a session, in buffers of its own, and nothing that the driver has added', () => {
    const kept = { ...head({ lastSeq: 1, revision: 1 }), owner: 'me' };
    const { credential, identity, resumeWindowMs, owner: _owner, ...numbers } = kept;
    const session = readSession('a', kept, [entry('k')], [frame(1)]);
    const record = { id: 'a', credential, identity, resumeWindowMs };
    expect(session).toEqual({ ...numbers, record, entries: [entry('k')], outbound: [frame(1)] });
    expect(session.record.credential).not.toBe(credential);
    expect(session.record.identity).not.toBe(identity);
  });
});

describe('isWhole', () => {
  const kept = head({ trimmed: 2, lastSeq: 5 });
  it.each([
    [[3, 4, 5], true],
    [[3, 4, 5, 6], true],
    [[3, 4], false],
    [[4, 5], false],
    [[3, 5], false],
    [[], false],
  ])('frames %j behind 2 that are trimmed, of 5: %s', (numbers, whole) => {
    expect(isWhole(kept, numbers.map(frame))).toBe(whole);
  });

  it('nothing is missing where all is trimmed', () => {
    expect(isWhole(head({ trimmed: 9, lastSeq: 5 }), [])).toBe(true);
  });
});

it('refusals are NyotaErrors that name the session', () => {
  for (const verdict of [createSession(RECORD, head(), undefined, NOW), commitStep('a', undefined, 1, {})]) {
    expect(verdict).toBeInstanceOf(NyotaError);
    expect(String(verdict)).toContain('session a ');
  }
});
