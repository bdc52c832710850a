/**
 * The decoder under fuzzing: one input, and everything that must hold of it. Payloads: what the scan lets through can be
 * read, lies within the limits, and travels again; what it refuses is refused with a code. Frames: any slicing gives the
 * same frames, and nothing is kept but what has arrived.
 */
import { isDeepStrictEqual } from 'node:util';
import { readPayload } from '../../src/codec/decode.js';
import { decodePayload, encodePayload } from '../../src/codec/payload.js';
import { scanPayload } from '../../src/codec/scan.js';
import { NyotaError } from '../../src/errors.js';
import { parseStoreFrame } from '../../src/features/store/frames.js';
import { FrameDecoder } from '../../src/wire/frame-decoder.js';
import { parsePreamble } from '../../src/wire/preamble.js';
import type { Random } from '../simulation/random.js';
import { FrameType } from '../support/frame-type.js';
import * as messages from '../support/messages.js';
import { LIMITS } from './inputs.js';

const MAX_FRAME_BYTES = 64 * 1024;
/** What a decoded input may take, in ms: an input that takes longer has found something. */
export const MAX_MS = 500;

const PARSERS: ReadonlyArray<(value: unknown) => unknown> = [
  messages.parseOpen,
  messages.parseWelcome,
  messages.parseReject,
  messages.parseClose,
  messages.parseGoaway,
  messages.parsePing,
  messages.parsePong,
  messages.parseEventBody,
  messages.parseRequestBody,
  messages.parseReplyBody,
  messages.parseCancelBody,
  messages.parseKvOp,
  messages.parseKvDelta,
  messages.parseKvResult,
  ...[FrameType.KV_OP, FrameType.KV_DELTA, FrameType.KV_RESULT].map(
    (type) => (value: unknown) => parseStoreFrame(type, value, LIMITS),
  ),
];

/** True where the scan let it through. Throws an Error that says what does not hold. */
export function checkPayload(input: Buffer): boolean {
  const refusal = refusalOf(() => scanPayload(input, 0, input.length, LIMITS));
  const decoded = refusalOf(() => decodePayload(input, 0, input.length, LIMITS));
  if (refusal?.code !== decoded?.code)
    throw new Error(`the scan says ${refusal?.code}, the decoder ${decoded?.code}`);
  if (refusal !== undefined) return false;
  const value = readPayload(input, 0, input.length, LIMITS);
  const { depth, values } = measure(value);
  if (depth > LIMITS.maxDepth || values > LIMITS.maxValues) {
    throw new Error(`let through with depth ${depth} and ${values} values`);
  }
  for (const parse of PARSERS) refusalOf(() => parse(value));
  let encoded: Buffer | undefined;
  const unsendable = refusalOf(() => {
    encoded = Buffer.from(encodePayload(value, { maxDepth: 512, maxValues: 1e7 }, 'value'));
  });
  if (unsendable !== undefined || encoded === undefined) {
    throw new Error(`what was received can't be sent: ${unsendable?.message}`);
  }
  // -0 is sent as 0, so values may change once; from then on they travel as they are.
  const travelled = readPayload(encoded, 0, encoded.length, { maxDepth: 512, maxValues: 1e7 });
  const again = Buffer.from(encodePayload(travelled, { maxDepth: 512, maxValues: 1e7 }, 'value'));
  if (!again.equals(encoded)) throw new Error('another value after a round trip');
  return true;
}

/** How many frames it holds. */
export function checkFrames(input: Buffer, random: Random): number {
  refusalOf(() => parsePreamble(input.subarray(0, 8)));
  const whole = framesOf([input]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < input.length; ) {
    const size = random.pick([1, 1, 3, 17, 400]);
    pieces.push(input.subarray(at, at + size));
    at += size;
  }
  const sliced = framesOf(pieces);
  if (whole.code !== sliced.code || !isDeepStrictEqual(whole.frames, sliced.frames)) {
    throw new Error(
      `${whole.frames.length} frames (${whole.code}) as a whole, ${sliced.frames.length} (${sliced.code}) in slices`,
    );
  }
  return whole.frames.length;
}

function framesOf(pieces: readonly Buffer[]): { frames: unknown[]; code: string | undefined } {
  const decoder = new FrameDecoder(MAX_FRAME_BYTES);
  const frames: unknown[] = [];
  let arrived = 0;
  for (const piece of pieces) {
    arrived += piece.length;
    decoder.push(piece);
    const refusal = refusalOf(() => {
      while (decoder.next()) {
        const { type, flags, seq, ack, source, start, end } = decoder;
        if (start < 0 || end > source.length || start > end) throw new Error('a body outside of its bytes');
        frames.push([type, flags, seq, ack, source.subarray(start, end).toString('hex')]);
      }
    });
    if (decoder.partialBytes > arrived) throw new Error('more is kept than has arrived');
    if (refusal !== undefined) return { frames, code: refusal.code };
  }
  return { frames, code: undefined };
}

/** The NyotaError that it throws; undefined for none. Anything else that is thrown goes on. */
function refusalOf(fn: () => unknown): NyotaError | undefined {
  try {
    fn();
    return undefined;
  } catch (error) {
    if (error instanceof NyotaError && error.code !== 'NYOTA_INTERNAL') return error;
    throw error;
  }
}

function measure(root: unknown): { depth: number; values: number } {
  let depth = 0;
  let values = 0;
  const waiting: Array<[value: unknown, depth: number]> = [[root, 0]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [value, outer] = next;
    values++;
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) continue;
    if (value instanceof Date || value instanceof ArrayBuffer) continue;
    const inner = outer + 1;
    depth = Math.max(depth, inner);
    if (value instanceof Map) for (const [key, of] of value) waiting.push([key, inner], [of, inner]);
    else if (value instanceof Set) for (const of of value) waiting.push([of, inner]);
    else {
      for (const key of Object.keys(value)) waiting.push([(value as Record<string, unknown>)[key], inner]);
    }
  }
  return { depth, values };
}
