/** A new session after the old one was lost: what goes along, what is uncertain, and what becomes of the store. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { Flag, LENGTH_BYTES } from '../../../src/wire/constants.js';
import { deferred } from '../../support/deferred.js';
import { FrameType } from '../../support/frame-type.js';
import { attached, event, keptFrames, names as namesOf, ScriptedPeer } from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';
import { microtasks } from '../../support/session-side.js';

const ABORTED = new NyotaError('NYOTA_ABORTED', 'aborted');
const names = ({ server }: SessionPair): unknown[] => server.dispatched.map(({ event }) => event);

async function connected(limits = {}): Promise<SessionPair> {
  const pair = new SessionPair({ client: limits });
  pair.connect();
  await pair.advance(100);
  return pair;
}

describe('a lost session', () => {
  it('takes along what was never sent, in order, and counts what is uncertain', async () => {
    const pair = await connected();
    const told: unknown[] = [];
    const note =
      (name: string) =>
      (error?: NyotaError): unknown =>
        told.push([name, error?.code]);
    pair.client.send('sent', [], note('sent'));
    pair.client.request('sent request', [], ({ error }) => note('request')(error as NyotaError));
    pair.pump();
    pair.cut();
    for (const name of ['a', 'b', 'c']) pair.client.send(name, [], note(name));
    expect(pair.loseSession(undefined)).toEqual({ uncertain: 2 });
    expect(told).toEqual([
      ['sent', 'NYOTA_SESSION_LOST'],
      ['request', 'NYOTA_SESSION_LOST'],
    ]);
    pair.connect();
    await pair.advance(100);
    expect(names(pair)).toEqual(['a', 'b', 'c']);
    expect(told.slice(2)).toEqual([
      ['a', undefined],
      ['b', undefined],
      ['c', undefined],
    ]);
    expect([pair.failures, pair.client.core.link.quiet]).toEqual([[], true]);
  });

  it('leaves nothing uncertain where the server remembers up to where it had handled', async () => {
    const pair = await connected();
    const told: unknown[] = [];
    for (const name of ['handled', 'not handled'])
      pair.client.send(name, [], (error) => told.push([name, error]));
    pair.pump();
    pair.cut();
    pair.client.send('unsent');
    const handled = pair.client.core.link.outbox.ackedSeq + 1;
    expect(pair.loseSession(handled)).toEqual({ uncertain: 0 });
    expect(told).toEqual([['handled', undefined]]);
    pair.connect();
    await pair.advance(100);
    expect(names(pair)).toEqual(['not handled', 'unsent']);
    expect(told).toEqual([
      ['handled', undefined],
      ['not handled', undefined],
    ]);
  });

  it('does not ask again for a reply that nobody waits for', async () => {
    const pair = await connected();
    const id = pair.client.request('given up', [], () => {});
    pair.pump();
    pair.client.core.requests.cancel(id, ABORTED);
    const ran: string[] = [];
    pair.loseSession(0);
    pair.server.handlers.set('given up', () => ran.push('given up'));
    pair.connect();
    await pair.advance(100);
    expect([ran, pair.client.core.link.quiet]).toEqual([[], true]);
  });

  it('drops replies to the old server’s requests; their handlers see it', async () => {
    const pair = await connected();
    let reason: unknown;
    let finish = (): void => {};
    pair.client.handlers.set('slow', (_args, request, done) => {
      request.signal.addEventListener('abort', () => {
        reason = request.signal.reason;
      });
      finish = () => done(true, 'late');
    });
    pair.server.request('slow', [], () => {});
    await pair.settle();
    pair.loseSession(undefined);
    finish();
    expect(reason).toMatchObject({ code: 'NYOTA_SESSION_LOST' });
    expect(pair.client.core.link.outbox.frames).toBe(0);
  });

  it('may be lost again before the new one began', async () => {
    const pair = await connected();
    pair.cut();
    pair.client.send('a');
    pair.loseSession(undefined);
    pair.loseSession(undefined);
    pair.client.send('b');
    pair.connect();
    await pair.advance(100);
    expect(names(pair)).toEqual(['a', 'b']);
  });

  it('tells of the drain where what is lost makes room', async () => {
    const pair = await connected({ highWaterBytes: 200 });
    while (pair.client.send('n', ['x'.repeat(50)])) {}
    pair.pump();
    pair.loseSession(undefined);
    expect(pair.client.drains).toBe(1);
  });

  it('has held messages that acknowledge nothing in the new one', () => {
    const peer = attached('client');
    peer.side.core.link.pause();
    peer.feed(event(1, 'held'), event(2, 'held'));
    peer.side.core.link.restart(undefined, ABORTED, true);
    peer.attach();
    peer.written();
    peer.feed(event(1, 'new', [], true));
    // The held ones never settle, and are no numbers of this session.
    peer.side.listener = ({ event: name }) => (name === 'held' ? new Promise(() => {}) : undefined);
    peer.side.core.link.resume();
    expect(namesOf(peer)).toEqual(['held', 'held', 'new']);
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 1 }]);
    expect(peer.side.core.link.idle).toBe(true);
  });

  it('takes a message along with its wish to be acknowledged at once', async () => {
    const pair = await connected();
    pair.cut();
    pair.client.send('wants its ack', [], () => {});
    pair.client.send('does not');
    pair.loseSession(undefined);
    expect(keptFrames(pair.client).map((frame) => frame[LENGTH_BYTES + 1])).toEqual([
      Flag.SEQ | Flag.ACK_NOW,
      Flag.SEQ,
    ]);
  });

  it('lets its last step let nothing of the new one out', async () => {
    const peer = new ScriptedPeer('client');
    const stored = deferred();
    let steps = 0;
    const { link } = peer.side.core;
    link.keepInStore({
      commit: () => (++steps === 1 ? stored.promise : new Promise(() => {})),
      failed: () => {},
    });
    peer.attach();
    peer.side.send('of the old session');
    link.journal?.flush();
    link.restart(undefined, ABORTED, true);
    peer.attach();
    stored.resolve();
    await microtasks();
    expect(peer.messages().filter(({ seq }) => seq > 0)).toEqual([]);
  });
});

describe('the store of a lost session', () => {
  it('goes along before everything else, and who waits for synced waits on', async () => {
    const pair = await connected();
    pair.client.set('confirmed', 1);
    pair.server.set('by server', 2);
    await pair.settle();
    pair.cut();
    pair.client.set('pending', 3);
    pair.client.send('look');
    let synced = false;
    pair.client.core.store.whenSynced(() => {
      synced = true;
    });
    pair.loseSession(undefined);
    const atLook: unknown[] = [];
    pair.server.listener = () => {
      atLook.push(...pair.server.content());
      return undefined;
    };
    expect(synced).toBe(false);
    pair.connect();
    await pair.advance(100);
    const all = [
      ['by server', 2],
      ['confirmed', 1],
      ['pending', 3],
    ];
    expect([synced, atLook, pair.client.content()]).toEqual([true, all, all]);
  });

  it('goes along whole, also where it is larger than the outbox may be', async () => {
    const pair = await connected({ maxOutboxBytes: 2_000, maxOutboxFrames: 10 });
    for (let i = 0; i < 60; i++) {
      pair.client.set(`key ${i}`, 'x'.repeat(100));
      if (i % 5 === 0) await pair.advance(100);
    }
    await pair.advance(100);
    pair.cut();
    pair.client.send('kept');
    const before = pair.client.content();
    pair.loseSession(undefined);
    expect(pair.client.content()).toEqual(before);
    for (let i = 0; i < 20 && !pair.client.core.link.quiet; i++) {
      pair.connect();
      await pair.advance(100);
    }
    expect(pair.server.content()).toEqual(before);
    expect(names(pair)).toEqual(['kept']);
  });

  it('is empty where the server forgot the session on purpose, and everybody hears of it', async () => {
    const pair = await connected();
    pair.client.set('a', 1);
    await pair.settle();
    pair.client.set('pending', 2);
    const outcomes: unknown[] = [];
    pair.client.core.store.whenSynced((error) => outcomes.push(error?.code));
    pair.client.core.store.compareAndSet(
      { kind: 'compare-and-set', key: 'b', bytes: Buffer.from([1]), expectedRevision: 0 },
      (result) => outcomes.push(result.accepted),
    );
    pair.loseSession(undefined, false);
    expect([pair.client.content(), pair.client.seen.size, outcomes.sort()]).toEqual([
      [],
      0,
      ['NYOTA_SESSION_LOST', false],
    ]);
    pair.client.set('new', 3);
    pair.connect();
    await pair.advance(100);
    expect(pair.server.content()).toEqual([['new', 3]]);
  });

  it('sends one write for each key, and no compare-and-set of the old session', async () => {
    const pair = await connected();
    pair.cut();
    for (let i = 0; i < 5; i++) pair.client.set('same', i);
    const answers: unknown[] = [];
    pair.client.core.store.compareAndSet(
      { kind: 'compare-and-set', key: 'swap', bytes: Buffer.from([1]), expectedRevision: 0 },
      (result) => answers.push(result.accepted || result.error.code),
    );
    pair.loseSession(undefined);
    const types: unknown[] = [];
    pair.client.core.link.outbox.forEach((_seq, frame) => {
      types.push(frame[4]);
    });
    expect([types, answers]).toEqual([[FrameType.KV_OP], ['NYOTA_SESSION_LOST']]);
  });
});
