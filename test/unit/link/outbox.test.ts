/** The outbox: what one reads off it, its limits, and that it lets memory go. The model test is in test/property. */
import v8 from 'node:v8';
import vm from 'node:vm';
import { describe, expect, it } from 'vitest';
import { encodePlain } from '../../../src/codec/plain-encoder.js';
import { NyotaError } from '../../../src/errors.js';
import { Outbox } from '../../../src/link/outbox.js';
import { SEQUENCED_HEADER_BYTES } from '../../../src/wire/constants.js';
import { FrameType } from '../../support/frame-type.js';

const MIB = 1024 * 1024;
const LIMITS = { maxDepth: 8, maxValues: 100 };
const WIDE = { maxOutboxBytes: 1e9, maxOutboxFrames: 1e9 };
const body = (bytes: number): Buffer => Buffer.alloc(bytes, 'x');

function fill(outbox: Outbox, frames: number, bytes: number): void {
  for (let i = 0; i < frames; i++) outbox.append(FrameType.EVENT, 0, body(bytes));
}

function takeAll(outbox: Outbox): Buffer[] {
  const pieces: Buffer[] = [];
  for (let piece = outbox.take(); piece !== undefined; piece = outbox.take()) pieces.push(piece);
  return pieces;
}

function codeOf(fn: () => unknown): string {
  try {
    fn();
    return 'nothing thrown';
  } catch (error) {
    return (error as NyotaError).code;
  }
}

describe('a large payload', () => {
  it('that was just encoded is taken over, not copied, and is as it was when it was encoded', () => {
    const outbox = new Outbox(WIDE);
    const usual = new Outbox(WIDE);
    for (const bytes of [10, 200_000, 300_000, 10]) {
      const users = Buffer.alloc(bytes, bytes % 251);
      const payload = encodePlain(['large', [users, 1, 'end']], LIMITS) as Buffer;
      usual.append(FrameType.EVENT, 0, Buffer.from(payload));
      outbox.append(FrameType.EVENT, 0, payload);
      users.fill(0);
      encodePlain(['something else', [Buffer.alloc(250_000)]], LIMITS);
      const piece = outbox.take() as Buffer;
      expect(piece.equals(usual.take() as Buffer)).toBe(true);
      expect(piece.buffer === payload.buffer).toBe(bytes > 10);
    }
    outbox.rewind(0);
    usual.rewind(0);
    expect(Buffer.concat(takeAll(outbox)).equals(Buffer.concat(takeAll(usual)))).toBe(true);
  });

  it('is taken over once', () => {
    const outbox = new Outbox(WIDE);
    const payload = encodePlain([Buffer.alloc(200_000)], LIMITS) as Buffer;
    for (let i = 0; i < 2; i++) outbox.append(FrameType.EVENT, 0, payload);
    const [first, second] = takeAll(outbox);
    expect([first?.buffer === payload.buffer, second?.buffer === payload.buffer]).toEqual([true, false]);
  });
});

describe('the memory of a large payload', () => {
  /** Sends one of so many bytes. Returns what the connection is handed. */
  function send(outbox: Outbox, bytes: number): Buffer {
    const payload = outbox.encode(['large', [Buffer.alloc(bytes, 'x')]], LIMITS);
    outbox.append(FrameType.EVENT, 0, payload ?? 0);
    return takeAll(outbox).at(-1) as Buffer;
  }

  it('is used again once it is acknowledged, while others are under way', () => {
    const outbox = new Outbox(WIDE);
    const first = [1, 2, 3].map(() => send(outbox, 200_000).buffer);
    expect(new Set(first).size).toBe(3);
    outbox.acknowledge(2);
    // The one behind them has made its memory before it was known what is acknowledged.
    expect(first).not.toContain(send(outbox, 200_000).buffer);
    const next = [send(outbox, 200_000), send(outbox, 199_000)];
    expect(next.map(({ buffer }) => first.indexOf(buffer))).toEqual([1, 0]);
    expect(next[0]?.equals(send(new Outbox(WIDE), 200_000))).toBe(false); // another number
    expect(next[0]?.subarray(30).equals(send(new Outbox(WIDE), 200_000).subarray(30))).toBe(true);
  });

  it('is left alone where a connection before the current one may hold it', () => {
    const outbox = new Outbox(WIDE);
    const before = [send(outbox, 200_000), send(outbox, 200_000)];
    outbox.rewind(0);
    takeAll(outbox);
    outbox.acknowledge(1);
    for (let i = 0; i < 4; i++) expect(send(outbox, 200_000).buffer).not.toBe(before[0]?.buffer);
  });

  it('is let go where all is acknowledged', () => {
    const outbox = new Outbox(WIDE);
    const before = [1, 2, 3].map(() => send(outbox, 200_000).buffer);
    outbox.acknowledge(2);
    outbox.acknowledge(3);
    for (let i = 0; i < 4; i++) expect(before).not.toContain(send(outbox, 200_000).buffer);
  });

  it('is 4 MiB at most that waits to be used again', () => {
    const outbox = new Outbox(WIDE);
    const before = Array.from({ length: 9 }, () => send(outbox, MIB - 1_000).buffer);
    outbox.acknowledge(8);
    const after = Array.from({ length: 9 }, () => send(outbox, MIB - 1_000).buffer);
    expect(after.filter((buffer) => before.includes(buffer))).toHaveLength(4);
  });

  it('is that of the latest messages: smaller ones before them do not stand in their way', () => {
    const outbox = new Outbox(WIDE);
    for (let i = 0; i < 60; i++) send(outbox, 100_000);
    const large = [1, 2, 3, 4].map(() => send(outbox, MIB - 1_000).buffer);
    outbox.acknowledge(63);
    send(outbox, MIB - 1_000);
    expect(large).toContain(send(outbox, MIB - 1_000).buffer);
  });
});

describe('what an outbox holds', () => {
  it('gives numbers from 1, and hands out whole frames once', () => {
    const outbox = new Outbox(WIDE);
    expect(outbox.take()).toBeUndefined();
    expect([outbox.append(FrameType.EVENT, 0, body(3)), outbox.append(FrameType.EVENT, 0, body(0))]).toEqual([
      1, 2,
    ]);
    expect(Buffer.concat(takeAll(outbox)).length).toBe(2 * SEQUENCED_HEADER_BYTES + 3);
    expect(outbox.take()).toBeUndefined();
    expect([outbox.sentSeq, outbox.cursorSeq, outbox.ackedSeq, outbox.frames]).toEqual([2, 2, 0, 2]);
  });

  it('sends again from the frame after the number that a new connection names', () => {
    const outbox = new Outbox(WIDE);
    fill(outbox, 5, 10);
    takeAll(outbox);
    outbox.rewind(3);
    expect([outbox.cursorSeq, outbox.sentSeq, outbox.unsentBytes]).toEqual([3, 5, 2 * 22]);
    expect(Buffer.concat(takeAll(outbox)).readUIntBE(6, 6)).toBe(4);
  });

  it('keeps what was sent on a connection safe from what comes after its acknowledgement', () => {
    const outbox = new Outbox(WIDE);
    outbox.append(FrameType.EVENT, 0, body(2_000));
    const [piece] = takeAll(outbox);
    const before = Buffer.from(piece as Buffer);
    outbox.rewind(0);
    expect(outbox.withdraw(1)).toBe(false);
    outbox.append(FrameType.EVENT, 0, Buffer.alloc(100, 'y'));
    expect(piece?.equals(before)).toBe(true);
  });

  it('acknowledging nothing new forgets nothing', () => {
    const outbox = new Outbox(WIDE);
    fill(outbox, 2, 1);
    takeAll(outbox);
    expect([outbox.acknowledge(1), outbox.acknowledge(1), outbox.acknowledge(0), outbox.frames]).toEqual([
      1, 0, 0, 1,
    ]);
  });

  it('withdraws only what no connection has seen, and leaves an empty SKIP with the number', () => {
    const outbox = new Outbox(WIDE);
    fill(outbox, 1, 10);
    takeAll(outbox);
    fill(outbox, 2, 100_000);
    expect([outbox.withdraw(1), outbox.withdraw(4), outbox.withdraw(0)]).toEqual([false, false, false]);
    expect(outbox.withdraw(2)).toBe(true);
    const frames: Array<[number, number, number]> = [];
    outbox.forEachUnsent((seq, frame) => frames.push([seq, frame[4] as number, frame.length]));
    expect(frames).toEqual([
      [2, FrameType.SKIP, SEQUENCED_HEADER_BYTES],
      [3, FrameType.EVENT, 100_000 + SEQUENCED_HEADER_BYTES],
    ]);
    expect(outbox.unsentBytes).toBe(100_000 + 2 * SEQUENCED_HEADER_BYTES);
  });

  it('begins at number 1 again when it is cleared', () => {
    const outbox = new Outbox(WIDE);
    fill(outbox, 3, 10);
    takeAll(outbox);
    outbox.clear();
    expect([outbox.frames, outbox.bytes, outbox.unsentBytes, outbox.sentSeq, outbox.lastSeq]).toEqual([
      0, 0, 0, 0, 0,
    ]);
    expect(outbox.append(FrameType.EVENT, 0, body(1))).toBe(1);
  });
});

describe('what a connection holds that is on its way out', () => {
  it('is not written over by what is sent on the next one', () => {
    const outbox = new Outbox(WIDE);
    outbox.append(FrameType.EVENT, 0, body(3));
    const held = outbox.take() as Buffer;
    const before = Buffer.from(held);
    outbox.rewind(0);
    outbox.take();
    outbox.acknowledge(1);
    outbox.append(FrameType.EVENT, 0, Buffer.alloc(3, 'y'));
    expect(held).toEqual(before);
  });
});

describe('the limits of an outbox', () => {
  it('takes exactly as many messages as maxOutboxFrames, and one byte less than too many', () => {
    const outbox = new Outbox({ maxOutboxBytes: 200, maxOutboxFrames: 3 });
    outbox.assertRoom(200 - SEQUENCED_HEADER_BYTES);
    expect(codeOf(() => outbox.assertRoom(201 - SEQUENCED_HEADER_BYTES))).toBe('NYOTA_OUTBOX_FULL');
    fill(outbox, 3, 1);
    expect(codeOf(() => outbox.assertRoom(0))).toBe('NYOTA_OUTBOX_FULL');
    takeAll(outbox);
    outbox.acknowledge(1);
    outbox.assertRoom(0);
  });

  it('says how full it is and what to wait for', () => {
    const outbox = new Outbox({ maxOutboxBytes: 1024, maxOutboxFrames: 1 });
    fill(outbox, 1, 8);
    expect(() => outbox.assertRoom(0)).toThrow(/holds 1 messages and 20 bytes .* 'drain'/);
    expect(() => outbox.assertRoom(0)).toThrow(NyotaError);
  });

  it('is overflowing only above one and a half times a limit', () => {
    const outbox = new Outbox({ maxOutboxBytes: 1e9, maxOutboxFrames: 4 });
    fill(outbox, 6, 0);
    expect(outbox.overflowing).toBe(false);
    fill(outbox, 1, 0);
    expect(outbox.overflowing).toBe(true);
  });
});

describe('the memory of an outbox', () => {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc') as () => void;
  const held = (): number => {
    gc();
    return process.memoryUsage().arrayBuffers;
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  /** Memory is swept in the background: asks again until it has not fallen for a while. What tests before left is gone then. */
  const heldAtRest = async (): Promise<number> => {
    let least = held();
    for (let unchanged = 0; unchanged < 20; unchanged++) {
      await turn();
      const bytes = held();
      if (bytes < least) unchanged = 0;
      least = Math.min(least, bytes);
    }
    return least;
  };
  /** Asks again until it is below, or says how much stays. */
  const heldBelow = async (limit: number): Promise<number> => {
    let bytes = held();
    for (let i = 0; i < 200 && bytes >= limit; i++) {
      await turn();
      bytes = held();
    }
    return bytes;
  };

  it('is let go when what was sent is acknowledged, also in part, and when a large frame is withdrawn', async () => {
    const outbox = new Outbox(WIDE);
    const before = await heldAtRest();
    const payload = body(60_000);
    for (let i = 0; i < 400; i++) outbox.append(FrameType.EVENT, 0, payload);
    expect(held() - before).toBeGreaterThan(20 * MIB);
    while (outbox.take() !== undefined) {}
    outbox.acknowledge(395);
    expect(await heldBelow(before + 2 * MIB)).toBeLessThan(before + 2 * MIB);
    outbox.acknowledge(400);
    const large = body(8 * MIB);
    const seq = outbox.append(FrameType.EVENT, 0, large);
    outbox.withdraw(seq);
    const limit = before + 10 * MIB; // `large` itself is 8 of them
    expect(await heldBelow(limit)).toBeLessThan(limit);
    expect(large.length).toBe(8 * MIB);
  });

  it('is one small segment in request and reply in turn', async () => {
    const outbox = new Outbox(WIDE);
    const before = await heldAtRest();
    for (let i = 1; i <= 50_000; i++) {
      outbox.append(FrameType.EVENT, 0, payloadOf20);
      outbox.take();
      outbox.acknowledge(i);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MIB);
  });
});

const payloadOf20 = body(20);
