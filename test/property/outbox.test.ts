/**
 * The outbox against a plain array of frames: any interleaving of its methods, with frames from empty to larger than
 * any segment. What is taken must be the model's frames, byte for byte, and the accounting must be the model's.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePrepared } from '../../src/codec/payload.js';
import { Outbox } from '../../src/link/outbox.js';
import { encodeFrame } from '../../src/wire/frame-encoder.js';
import { FrameType } from '../support/frame-type.js';
import { runs } from '../support/length.js';

type Step =
  | { do: 'append'; bytes: number }
  | { do: 'encode'; bytes: number; meanwhile: Step[] }
  | { do: 'take' | 'take all' | 'clear' }
  | { do: 'acknowledge' | 'rewind' | 'withdraw'; share: number };

/** Around the sizes of segments: the first is 1 KiB, the largest 64 KiB. */
const SIZES = [0, 1, 5, 30, 300, 1_011, 1_012, 1_013, 4_084, 4_085, 20_000, 65_523, 65_524, 65_525, 70_000];
const size = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...SIZES) },
  { weight: 10, arbitrary: fc.nat({ max: 2_000 }) },
  { weight: 1, arbitrary: fc.constant(1024 * 1024) },
);
const share = fc.double({ min: 0, max: 1, noNaN: true });
const plainStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append'), bytes: size }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('take', 'take', 'take all') }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('acknowledge'), share }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rewind'), share }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('withdraw'), share }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear') }) },
);
/** Encoded in place; what is done meanwhile is what a getter of the value does. */
const encodeStep = (meanwhile: fc.Arbitrary<Step[]>): fc.Arbitrary<Step> =>
  fc.record({ do: fc.constant('encode'), bytes: size, meanwhile });
const within = fc.oneof(plainStep, encodeStep(fc.constant([])));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: plainStep },
  {
    weight: 1,
    arbitrary: encodeStep(fc.array(within, { maxLength: 4 })),
  },
);
const LIMITS = { maxDepth: 8, maxValues: 100 };

/** Frames by number; everything else worked out from them. */
class Model {
  frames = new Map<number, Buffer>();
  last = 0;
  acked = 0;
  cursor = 0;
  sent = 0;

  bytesAfter(seq: number): number {
    let bytes = 0;
    for (const [number, frame] of this.frames) if (number > seq) bytes += frame.length;
    return bytes;
  }
}

class Run {
  readonly outbox = new Outbox({ maxOutboxBytes: 1e9, maxOutboxFrames: 1e9 });
  model = new Model();
  #fill = 0;
  /** What connections may hold yet: it may not be written over. */
  #held: Array<{ piece: Buffer; was: Buffer; upTo: number }> = [];

  apply(drawn: Step): void {
    const { outbox, model } = this;
    switch (drawn.do) {
      case 'append': {
        const body = Buffer.alloc(drawn.bytes, ++this.#fill);
        const seq = outbox.append(FrameType.EVENT, 0x04, body);
        model.last++;
        model.frames.set(model.last, encodeFrame(FrameType.EVENT, { flags: 0x04, seq: model.last }, body));
        expect(seq).toBe(model.last);
        body.fill(0xff); // what is handed in may be changed after
        break;
      }
      case 'encode':
        this.#encode(drawn.bytes, drawn.meanwhile);
        break;
      case 'take':
        this.#take();
        break;
      case 'take all':
        while (this.#take()) {}
        break;
      case 'acknowledge': {
        const seq = pick(model.acked, model.cursor, drawn.share);
        const forgotten = seq - model.acked;
        expect(outbox.acknowledge(seq)).toBe(forgotten);
        for (let n = model.acked + 1; n <= seq; n++) model.frames.delete(n);
        model.acked = seq;
        this.#held = this.#held.filter(({ upTo }) => upTo > seq);
        break;
      }
      case 'rewind':
        model.cursor = pick(model.acked, model.sent, drawn.share);
        outbox.rewind(model.cursor);
        this.#keepHeld();
        break;
      case 'withdraw': {
        const seq = pick(model.acked, model.last + 1, drawn.share);
        const possible = seq > model.sent && seq <= model.last;
        expect(outbox.withdraw(seq)).toBe(possible);
        if (possible) model.frames.set(seq, encodeFrame(FrameType.SKIP, { seq }));
        break;
      }
      case 'clear':
        outbox.clear();
        this.#keepHeld();
        this.model = new Model();
    }
    this.#check();
  }

  #encode(bytes: number, meanwhile: readonly Step[]): void {
    const { outbox } = this;
    const id = ++this.#fill;
    const rest = { text: 'x'.repeat(bytes), data: Buffer.alloc(bytes, id) };
    const value = {
      first: 'f',
      get id() {
        for (const one of meanwhile) apply(one);
        return id;
      },
      ...rest,
    };
    const apply = (one: Step): void => this.apply(one);
    const expected = Buffer.from(encodePrepared({ first: 'f', id, ...rest }));
    const body = outbox.encode(value, LIMITS) ?? expected;
    const seq = outbox.append(FrameType.EVENT, 0x04, body);
    // The getter may have begun anew.
    const { model } = this;
    model.last++;
    model.frames.set(model.last, encodeFrame(FrameType.EVENT, { flags: 0x04, seq: model.last }, expected));
    expect(seq).toBe(model.last);
  }

  /** Another connection: what an earlier one holds is its own for ever. */
  #keepHeld(): void {
    for (const held of this.#held) held.upTo = Number.POSITIVE_INFINITY;
  }

  #take(): boolean {
    const { model } = this;
    const piece = this.outbox.take();
    if (piece === undefined) {
      expect(model.cursor).toBe(model.last);
      return false;
    }
    const expected: Buffer[] = [];
    let bytes = 0;
    while (bytes < piece.length) {
      const frame = model.frames.get(++model.cursor) as Buffer;
      expected.push(frame);
      bytes += frame.length;
    }
    expect(Buffer.concat(expected).equals(piece)).toBe(true);
    this.#held.push({ piece, was: Buffer.from(piece), upTo: model.cursor });
    model.sent = Math.max(model.sent, model.cursor);
    return true;
  }

  #check(): void {
    const { outbox, model } = this;
    for (const { piece, was } of this.#held) expect(piece.equals(was)).toBe(true);
    expect({
      bytes: outbox.bytes,
      unsentBytes: outbox.unsentBytes,
      frames: outbox.frames,
      sentSeq: outbox.sentSeq,
      cursorSeq: outbox.cursorSeq,
      ackedSeq: outbox.ackedSeq,
      lastSeq: outbox.lastSeq,
    }).toEqual({
      bytes: model.bytesAfter(0),
      unsentBytes: model.bytesAfter(model.cursor),
      frames: model.frames.size,
      sentSeq: model.sent,
      cursorSeq: model.cursor,
      ackedSeq: model.acked,
      lastSeq: model.last,
    });
    const unsent: number[] = [];
    outbox.forEachUnsent((seq, frame) => {
      unsent.push(seq);
      expect(frame.equals(model.frames.get(seq) as Buffer)).toBe(true);
    });
    expect(unsent).toEqual([...model.frames.keys()].filter((seq) => seq > model.sent));
    let retained = 0;
    outbox.forEach((seq, frame) => {
      retained++;
      expect(frame.equals(model.frames.get(seq) as Buffer)).toBe(true);
    });
    expect(retained).toBe(model.frames.size);
  }
}

function pick(from: number, to: number, chosen: number): number {
  return Math.min(to, from + Math.floor(chosen * (to - from + 1)));
}

describe('the outbox', () => {
  it('hands out exactly the frames that were put in, whatever happens in between', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), (steps) => {
        const run = new Run();
        for (const drawn of steps) run.apply(drawn);
        run.apply({ do: 'rewind', share: 0 });
        run.apply({ do: 'take all' });
        run.apply({ do: 'acknowledge', share: 1 });
        expect(run.outbox.frames).toBe(0);
      }),
      runs(150),
    );
  }, 30_000);

  it('keeps its books with small frames only, many in a segment', () => {
    const small: fc.Arbitrary<Step> = fc.oneof(
      { weight: 8, arbitrary: fc.record({ do: fc.constant('append'), bytes: fc.nat({ max: 40 }) }) },
      { weight: 8, arbitrary: step.filter((drawn) => drawn.do !== 'append') },
    );
    fc.assert(
      fc.property(fc.array(small, { minLength: 1, maxLength: 120, size: 'max' }), (steps) => {
        const run = new Run();
        for (const drawn of steps) run.apply(drawn);
      }),
      runs(150),
    );
  }, 30_000);
});
