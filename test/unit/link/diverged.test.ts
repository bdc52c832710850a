/** Neither side may know less than it did, nor more than it was told (docs/design.md, rule 5). */
import { describe, expect, it } from 'vitest';
import { thrownCode } from '../../support/session-codes.js';
import { ack, attached } from '../../support/session-frames.js';

describe('a connection', () => {
  it('is refused by a side that knows less than it once did, or more than it was told', () => {
    const peer = attached();
    for (const name of ['a', 'b', 'c']) peer.side.send(name);
    peer.written();
    peer.feed(ack(2));
    const { core } = peer.side;
    expect([1, 2, 3, 4].map((received) => core.link.diverged(received)?.code)).toEqual([
      'NYOTA_DIVERGED',
      undefined,
      undefined,
      'NYOTA_DIVERGED',
    ]);
  });

  it('ends where the other side acknowledges what was not sent on it', () => {
    const peer = attached();
    peer.side.send('a');
    expect(thrownCode(() => peer.feed(ack(1)))).toBe('NYOTA_DIVERGED');
    peer.written();
    peer.feed(ack(1));
    expect(thrownCode(() => peer.feed(ack(2)))).toBe('NYOTA_DIVERGED');
  });
});
