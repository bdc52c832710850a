/**
 * Every body of the wire, typed: what to import for them. Pure.
 */
export * from './handshake-messages.js';
export type { WireLimits } from './message-fields.js';
export * from './session-messages.js';
