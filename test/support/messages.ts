/** All bodies of the protocol, the link's and the features': for tests that write and read them by hand. */
export { parseEventBody } from '../../src/features/events.js';
export { parseCancelBody, parseReplyBody, parseRequestBody } from '../../src/features/requests.js';
export {
  encodeKvDelta,
  encodeKvOp,
  encodeKvResult,
  type KvDeltaMessage,
  type KvOpMessage,
  type KvResultMessage,
  parseKvDelta,
  parseKvOp,
  parseKvResult,
} from '../../src/features/store/frames.js';
export * from '../../src/wire/messages.js';
