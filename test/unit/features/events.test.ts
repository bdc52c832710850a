/** Events: reserved names, those that are encoded once for many sessions, and volatile ones. */
import { describe, expect, it } from 'vitest';
import { thrownCode } from '../../support/session-codes.js';
import { attached, names, volatile } from '../../support/session-frames.js';

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
