/** A session that has ended: what waits is told, and nothing brings it back. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { thrownCode } from '../../support/session-codes.js';
import { attached, event } from '../../support/session-frames.js';

const CLOSED = new NyotaError('NYOTA_CLOSED', 'closed');

describe('the end of a session', () => {
  it('settles everything once, and refuses what comes after', () => {
    const peer = attached('client');
    const told: string[] = [];
    peer.side.send('a', [], (error) => told.push(`ack ${error?.code}`));
    peer.side.request('r', [], ({ error }) => told.push(`reply ${(error as NyotaError).code}`));
    peer.side.set('key', 1);
    peer.side.core.store.whenSynced((error) => told.push(`synced ${error?.code}`));
    peer.side.core.link.end(CLOSED);
    peer.side.core.link.end(new NyotaError('NYOTA_INTERNAL', 'again'));
    expect(told.sort()).toEqual(['ack NYOTA_CLOSED', 'reply NYOTA_CLOSED', 'synced NYOTA_CLOSED']);
    expect([thrownCode(() => peer.side.core.link.assertLive()), peer.side.core.link.state.is]).toEqual([
      'NYOTA_CLOSED',
      'ended',
    ]);
    expect(thrownCode(() => peer.side.set('key', 2))).toBe('NYOTA_CLOSED');
    expect([peer.side.core.link.nextDeadline, peer.side.core.link.outbox.bytes]).toEqual([
      Number.POSITIVE_INFINITY,
      0,
    ]);
    peer.side.core.link.tick();
    expect(peer.pull()).toBeUndefined();
  });

  it('stays an end: neither restart nor a late frame brings the session back', () => {
    const peer = attached('client');
    peer.side.core.link.end(CLOSED);
    peer.side.core.link.restart(undefined, CLOSED, true);
    peer.feed(event(1, 'late'));
    expect([peer.side.core.link.state.is, peer.side.dispatched]).toEqual(['ended', []]);
  });

  it('leaves nothing to be stored: no step follows', () => {
    const peer = attached('server');
    let steps = 0;
    const { link } = peer.side.core;
    link.keepInStore({ commit: () => void steps++, failed: () => {} });
    peer.side.set('key', 1);
    link.end(CLOSED);
    link.journal?.flush();
    expect([steps, link.journal?.unsettled]).toEqual([0, false]);
  });
});
