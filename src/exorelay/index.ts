/** The public exports of `nyota/exorelay`, by name. */
export type {
  AnyMessages,
  AnyReplies,
  HandlerContext,
  MessageHandler,
  Outcome,
  ReplyContext,
  ReplyHandler,
  ReplyOptions,
  RequestOptions,
  SendOptions,
  Sent,
  StreamOptions,
} from './contract.js';
export type { Rejection, RejectionCode } from './message.js';
export type { ExoRelayOptions } from './options.js';
export { ExoRelay, type ExoRelayEvents } from './relay.js';
