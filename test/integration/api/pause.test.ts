/** docs/api.md, "Peer": `pause` and `resume`. */
import { describe, expect, it } from 'vitest';
import { type AnyPeer, DIRECTIONS, once, useKit } from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('pause() and resume() of the %s', (side, otherSide) => {
  it('stop and start dispatching, and nothing is lost or reordered', async () => {
    const pair = await kit.pair();
    const peer: AnyPeer = pair[side];
    const from: AnyPeer = pair[otherSide];
    const heard: unknown[] = [];
    peer.on('tick', (n) => heard.push(n));
    await from.sendWithAck('tick', 'before');
    expect(peer.pause()).toBe(peer);
    let acked = false;
    const last = from.sendWithAck('tick', 0).then(() => {
      acked = true;
    });
    for (let n = 1; n < 50; n++) from.send('tick', n);
    // The other way is open all the while.
    const other = once(from, 'other way');
    peer.send('other way');
    await other;
    expect(heard).toEqual(['before']);
    expect(acked).toBe(false);
    expect(peer.resume()).toBe(peer);
    await last;
    await from.sendWithAck('tick', 50);
    expect(heard).toEqual(['before', ...Array.from({ length: 51 }, (_, n) => n)]);
  });

  it('push back on the other side: its send returns false at last', async () => {
    const pair = await kit.pair({
      server: { highWaterBytes: 64 * 1024 },
      client: { highWaterBytes: 64 * 1024 },
    });
    const peer: AnyPeer = pair[side];
    const from: AnyPeer = pair[otherSide];
    let bytes = 0;
    peer.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    peer.pause();
    const chunk = Buffer.alloc(16 * 1024);
    let sent = 0;
    do sent += chunk.length;
    while (from.send('data', chunk));
    expect(sent).toBeLessThan(1024 * 1024);
    const drained = once(from, 'drain');
    peer.resume();
    await drained;
    await from.sendWithAck('data', Buffer.alloc(0));
    expect(bytes).toBe(sent);
  });
});
