/** The public exports of `nyota/exocom`, by name. */
export type { RejectionCode } from '../exorelay/message.js';
export { ExoCom, type ExoComConfig, type ExoComEvents, type ExoComStats } from './exocom.js';
export type { ExoComOptions } from './options.js';
export type { Alarm, HubWarning, MessageReport, Presence, WarningCode } from './reports.js';
export type { Routes, ServiceRoutes, Translation } from './routes.js';
export type { Tokens } from './senders.js';
export type { RateLimit, ResponseTimes, RoleTraffic, RouteTraffic } from './traffic.js';
