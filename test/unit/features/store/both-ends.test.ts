/** The shared store of a session: order with events, results in batches, conflicts, expiry, and cuts in between. */
import { describe, expect, it } from 'vitest';
import type { CompareAndSetResult } from '../../../../src/features/store/store.js';
import { FrameType } from '../../../support/frame-type.js';
import { thrownCode } from '../../../support/session-codes.js';
import { ScriptedPeer } from '../../../support/session-frames.js';
import { SessionPair } from '../../../support/session-pair.js';
import type { SessionSide } from '../../../support/session-side.js';

async function connected(options = {}): Promise<SessionPair> {
  const pair = new SessionPair(options);
  pair.connect();
  await pair.advance(100);
  return pair;
}

const swap = (
  side: SessionSide,
  key: string,
  expectedRevision: number,
  done: (result: CompareAndSetResult) => void,
): void =>
  side.core.store.compareAndSet(
    { kind: 'compare-and-set', key, bytes: Buffer.from([7]), expectedRevision },
    done,
  );
const outcome = (result: CompareAndSetResult): string => (result.accepted ? 'accepted' : result.error.code);

describe('order', () => {
  it('is that of the calls: who sees an event sees what was written before it, and not what was written after', async () => {
    for (const [from, to] of [
      ['client', 'server'],
      ['server', 'client'],
    ] as const) {
      const pair = await connected();
      const seen: unknown[] = [];
      pair[to].listener = () => {
        seen.push(pair[to].content());
        return undefined;
      };
      pair[from].set('key', 1);
      pair[from].send('first');
      pair[from].set('key', 2);
      pair[from].send('second');
      pair[from].delete('key');
      pair[from].send('third');
      await pair.settle(7);
      expect(seen).toEqual([[['key', 1]], [['key', 2]], []]);
    }
  });

  it('keeps both sides equal where a change of one makes the other write in the same chunk', async () => {
    const pair = await connected();
    let answers = 0;
    pair.server.onChanged = (changes, local) => {
      if (local || answers >= 3) return;
      for (const { key } of changes) pair.server.set(`${key} seen`, ++answers);
    };
    for (const key of ['a', 'b', 'a']) pair.client.set(key, key);
    await pair.settle();
    const revisions = (side: SessionSide): unknown[] =>
      side.content().map(([key]) => [key, side.core.store.revisionOf(key)]);
    expect(pair.client.content()).toEqual(pair.server.content());
    expect(revisions(pair.client)).toEqual(revisions(pair.server));
    expect(pair.failures).toEqual([]);
  });
});

describe('the answers to a client’s writes', () => {
  it('come as one frame for many', async () => {
    const pair = await connected();
    for (let i = 0; i < 50; i++) pair.client.set(`key ${i}`, i);
    const before = pair.server.core.link.counters.sent;
    await pair.settle();
    expect([pair.server.core.link.counters.sent - before, pair.client.core.store.size]).toEqual([1, 50]);
  });

  it('are waited for by synced, through a cut', async () => {
    const pair = await connected();
    const synced: unknown[] = [];
    pair.client.core.store.whenSynced((error) => synced.push(['at once', error]));
    pair.client.set('key', 1);
    pair.client.core.store.whenSynced((error) => synced.push(['later', error]));
    pair.pump();
    pair.deliver('server');
    pair.cut();
    expect(synced).toEqual([['at once', undefined]]);
    pair.connect();
    await pair.settle();
    expect(synced).toEqual([
      ['at once', undefined],
      ['later', undefined],
    ]);
  });

  it('refuse in the middle: those before and behind it stand, the refused one is rolled back and told', async () => {
    const pair = await connected();
    const outcomes: string[] = [];
    pair.server.set('taken', 1);
    pair.client.set('a', 1);
    swap(pair.client, 'taken', 0, (result) => outcomes.push(`taken ${outcome(result)}`));
    pair.client.set('b', 2);
    swap(pair.client, 'free', 0, (result) => outcomes.push(`free ${outcome(result)}`));
    await pair.settle();
    expect(outcomes).toEqual(['taken NYOTA_STORE_CONFLICT', 'free accepted']);
    expect(pair.client.content()).toEqual(pair.server.content());
    expect(pair.client.conflicts).toEqual([]); // a compare-and-set tells its caller alone
  });

  it('tell of a conflict where a plain write is refused: the store is full at the server', async () => {
    const pair = await connected();
    const value = 'x'.repeat(60_000);
    for (let i = 0; i < 290; i++) {
      pair.client.set(`key ${i}`, value);
      if (i % 20 === 0) await pair.advance(100);
    }
    await pair.advance(100);
    expect(pair.client.conflicts.length).toBeGreaterThan(0);
    expect(pair.client.conflicts[0]?.error.code).toBe('NYOTA_STORE_LIMIT');
    expect(pair.client.core.store.size).toBe(pair.server.core.store.size);
    expect(pair.failures).toEqual([]);
  });
});

describe('the server’s own writes', () => {
  it('are synced once the client has acknowledged them', async () => {
    const pair = await connected();
    const synced: unknown[] = [];
    pair.server.core.store.whenSynced(() => synced.push('nothing to wait for'));
    pair.server.set('key', 1);
    pair.server.core.store.whenSynced(() => synced.push('synced'));
    expect(synced).toEqual(['nothing to wait for']);
    await pair.advance(100);
    expect(synced).toEqual(['nothing to wait for', 'synced']);
  });

  it('compare with its own revisions, at once', async () => {
    const pair = await connected();
    const outcomes: string[] = [];
    const revision = (): number => pair.server.core.store.revisionOf('key');
    swap(pair.server, 'key', 0, (result) => outcomes.push(outcome(result)));
    swap(pair.server, 'key', 0, (result) => outcomes.push(outcome(result)));
    swap(pair.server, 'key', revision(), (result) => outcomes.push(outcome(result)));
    expect(outcomes).toEqual(['accepted', 'NYOTA_STORE_CONFLICT', 'accepted']);
  });

  it('expire at the server alone, and the client sees them go', async () => {
    const pair = await connected();
    pair.server.set('short', 1, 1_000);
    pair.client.set('mine', 2, 500);
    await pair.settle();
    expect(pair.client.core.store.size).toBe(2);
    await pair.advance(499);
    expect([pair.server.core.store.has('mine'), pair.client.core.store.has('mine')]).toEqual([true, true]);
    await pair.advance(1);
    expect([pair.server.core.store.has('mine'), pair.client.core.store.has('mine')]).toEqual([false, false]);
    await pair.advance(500);
    expect([pair.server.content(), pair.client.content(), [...pair.client.seen]]).toEqual([[], [], []]);
  });
});

describe('what can not be written', () => {
  it('is refused before anything shows or is sent', () => {
    for (const role of ['client', 'server'] as const) {
      const peer = new ScriptedPeer(role, { maxFrameBytes: 2_000, maxOutboxFrames: 2 });
      const { side } = peer;
      expect(thrownCode(() => side.set('key', 'x'.repeat(3_000)))).toBe('NYOTA_FRAME_TOO_LARGE');
      expect(thrownCode(() => side.set('key', Buffer.alloc(70_000)))).toMatch(/LIMIT|TOO_LARGE/);
      expect(thrownCode(() => side.set('sessionID', 1))).toBe('NYOTA_READ_ONLY_KEY');
      expect(thrownCode(() => side.set('', 1))).toBe('NYOTA_INVALID_ARGUMENT');
      side.set('a', 1);
      side.set('b', 1);
      expect(thrownCode(() => side.set('c', 1))).toBe('NYOTA_OUTBOX_FULL');
      expect([side.content().map(([key]) => key), side.core.link.outbox.frames]).toEqual([['a', 'b'], 2]);
    }
  });

  it('is a frame that goes the other way', () => {
    const server = new ScriptedPeer('server');
    const client = new ScriptedPeer('client');
    server.side.set('key', 1);
    client.side.set('key', 1);
    server.attach();
    client.attach();
    const frameOf = (peer: ScriptedPeer): Buffer => {
      let found: Buffer = Buffer.alloc(0);
      peer.side.core.link.outbox.forEach((_seq, frame) => {
        found = Buffer.from(frame);
      });
      return found;
    };
    const [delta, op] = [frameOf(server), frameOf(client)];
    expect([delta[4], op[4]]).toEqual([FrameType.KV_DELTA, FrameType.KV_OP]);
    expect(thrownCode(() => server.feed(delta))).toBe('NYOTA_PROTOCOL_ERROR');
    expect(thrownCode(() => client.feed(op))).toBe('NYOTA_PROTOCOL_ERROR');
  });

  it('takes back a write that the other side can not take, and goes on', async () => {
    const pair = new SessionPair({ server: { maxFrameBytes: 2_000 } });
    let synced = false;
    pair.client.set('fits', 1);
    pair.client.set('large', 'x'.repeat(5_000));
    pair.client.set('fits too', 2);
    pair.client.core.store.whenSynced(() => {
      synced = true;
    });
    pair.connect();
    await pair.advance(100);
    expect(pair.client.content()).toEqual([
      ['fits', 1],
      ['fits too', 2],
    ]);
    expect([pair.server.content(), synced, pair.failures]).toEqual([pair.client.content(), true, []]);
    expect(pair.client.conflicts.map(({ key, error }) => [key, error.code])).toEqual([
      ['large', 'NYOTA_FRAME_TOO_LARGE'],
    ]);
  });

  it('includes values that the other side would find too deep', async () => {
    const pair = new SessionPair({ server: { maxDepth: 6 } });
    pair.client.set('deep', [[[[[[[[1]]]]]]]]);
    pair.connect();
    await pair.advance(100);
    expect(pair.failures).toEqual([]);
    expect(pair.client.content()).toEqual(pair.server.content());
  });
});
