/** A listener that never settles can't stop a session (docs/design.md, rule 18). */
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../support/frame-type.js';
import { attached, event, names, request, slowListeners } from '../../support/session-frames.js';
import { microtasks } from '../../support/session-side.js';

describe('settleTimeoutMs', () => {
  it('counts a stuck listener as settled, reports it, and dispatches what waited behind it', async () => {
    const peer = attached('server', { settleTimeoutMs: 500, maxRunningHandlers: 1 });
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
    const peer = attached('server', { settleTimeoutMs: 500 });
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
    const peer = attached('server', { settleTimeoutMs: 500, maxRunningHandlers: 1 });
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
