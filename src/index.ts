/** The public exports of `nyota`, by name. */
export { type Clock, type ClockTimer, systemClock } from './clock.js';
export { ERROR_CODES, type ErrorCode, NyotaError, type Retry } from './errors.js';
export type { Address } from './net/address.js';
export type { SocketLike } from './net/connection.js';
export type { CreateConnection, TlsOptions } from './net/dial.js';
export type { CreateServer, TlsServerOptions } from './net/listener.js';
export type { LimitOptions } from './options.js';
export type { CallOptions } from './peer/call-options.js';
export type { OnAck } from './peer/calls.js';
export { Client } from './peer/client.js';
export type { Auth, ClientOptions } from './peer/client-options.js';
export type { ClientState } from './peer/client-state.js';
export type { AnyContract, Contract } from './peer/contract.js';
export { createClient } from './peer/create-client.js';
export { Delivery, HandlerContext } from './peer/delivery.js';
export type {
  ClientEvents,
  Gap,
  PeerEvents,
  ServerEvents,
  SessionEvents,
  StoreConflict,
} from './peer/lifecycle-events.js';
export { Peer } from './peer/peer.js';
export type { AnyListener } from './peer/remote-emitter.js';
export { createServer, type OnSession, Server } from './peer/server.js';
export type { Authenticate, ClientInfo, ServerOptions } from './peer/server-options.js';
export { Session, type SessionState } from './peer/session.js';
export { type SetOptions, SharedStore, type Watcher } from './peer/shared-store.js';
export type { PeerStats, ServerStats } from './peer/stats.js';
export { Encoded, type EncodedLimits } from './protocol/encoded.js';
export { type EncodeOptions, encode } from './protocol/payload.js';
export type { ReconnectOptions } from './session/reconnect-schedule.js';
export { MemoryStore } from './stores/memory-store.js';
export type {
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from './stores/session-store.js';
