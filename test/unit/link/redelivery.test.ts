/** A session that is taken from a store: what is dispatched again, and flagged (docs/design.md, rules 26 and 27). */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import type { Role } from '../../../src/features/session-core.js';
import type { CoreImage } from '../../../src/link/persisted.js';
import { event, keptFrames, names, request, ScriptedPeer } from '../../support/session-frames.js';

/** What a process before has kept of a session in which nothing was handled. */
const EMPTY: CoreImage = {
  inbound: { settled: 0, beyond: [] },
  entries: [],
  revision: 0,
  outbound: [],
  trimmed: 0,
  lastSeq: 0,
  resolvedSeq: 0,
};

/** @param sentBefore what the other side says to have sent before */
function restored(image: Partial<CoreImage>, sentBefore: number, role: Role = 'server'): ScriptedPeer {
  const peer = new ScriptedPeer(role);
  const { link } = peer.side.core;
  link.keepInStore({ commit: () => {}, failed: () => {} }, { ...EMPTY, ...image });
  link.expectRedelivery(sentBefore);
  peer.attach();
  return peer;
}

describe('a session that another process has had before', () => {
  it('knows what was dispatched once all has been dispatched again, not once it has arrived', () => {
    const peer = new ScriptedPeer('server');
    const { link } = peer.side.core;
    link.keepInStore({ commit: () => {}, failed: () => {} }, EMPTY);
    expect(link.knowsDispatched).toBe(false);
    link.expectRedelivery(2);
    peer.attach();
    peer.side.core.link.pause();
    peer.feed(event(1, 'a'), event(2, 'b'));
    expect(link.knowsDispatched).toBe(false);
    peer.side.core.link.resume();
    expect(peer.side.dispatched.map(({ event: name }) => name)).toEqual(['a', 'b']);
    expect(link.knowsDispatched).toBe(true);
  });
});

describe('what the other side sends again', () => {
  it('is flagged where it was sent before, and not dispatched where it had settled out of order', () => {
    const peer = restored({ inbound: { settled: 1, beyond: [[3, 3]] } }, 4);
    const flags: unknown[] = [];
    peer.side.handlers.set('ask', ([n], { redelivered }, done) => {
      flags.push([n, redelivered]);
      done(true, null);
    });
    peer.feed(event(2, 'two'), event(3, 'three'), request(4, 1, 'ask', [4]), event(5, 'five'));
    peer.feed(request(6, 2, 'ask', [6]));
    expect([names(peer), peer.side.redelivered]).toEqual([['two', 'five'], ['two']]);
    expect(flags).toEqual([
      [4, true],
      [6, false],
    ]);
  });

  it('is not written to the store again where it had settled out of order', () => {
    const writer = new ScriptedPeer('client');
    writer.side.set('key', 'again');
    const peer = restored({ inbound: { settled: 0, beyond: [[1, 1]] }, revision: 1 }, 1);
    peer.feed(...keptFrames(writer.side), event(2, 'next'));
    expect([peer.side.content(), names(peer)]).toEqual([[], ['next']]);
  });

  it('is not flagged in the session that follows', () => {
    const peer = restored({}, 9, 'client');
    peer.side.core.link.restart(undefined, new NyotaError('NYOTA_SESSION_LOST', 'lost'), true);
    peer.attach();
    peer.feed(event(1, 'of the new session'));
    expect([names(peer), peer.side.redelivered]).toEqual([['of the new session'], []]);
  });

  it('is not flagged without a store, whatever the other side says', () => {
    const peer = new ScriptedPeer('server');
    peer.side.core.link.expectRedelivery(9);
    peer.attach();
    peer.feed(event(1, 'a'));
    expect(peer.side.redelivered).toEqual([]);
  });
});
