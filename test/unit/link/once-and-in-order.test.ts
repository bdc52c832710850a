/** What arrives is dispatched once and in order; what is held, and when the other side is not read any more. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/errors.js';
import { Flag } from '../../../src/wire/constants.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { FrameType } from '../../support/frame-type.js';
import { thrownCode } from '../../support/session-codes.js';
import { ack, cancel, event, reply, request, ScriptedPeer, volatile } from '../../support/session-frames.js';
import { microtasks, type Settleable, settleable } from '../../support/session-side.js';

const names = (peer: ScriptedPeer): string[] => peer.side.dispatched.map(({ event: name }) => name);

/** Listeners that wait until they are settled, in the order of their start. */
function slowListeners(peer: ScriptedPeer): Settleable[] {
  const running: Settleable[] = [];
  peer.side.listener = () => {
    const one = settleable();
    running.push(one);
    return one.promise;
  };
  return running;
}

function attached(limits = {}): ScriptedPeer {
  const peer = new ScriptedPeer('server', limits);
  peer.attach();
  return peer;
}

describe('numbers', () => {
  it('that came before are dropped, and acknowledged again', () => {
    const peer = attached();
    peer.feed(event(1, 'a'), event(2, 'b'));
    peer.written();
    peer.feed(event(1, 'a'), event(2, 'b'), event(3, 'c'));
    expect(names(peer)).toEqual(['a', 'b', 'c']);
    expect(peer.side.core.link.counters.duplicatesDropped).toBe(2);
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 3 }]);
  });

  it('that leave a gap end the connection, and dispatch nothing', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(event(2, 'b')))).toBe('NYOTA_SEQUENCE_GAP');
    expect(names(peer)).toEqual([]);
  });

  it('of a frame that is refused are not used up', () => {
    const peer = attached();
    expect(thrownCode(() => peer.feed(event(1, 'connect')))).toBe('NYOTA_RESERVED_EVENT');
    expect(thrownCode(() => peer.feed(request(1, 1, 'error')))).toBe('NYOTA_RESERVED_EVENT');
    expect(thrownCode(() => peer.feed(encodeFrame(0x3f as FrameType, { seq: 1 })))).toBe(
      'NYOTA_UNKNOWN_FRAME',
    );
    peer.feed(event(1, 'fine'));
    expect(names(peer)).toEqual(['fine']);
  });

  it('of unknown optional frames count as handled', () => {
    const peer = attached();
    peer.feed(encodeFrame(0x3f as FrameType, { seq: 1, flags: Flag.OPTIONAL }), event(2, 'next', [], true));
    expect(names(peer)).toEqual(['next']);
    expect(peer.messages()).toMatchObject([{ ack: 2 }]);
  });
});

describe('running listeners', () => {
  it('may be many at once; above maxRunningHandlers what comes is held, in order', async () => {
    const peer = attached({ maxRunningHandlers: 2 });
    const running = slowListeners(peer);
    peer.feed(event(1, 'a'), event(2, 'b'), event(3, 'c'), event(4, 'd'));
    expect(names(peer)).toEqual(['a', 'b']);
    running[1]?.settle();
    await microtasks();
    expect(names(peer)).toEqual(['a', 'b', 'c']);
    running[0]?.settle();
    running[2]?.settle();
    await microtasks();
    expect(names(peer)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('let replies and cancels overtake what is held: both sides may wait for the other', () => {
    const peer = attached({ maxRunningHandlers: 1 });
    slowListeners(peer);
    const outcomes: unknown[] = [];
    const id = peer.side.request('ask', [], (outcome) => outcomes.push(outcome));
    peer.written();
    peer.feed(ack(1), event(1, 'a'), event(2, 'held'), reply(3, id, 'answer'));
    expect(outcomes).toEqual([{ reply: 'answer' }]);
    expect(names(peer)).toEqual(['a']);
  });

  it('are told of a cancel by their signal, and their late answer is dropped', () => {
    const peer = attached();
    const signals: AbortSignal[] = [];
    const dones: Array<() => void> = [];
    peer.side.handlers.set('work', (_args, { signal }, done) => {
      signals.push(signal);
      dones.push(() => done(true, 'late'));
    });
    peer.feed(request(1, 9, 'work'), cancel(2, 9, 'NYOTA_TIMEOUT'));
    expect(signals.map(({ aborted, reason }) => [aborted, (reason as NyotaError).code])).toEqual([
      [true, 'NYOTA_TIMEOUT'],
    ]);
    for (const done of dones) done();
    expect(peer.messages().filter(({ type }) => type === FrameType.REPLY)).toEqual([]);
  });

  it('never see a request that was cancelled while it was held, nor a cancel of nothing', async () => {
    const peer = attached({ maxRunningHandlers: 1 });
    const running = slowListeners(peer);
    const ran: string[] = [];
    peer.side.handlers.set('work', (_args, _request, done) => {
      ran.push('work');
      done(true, null);
    });
    peer.feed(event(1, 'a'), request(2, 5, 'work'), cancel(3, 5), cancel(4, 77));
    running[0]?.settle();
    await microtasks();
    expect(ran).toEqual([]);
    peer.now += 50;
    peer.side.fireTimer();
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 4 }]);
  });

  it('hear when the deadline of a request has passed, and answer no more', () => {
    const peer = attached();
    let signal: AbortSignal | undefined;
    peer.side.handlers.set('work', (_args, running) => {
      signal = running.signal;
      expect(running.deadline).toBe(1_000 + 300);
    });
    peer.feed(request(1, 1, 'work', [], 300));
    peer.now += 299;
    peer.side.fireTimer();
    expect(signal?.aborted).toBe(false);
    peer.now += 1;
    peer.side.fireTimer();
    expect(signal?.reason).toMatchObject({ code: 'NYOTA_TIMEOUT' });
  });

  it('answer NYOTA_NO_HANDLER at once where nobody handles a request', () => {
    const peer = attached();
    peer.feed(request(1, 4, 'nobody'));
    const [written] = peer.messages().filter(({ type }) => type === FrameType.REPLY);
    expect(written?.body).toMatchObject([4, false, { code: 'NYOTA_NO_HANDLER' }]);
  });
});

describe('settleTimeoutMs', () => {
  it('counts a stuck listener as settled, reports it, and dispatches what waited behind it', async () => {
    const peer = attached({ settleTimeoutMs: 500, maxRunningHandlers: 1 });
    const running = slowListeners(peer);
    peer.feed(event(1, 'stuck'), event(2, 'next'));
    expect(peer.side.core.link.nextDeadline).toBeLessThanOrEqual(1_500);
    peer.now += 499;
    peer.side.fireTimer();
    expect(names(peer)).toEqual(['stuck']);
    peer.now += 1;
    peer.side.fireTimer();
    expect(names(peer)).toEqual(['stuck', 'next']);
    expect(peer.side.reports.map(({ code, message }) => [code, /'stuck'.* 500 ms/.test(message)])).toEqual([
      ['NYOTA_SETTLE_TIMEOUT', true],
    ]);
    running[0]?.settle(); // too late to count
    running[1]?.settle();
    await microtasks();
    expect(peer.side.core.link.idle).toBe(true);
  });

  it('lets a long request be answered still, and reports nothing of it', () => {
    const peer = attached({ settleTimeoutMs: 500 });
    let finish = (): void => {};
    peer.side.handlers.set('long', (_args, _request, done) => {
      finish = () => done(true, 'at last');
    });
    peer.feed(request(1, 1, 'long'));
    peer.now += 500;
    peer.side.fireTimer();
    peer.written();
    finish();
    expect(peer.messages()).toMatchObject([{ type: FrameType.REPLY, body: [1, true, 'at last'] }]);
    expect(peer.side.reports).toEqual([]);
  });

  it('counts for a held event from the moment its listener runs', async () => {
    const peer = attached({ settleTimeoutMs: 500, maxRunningHandlers: 1 });
    const running = slowListeners(peer);
    peer.feed(event(1, 'first'), event(2, 'held'));
    peer.now += 400;
    running[0]?.settle();
    await microtasks();
    peer.now += 400;
    peer.side.fireTimer();
    expect(peer.side.reports).toEqual([]);
    peer.now += 100;
    peer.side.fireTimer();
    expect(peer.side.reports.length).toBe(1);
  });
});

describe('volatile events', () => {
  it('are dispatched where they can be at once, and dropped otherwise', () => {
    const peer = attached();
    peer.feed(volatile('now', [1]));
    peer.side.core.link.pause();
    peer.feed(volatile('dropped'));
    expect(names(peer)).toEqual(['now']);
    expect(peer.side.core.link.counters.volatileDropped).toBe(1);
    expect(thrownCode(() => peer.feed(volatile('close')))).toBe('NYOTA_RESERVED_EVENT');
  });
});
