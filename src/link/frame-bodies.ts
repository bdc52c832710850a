/**
 * The body of a sequenced or volatile frame, decoded and checked as a whole before the frame is accepted. Pure.
 */

import { decodePayload } from '../codec/payload.js';
import type { PayloadLimits } from '../codec/scan.js';
import { NyotaError } from '../errors.js';
import { readStoreFrame } from '../features/store/store-frames.js';
import { isLifecycleEvent } from '../lifecycle.js';
import { Flag, FrameType } from '../wire/constants.js';
import {
  type EventBody,
  parseCancelBody,
  parseEventBody,
  parseReplyBody,
  parseRequestBody,
} from '../wire/messages.js';
import type { FrameView } from './frame-view.js';

/** @throws NyotaError what must end the connection */
export function decodeBody(frame: FrameView, limits: PayloadLimits): unknown {
  switch (frame.type) {
    case FrameType.EVENT:
      return decodeEvent(frame, limits);
    case FrameType.REQUEST: {
      const body = parseRequestBody(payloadOf(frame, limits));
      refuseReserved(body[1]);
      return body;
    }
    case FrameType.REPLY:
      return parseReplyBody(payloadOf(frame, limits));
    case FrameType.CANCEL:
      return parseCancelBody(payloadOf(frame, limits));
    case FrameType.KV_OP:
    case FrameType.KV_DELTA:
    case FrameType.KV_RESULT:
      return readStoreFrame(frame, limits);
    case FrameType.SKIP:
      return undefined;
    default:
      if ((frame.flags & Flag.OPTIONAL) !== 0) return undefined;
      throw new NyotaError(
        'NYOTA_UNKNOWN_FRAME',
        `unknown sequenced frame of type 0x${frame.type.toString(16)}`,
      );
  }
}

export function decodeEvent(frame: FrameView, limits: PayloadLimits): EventBody {
  const body = parseEventBody(payloadOf(frame, limits));
  refuseReserved(body[0]);
  return body;
}

function payloadOf(frame: FrameView, limits: PayloadLimits): unknown {
  return decodePayload(frame.source, frame.start, frame.end, limits, frame.own);
}

function refuseReserved(event: string): void {
  if (!isLifecycleEvent(event)) return;
  throw new NyotaError('NYOTA_RESERVED_EVENT', `the event name '${event}' is reserved`);
}
