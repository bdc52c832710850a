/**
 * The shared store's frames, parsed: checked as a whole before they are accepted, the values inside them too. Pure.
 */

import { decodePayload, type PayloadLimits } from '../../codec/payload.js';
import { scanPayload } from '../../codec/scan.js';
import type { FrameView } from '../../link/frame-view.js';
import { FrameType } from '../../wire/constants.js';
import {
  type KvDeltaMessage,
  type KvOpMessage,
  type KvResultMessage,
  parseKvDelta,
  parseKvOp,
  parseKvResult,
} from '../../wire/messages.js';
import { readKvDelta, readKvOp } from './kv-reader.js';

export type StoreFrame =
  | { readonly type: typeof FrameType.KV_OP; readonly message: KvOpMessage }
  | { readonly type: typeof FrameType.KV_DELTA; readonly message: KvDeltaMessage }
  | { readonly type: typeof FrameType.KV_RESULT; readonly message: KvResultMessage };

export function isStoreFrame(type: number): boolean {
  return type === FrameType.KV_OP || type === FrameType.KV_DELTA || type === FrameType.KV_RESULT;
}

/**
 * A frame from the wire. The bytes in it are the reader's own.
 * @throws NyotaError `NYOTA_PROTOCOL_ERROR` or `NYOTA_PAYLOAD_REFUSED`
 */
export function readStoreFrame(frame: FrameView, limits: PayloadLimits): StoreFrame {
  const { type, source, start, end } = frame;
  if (type === FrameType.KV_OP) {
    const message = readKvOp(source, start, end, limits);
    if (message !== undefined) return { type, message };
  } else if (type === FrameType.KV_DELTA) {
    const message = readKvDelta(source, start, end, limits);
    if (message !== undefined) return { type, message };
  }
  return parseStoreFrame(type, decodePayload(source, start, end, limits, frame.own), limits);
}

/** @throws NyotaError `NYOTA_PROTOCOL_ERROR` or `NYOTA_PAYLOAD_REFUSED` */
export function parseStoreFrame(type: number, body: unknown, limits: PayloadLimits): StoreFrame {
  if (type === FrameType.KV_OP) {
    const message = parseKvOp(body);
    scanValue(message.bytes, limits);
    return { type, message };
  }
  if (type === FrameType.KV_DELTA) {
    const message = parseKvDelta(body);
    scanValue(message.bytes, limits);
    return { type, message };
  }
  const message = parseKvResult(body);
  scanValue(message.currentBytes, limits);
  return { type: FrameType.KV_RESULT, message };
}

function scanValue(bytes: Buffer | undefined, limits: PayloadLimits): void {
  if (bytes !== undefined) scanPayload(bytes, 0, bytes.length, limits);
}
