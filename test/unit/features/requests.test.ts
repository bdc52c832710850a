/** Requests: those of ours that wait for a reply, and those whose handler runs here. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { RunningRequest } from '../../../src/features/requests.js';
import { FrameType } from '../../support/frame-type.js';
import { cancel, reply, request, ScriptedPeer } from '../../support/session-frames.js';

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
