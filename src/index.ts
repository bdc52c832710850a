/** The public exports of `nyota`, by name. */

export { Client } from './client/client.js';
export type { Auth, ClientOptions } from './client/client-options.js';
export type { ClientState } from './client/client-state.js';
export { createClient } from './client/create-client.js';
export type { ReconnectOptions } from './client/reconnect-schedule.js';
export { type Clock, type ClockTimer, systemClock } from './clock.js';
export { Encoded, type EncodedLimits } from './codec/encoded.js';
export { type EncodeOptions, encode } from './codec/payload.js';
export { ERROR_CODES, type ErrorCode, NyotaError, type Retry } from './errors.js';
export type { Address } from './net/address.js';
export type { SocketLike } from './net/connection.js';
export type { CreateConnection, TlsOptions } from './net/dial.js';
export type { CreateServer, TlsServerOptions } from './net/listener.js';
export type { LimitOptions } from './options.js';
export type { CallOptions } from './peer/call-options.js';
export type { OnAck } from './peer/calls.js';
export type { AnyContract, Contract } from './peer/contract.js';
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
export { type SetOptions, SharedStore, type Watcher } from './peer/shared-store.js';
export type { PeerStats, ServerStats } from './peer/stats.js';
export { createServer, type OnSession, Server } from './server/server.js';
export type { Authenticate, ClientInfo, ServerOptions } from './server/server-options.js';
export { Session, type SessionState } from './server/session.js';
export { MemoryStore } from './stores/memory.js';
export type {
  SessionBatch,
  SessionRecord,
  SessionStore,
  StoredEntry,
  StoredFrame,
  StoredSession,
  Tombstone,
} from './stores/session-store.js';
