/** Every request settles once: those of ours that wait for a reply, and those whose handler runs here (docs/design.md, rule 45). */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { RunningRequest } from '../../../src/features/requests.js';
import { FrameType } from '../../support/frame-type.js';
import {
  attached,
  cancel,
  event,
  reply,
  request,
  ScriptedPeer,
  slowListeners,
} from '../../support/session-frames.js';
import { SessionPair } from '../../support/session-pair.js';
import { microtasks } from '../../support/session-side.js';

const ABORTED = new NyotaError('NYOTA_ABORTED', 'aborted');
const LOST = new NyotaError('NYOTA_SESSION_LOST', 'lost');

interface Outcome {
  readonly reply?: unknown;
  readonly error?: unknown;
}

function asking() {
  const peer = new ScriptedPeer('client');
  peer.attach();
  const settled: unknown[] = [];
  const ask = (timeoutMs?: number): number => {
    const id: number = peer.side.request(
      'e',
      [],
      (outcome: Outcome) => settled.push([id, outcome]),
      timeoutMs,
    );
    return id;
  };
  return { peer, settled, ask, requests: peer.side.core.requests };
}

const types = (frames: ReadonlyArray<{ type: number }>): number[] =>
  frames.map(({ type }) => type).filter((type) => type !== FrameType.ACK);

const codeOf = (outcome: unknown): unknown => ((outcome as Outcome).error as NyotaError).code;

describe('requests that wait for their reply', () => {
  it('settle once: a second reply is nobody’s', () => {
    const { peer, settled, ask, requests } = asking();
    const id = ask();
    peer.written();
    peer.feed(reply(1, id, 'first'), reply(2, id, 'second'));
    expect([settled, requests.pending]).toEqual([[[id, { reply: 'first' }]], 0]);
  });

  it('end at their deadline, and the next one is known', () => {
    const { peer, settled, ask, requests } = asking();
    const start = peer.now;
    ask(30);
    const soon = ask(10);
    ask();
    expect(requests.nextDeadline).toBe(start + 10);
    requests.tick(start + 9);
    expect(settled).toEqual([]);
    requests.tick(start + 10);
    expect(settled.map((one) => [(one as [number])[0], codeOf((one as unknown[])[1])])).toEqual([
      [soon, 'NYOTA_TIMEOUT'],
    ]);
    expect([requests.nextDeadline, requests.pending]).toEqual([start + 30, 2]);
    requests.tick(start + 30);
    expect([requests.nextDeadline, requests.pending]).toEqual([Number.POSITIVE_INFINITY, 1]);
  });

  it('all fail at the end of the session, each once', () => {
    const { settled, ask, requests } = asking();
    const ids = [ask(), ask()];
    requests.end(LOST);
    requests.end(LOST);
    expect(settled).toEqual(ids.map((id) => [id, { error: LOST }]));
  });

  it('get new numbers in a new session, or fail once all is in place', () => {
    const { settled, ask, requests } = asking();
    const gone = ask();
    ask();
    const later: Array<() => void> = [];
    requests.carried({ error: LOST, keepShared: true, numbers: new Map([[2, 1]]), later });
    expect([settled, requests.pending]).toEqual([[], 1]);
    for (const tell of later) tell();
    expect(settled).toEqual([[gone, { error: LOST }]]);
    expect(requests.wanted()(FrameType.REQUEST, 1)).toBe(true);
  });
});

function handling() {
  const peer = new ScriptedPeer('server');
  peer.attach();
  const running: Array<{ request: RunningRequest; done: (ok: boolean, value: unknown) => void }> = [];
  peer.side.handlers.set('e', (_args, one, done) => running.push({ request: one, done }));
  const at = (index: number) => running[index] as (typeof running)[number];
  return { peer, at, requests: peer.side.core.requests };
}

describe('requests whose handler runs here', () => {
  it('are answered once, and not after the session has ended', () => {
    const { peer, at, requests } = handling();
    peer.feed(request(1, 1, 'e'), request(2, 2, 'e'));
    at(0).done(true, 'a');
    at(0).done(true, 'b');
    expect(peer.messages().filter(({ type }) => type === FrameType.REPLY)).toHaveLength(1);
    requests.abandon(LOST);
    at(1).done(true, 'late');
    expect(at(1).request.signal.reason).toBe(LOST);
    expect(peer.messages().filter(({ type }) => type === FrameType.REPLY)).toHaveLength(0);
  });

  it('hear of a cancel by their signal, also where they ask for it later', () => {
    const { peer, at } = handling();
    peer.feed(request(1, 1, 'e'), request(2, 2, 'e'));
    const { signal } = at(0).request;
    peer.feed(cancel(3, 1), cancel(4, 2), cancel(5, 3));
    expect([signal.aborted, at(1).request.signal.aborted]).toEqual([true, true]);
    expect((signal.reason as NyotaError).code).toBe('NYOTA_ABORTED');
  });

  it('hear when their caller stops waiting', () => {
    const { peer, at, requests } = handling();
    const start = peer.now;
    peer.feed(request(1, 1, 'e', [], 10), request(2, 2, 'e', [], 20));
    expect(requests.nextDeadline).toBe(start + 10);
    requests.tick(start + 10);
    expect([at(0).request.aborted, at(1).request.aborted, requests.nextDeadline]).toEqual([
      true,
      false,
      start + 20,
    ]);
    expect((at(0).request.signal.reason as NyotaError).code).toBe('NYOTA_TIMEOUT');
    at(1).done(true, 1);
    at(0).done(true, 1);
    expect(requests.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('abort with the first reason only', () => {
    const one = new RunningRequest(1, 0, 1, false);
    one.abort(LOST);
    one.abort(new NyotaError('NYOTA_ABORTED', 'later'));
    expect(one.signal.reason).toBe(LOST);
  });
});

describe('a request', () => {
  it('is settled by its reply, once; a late or unknown reply is nobody’s', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const outcomes: unknown[] = [];
    const id = peer.side.request('r', [], (outcome) => outcomes.push(outcome));
    peer.feed(reply(1, id, 'first'), reply(2, id, 'again'), reply(3, 999, 'unknown'));
    expect(outcomes).toEqual([{ reply: 'first' }]);
  });

  it('that times out is taken back while unsent, and cancelled after', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const codes: unknown[] = [];
    const note = ({ error }: { error?: unknown }): unknown => codes.push((error as NyotaError).code);
    peer.side.request('sent', [], note, 100.5);
    peer.written();
    peer.side.request('unsent', [], note, 50);
    peer.now += 50;
    peer.side.fireTimer();
    peer.now += 50.5;
    peer.side.fireTimer();
    expect(codes).toEqual(['NYOTA_TIMEOUT', 'NYOTA_TIMEOUT']);
    expect(types(peer.messages())).toEqual([FrameType.SKIP, FrameType.CANCEL]);
    expect(peer.side.core.requests.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('that is cancelled tells the handler, or was never there', () => {
    const peer = new ScriptedPeer('client');
    peer.attach();
    const outcomes: unknown[] = [];
    const sent = peer.side.request('sent', [], ({ error }) => outcomes.push(error));
    peer.written();
    const unsent = peer.side.request('unsent', [], ({ error }) => outcomes.push(error));
    for (const id of [sent, unsent, unsent]) peer.side.core.requests.cancel(id, ABORTED);
    expect(outcomes).toEqual([ABORTED, ABORTED]);
    expect(peer.messages()).toMatchObject([
      { type: FrameType.SKIP },
      { type: FrameType.CANCEL, body: [sent, 'NYOTA_ABORTED'] },
    ]);
  });

  it('with a time to live fails with it where it was not sent in time', () => {
    const peer = new ScriptedPeer('client');
    const errors: unknown[] = [];
    const options = { timeoutMs: 1_000, expiresAt: peer.now + 10 };
    const failed = (error: unknown) => errors.push((error as NyotaError).code);
    peer.side.core.requests.request('r', [], options, () => errors.push('a reply'), failed);
    peer.now += 10;
    peer.side.fireTimer();
    expect([errors, peer.side.core.link.counters.expired, peer.side.core.requests.pending]).toEqual([
      ['NYOTA_EXPIRED'],
      1,
      0,
    ]);
  });

  it('may wait with a fraction of a millisecond', async () => {
    const pair = new SessionPair();
    const outcomes: unknown[] = [];
    pair.server.handlers.set('r', (_args, { deadline }, done) => done(true, deadline - pair.now()));
    pair.connect();
    pair.client.request('r', [], (outcome) => outcomes.push(outcome), 300.25);
    await pair.settle();
    expect([outcomes, pair.failures]).toEqual([[{ reply: 301 }], []]);
  });
});

describe('handlers', () => {
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
    const peer = attached('server', { maxRunningHandlers: 1 });
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
