/** When what arrived is acknowledged, and that an ack never claims what has not settled. */
import { describe, expect, it } from 'vitest';
import { ACK_BYTES, ACK_DELAY_MS, ACK_FRAMES, Inbox } from '../../../src/link/inbox.js';
import { FrameType } from '../../support/frame-type.js';
import { attached, event } from '../../support/session-frames.js';

function accept(inbox: Inbox, upTo: number, now = 0, bytes = 10): void {
  for (let seq = inbox.received + 1; seq <= upTo; seq++) inbox.accept(seq, bytes, false, now);
}

describe('what an ack claims', () => {
  it('is all that has been received, where everything settles at once', () => {
    const inbox = new Inbox();
    accept(inbox, 3);
    expect([inbox.received, inbox.ackable, inbox.takeAck(), inbox.ackReady]).toEqual([3, 3, 3, false]);
  });

  it('ends before the first that has not settled, however many behind it have', () => {
    const inbox = new Inbox();
    accept(inbox, 5);
    inbox.open(2, 0, 'slow');
    inbox.open(4, 0, 'slower');
    expect([inbox.ackable, [...inbox.unsettled()].length]).toEqual([1, 2]);
    inbox.settle(4, 0);
    expect(inbox.ackable).toBe(1);
    inbox.settle(2, 0);
    expect(inbox.ackable).toBe(5);
  });

  it('settles each number once', () => {
    const inbox = new Inbox();
    accept(inbox, 1);
    inbox.open(1, 0, undefined);
    expect([inbox.settle(1, 0), inbox.settle(1, 0), inbox.settle(7, 0)]).toEqual([true, false, false]);
  });

  it('lists the unsettled ones by rising number, also where handling began in another order', () => {
    const inbox = new Inbox();
    accept(inbox, 3);
    inbox.open(2, Number.POSITIVE_INFINITY, undefined);
    inbox.open(3, 7, 'later');
    inbox.open(2, 9, 'now');
    expect([...inbox.unsettled()]).toEqual([
      [2, { since: 9, event: 'now' }],
      [3, { since: 7, event: 'later' }],
    ]);
  });
});

describe('when an ack is due', () => {
  it(`after ${ACK_FRAMES} frames`, () => {
    const inbox = new Inbox();
    accept(inbox, ACK_FRAMES - 1);
    expect(inbox.ackDue(0)).toBe(false);
    accept(inbox, ACK_FRAMES);
    expect(inbox.ackDue(0)).toBe(true);
  });

  it(`after ${ACK_BYTES} bytes`, () => {
    const inbox = new Inbox();
    inbox.accept(1, ACK_BYTES - 1, false, 0);
    expect(inbox.ackDue(0)).toBe(false);
    inbox.accept(2, 1, false, 0);
    expect(inbox.ackDue(0)).toBe(true);
    inbox.takeAck();
    inbox.accept(3, 1, false, 0);
    expect(inbox.ackDue(0)).toBe(false);
  });

  it(`${ACK_DELAY_MS} ms after the first that waits`, () => {
    const inbox = new Inbox();
    expect(inbox.ackDueAt).toBe(Number.POSITIVE_INFINITY);
    accept(inbox, 1, 100);
    accept(inbox, 2, 120);
    expect(inbox.ackDueAt).toBe(100 + ACK_DELAY_MS);
    expect([inbox.ackDue(149), inbox.ackDue(150)]).toEqual([false, true]);
    inbox.takeAck();
    expect([inbox.ackDueAt, inbox.ackDue(1_000)]).toEqual([Number.POSITIVE_INFINITY, false]);
  });

  it('never while nothing new has settled', () => {
    const inbox = new Inbox();
    accept(inbox, 100);
    inbox.open(1, 0, 'slow');
    expect([inbox.ackDue(1e9), inbox.ackDueAt]).toEqual([false, Number.POSITIVE_INFINITY]);
    inbox.settle(1, 2_000);
    expect(inbox.ackDue(2_000)).toBe(true);
  });

  it('counts from the settling where all before it was acknowledged', () => {
    const inbox = new Inbox();
    accept(inbox, 1, 0);
    inbox.open(1, 0, 'slow');
    inbox.takeAck();
    inbox.settle(1, 500);
    expect(inbox.ackDueAt).toBe(500 + ACK_DELAY_MS);
  });

  it('at once where the sender waits for it, but only once it has settled', () => {
    const inbox = new Inbox();
    inbox.accept(1, 10, true, 0);
    inbox.open(1, 0, 'slow');
    expect(inbox.ackDue(0)).toBe(false);
    inbox.settle(1, 0);
    expect(inbox.ackDue(0)).toBe(true);
    inbox.takeAck();
    inbox.accept(2, 10, false, 0);
    expect(inbox.ackDue(0)).toBe(false);
  });

  it('at once where the other side should hear it again', () => {
    const inbox = new Inbox();
    accept(inbox, 1);
    inbox.takeAck();
    inbox.acknowledgeAgain();
    expect([inbox.ackDue(0), inbox.takeAck(), inbox.ackDue(0)]).toEqual([true, 1, false]);
  });
});

describe('acknowledgements on the wire', () => {
  it('go along with whatever else is written', () => {
    const peer = attached();
    peer.written();
    peer.feed(event(1, 'a'));
    expect(peer.messages()).toEqual([]);
    peer.side.send('b');
    expect(peer.messages()).toMatchObject([{ ack: 1 }, { seq: 1 }]);
  });

  it('wait 50 ms otherwise, and then wake the writer once, not again and again while it can not write', () => {
    const peer = attached();
    peer.side.fireTimer(); // the first ping
    peer.written();
    peer.feed(event(1, 'a'));
    expect(peer.side.timerAt).toBe(1_050);
    peer.now = 1_050;
    peer.side.fireTimer();
    expect(peer.side.woken).toBe(true);
    // Nobody pulls: the connection is blocked. Nothing is due until the next ping.
    expect(peer.side.timerAt).toBeGreaterThan(10_000);
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 1 }]);
    peer.feed(event(2, 'b'));
    expect(peer.side.core.link.nextDeadline).toBe(1_100);
  });

  it('are told again on a new connection, where the last one may not have arrived', () => {
    const peer = attached();
    peer.feed(event(1, 'a', [], true));
    peer.written();
    peer.attach();
    expect(peer.messages()).toMatchObject([{ type: FrameType.ACK, ack: 1 }]);
  });
});
