/** With a durable store: an ack and a frame wait for their step (docs/design.md, rule 3). The journal has its own tests. */
import { describe, expect, it } from 'vitest';
import { ACK_DELAY_MS, Inbox } from '../../../src/link/inbox.js';
import { Outbox } from '../../../src/link/outbox.js';
import { SEQUENCED_HEADER_BYTES } from '../../../src/wire/constants.js';
import { FrameType } from '../../support/frame-type.js';

const FRAME_BYTES = SEQUENCED_HEADER_BYTES + 5;

describe('an ack that waits for a step', () => {
  it('is still due after an earlier one has gone out, which could not claim it yet', () => {
    const inbox = new Inbox();
    inbox.holdBack();
    inbox.accept(1, 10, true, 0);
    const first = inbox.snapshot();
    // The second message arrives while the step of the first is being stored.
    inbox.accept(2, 10, false, 5);
    inbox.commit(first.settled);
    expect(inbox.takeAck()).toBe(1);
    expect(inbox.ackDueAt).toBe(5 + ACK_DELAY_MS);
    expect([inbox.ackDue(5), inbox.ackDue(5 + ACK_DELAY_MS)]).toEqual([false, true]);
    inbox.commit(inbox.snapshot().settled);
    expect(inbox.takeAck()).toBe(2);
    expect(inbox.ackDueAt).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('an outbox that is shut', () => {
  const limits = { maxOutboxBytes: 1e6, maxOutboxFrames: 1e6 };

  it('hands out nothing, and then what was released meanwhile and nothing else', () => {
    const outbox = new Outbox(limits);
    outbox.holdBack();
    for (let i = 0; i < 3; i++) outbox.append(FrameType.EVENT, 0, Buffer.alloc(5));
    outbox.release(1);
    outbox.shut();
    outbox.release(2);
    expect([outbox.take(), outbox.ready]).toEqual([undefined, false]);
    outbox.open();
    expect([outbox.ready, outbox.take()?.length, outbox.cursorSeq]).toEqual([true, 2 * FRAME_BYTES, 2]);
    expect(outbox.take()).toBeUndefined();
  });

  it('is open for the session that follows', () => {
    const outbox = new Outbox(limits);
    outbox.holdBack();
    outbox.shut();
    outbox.clear();
    outbox.append(FrameType.EVENT, 0, Buffer.alloc(5));
    expect(outbox.take()).toBeUndefined();
    outbox.release(1);
    expect(outbox.take()).toHaveLength(FRAME_BYTES);
  });
});
