/** What fuzzing starts from: the kept corpus, the wire vectors, and conversations that are as they should be. */
import { readdirSync, readFileSync } from 'node:fs';
import { encodePayload } from '../../src/codec/payload.js';
import { Flag } from '../../src/wire/constants.js';
import { encodeFrame } from '../../src/wire/frame-encoder.js';
import { encodeFields } from '../../src/wire/messages.js';
import type { Random } from '../simulation/random.js';
import { FrameType } from '../support/frame-type.js';
import { encodeKvOp, encodeOpen, encodePing, encodePong } from '../support/messages.js';

export const LIMITS = { maxDepth: 16, maxValues: 2_000 };

/** Values of every kind that travels. */
const VALUES: readonly unknown[] = [
  null,
  undefined,
  true,
  0,
  -1,
  255,
  2 ** 31,
  -(2 ** 31),
  0.5,
  Number.NaN,
  10n ** 18n,
  'text',
  'ü€😀'.repeat(20),
  Buffer.from('bytes'),
  new Date(1_700_000_000_123),
  new Map<unknown, unknown>([
    ['a', 1],
    [{ b: 2 }, [3]],
  ]),
  new Set([1, 'two', null]),
  Object.assign(new RangeError('too far'), { code: 'E', cause: new Error('why') }),
  new Float64Array([1, 2.5]),
  new Uint8Array([1, 2, 3]),
  new BigInt64Array([1n]),
  new ArrayBuffer(5),
  [[[[[1]]]]],
  { a: { b: { c: [1, { d: null }] } }, long: 'x'.repeat(300) },
  Array.from({ length: 40 }, (_, i) => ({ i })),
];

/** The files in test/fuzz/corpus: inputs that found something, or nearly; one a line, in hex. */
export function keptCorpus(name: string): Buffer[] {
  const folder = new URL(`${corpusFolder()}/`, import.meta.url);
  const inputs: Buffer[] = [];
  for (const file of readdirSync(folder).sort()) {
    if (!file.startsWith(`${name}.`) || !file.endsWith('.hex')) continue;
    for (const line of readFileSync(new URL(file, folder), 'utf8').split('\n')) {
      const hex = line.replace(/#.*/, '').replaceAll(' ', '').trim();
      if (hex !== '') inputs.push(Buffer.from(hex, 'hex'));
    }
  }
  return inputs;
}

/** Compiled, this module lies elsewhere; the corpus does not. */
function corpusFolder(): string {
  return import.meta.url.includes('/node_modules/.cache/') ? '../../../../../test/fuzz/corpus' : './corpus';
}

export function payloads(): Buffer[] {
  const made = VALUES.map((value) => Buffer.from(encodePayload(value, LIMITS, 'value')));
  return [...made, ...keptCorpus('payload')];
}

/** What a client says, frame by frame, behind its preamble and OPEN; numbers rise as they should. */
export function conversation(random: Random): Buffer[] {
  const frames: Buffer[] = [];
  let seq = 0;
  const id = (): number => random.int(6) + 1;
  const value = (): unknown => random.pick(VALUES);
  for (let i = random.between(1, 12); i > 0; i--) {
    switch (random.int(10)) {
      case 0:
        frames.push(
          encodeFrame(
            FrameType.REQUEST,
            { seq: ++seq },
            encodeFields([
              seq,
              random.pick(['echo', 'slow', 'none']),
              [random.int(9)],
              random.pick([null, 5, 1_000]),
            ]),
          ),
        );
        break;
      case 1:
        frames.push(encodeFrame(FrameType.CANCEL, { seq: ++seq }, encodeFields([id(), 'NYOTA_ABORTED'])));
        break;
      case 2:
        frames.push(encodeFrame(FrameType.REPLY, { seq: ++seq }, encodeFields([id(), true, 7])));
        break;
      case 3: {
        const bytes = Buffer.from(encodePayload(value(), LIMITS, 'value'));
        const kind = random.pick(['set', 'delete', 'compare-and-set'] as const);
        const op = {
          kind,
          key: random.pick(['a', 'b', 'c']),
          bytes: kind === 'delete' ? undefined : bytes,
          ttlMs: kind === 'set' && random.chance(0.3) ? 500 : undefined,
          expectedRevision: kind === 'compare-and-set' ? random.int(4) : undefined,
        };
        frames.push(encodeFrame(FrameType.KV_OP, { seq: ++seq }, encodeKvOp(op)));
        break;
      }
      case 4:
        frames.push(encodeFrame(FrameType.PING, {}, encodePing({ id: i, paused: random.chance(0.3) })));
        break;
      case 5:
        frames.push(encodeFrame(FrameType.PONG, {}, encodePong({ id: i })));
        break;
      case 6:
        frames.push(encodeFrame(FrameType.ACK, { ack: random.int(4) }));
        break;
      case 7:
        frames.push(
          encodeFrame(
            FrameType.VOLATILE,
            { flags: Flag.OPTIONAL },
            encodePayload(['e', [value()]], LIMITS, 'event'),
          ),
        );
        break;
      default: {
        const body = encodePayload([random.pick(['e', 'later', 'nobody']), [value()]], LIMITS, 'event');
        frames.push(
          encodeFrame(FrameType.EVENT, { seq: ++seq, flags: random.pick([0, Flag.ACK_NOW]) }, body),
        );
      }
    }
  }
  return frames;
}

export function open(secret: Buffer, resume: boolean, received: number): Buffer {
  const limits = { maxFrameBytes: 65_536, maxDepth: 16, maxValues: 2_000, pingIntervalMs: 1_000 };
  return encodeFrame(
    FrameType.OPEN,
    {},
    encodeOpen({ features: 0, secret, resume, received, limits, sent: 0, attempt: 0, auth: null }),
  );
}
