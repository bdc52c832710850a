/** The public exports of `nyota`, by name. */

export { Client, type ClientEvents, createClient, type Gap } from './client/client.js';
export type { ClientState } from './client/client-side.js';
export type { Auth, ClientOptions } from './client/options.js';
export { type Clock, type ClockTimer, systemClock } from './clock.js';
export { Encoded, type EncodedLimits } from './codec/encoded.js';
export { type EncodeOptions, encode } from './codec/payload.js';
export { ERROR_CODES, type ErrorCode, NyotaError, type Retry } from './errors.js';
export type { Address } from './net/address.js';
export type { SocketLike } from './net/connection.js';
export type { CreateConnection, TlsOptions } from './net/dial.js';
export type { CreateServer, TlsServerOptions } from './net/listener.js';
export type { LimitOptions, ReconnectOptions } from './options.js';
export type { CallOptions } from './peer/call-options.js';
export type { AnyContract, Contract } from './peer/contract.js';
export type { Delivery, HandlerContext } from './peer/delivery.js';
export type { AnyListener } from './peer/listeners.js';
export { type OnAck, Peer, type PeerEvents, type StoreConflict } from './peer/peer.js';
export type { PeerStats } from './peer/pump.js';
export { type SetOptions, SharedStore } from './peer/shared-store.js';
export type { Watcher } from './peer/store-values.js';
export type { SessionState } from './server/held-session.js';
export type { Authenticate, ClientInfo, ServerOptions } from './server/options.js';
export { createServer, Server, type ServerEvents, type ServerStats } from './server/server.js';
export { Session, type SessionEvents } from './server/session.js';
export type { OnSession } from './server/sessions.js';
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
