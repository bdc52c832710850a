/**
 * One side of a session: the link, and the features that stand on it, in the order in which they carry what is left into a
 * new session. A new feature is a folder or a file, its types in the table and a line here. Pure.
 */
import { FeatureTable } from '../link/feature.js';
import { Link } from '../link/link.js';
import type { Limits } from '../options.js';
import { Events, type EventsHost } from './events.js';
import { Requests, type RequestsHost } from './requests.js';
import { ClientStore } from './store/client-store.js';
import { ServerStore } from './store/server-store.js';
import { STORE_TYPES, type StoreFeature, type StoreHost } from './store/store.js';

/** What a side asks of whoever carries it out: sockets, timers and users are there. */
export type SessionHost = EventsHost & RequestsHost & StoreHost;

export type Role = 'client' | 'server';

/** The store's content comes before whatever else is queued. */
const FEATURE_TABLE = new FeatureTable([STORE_TYPES, Events.types, Requests.types]);

export class SessionCore {
  readonly link: Link;
  readonly store: StoreFeature;
  readonly events: Events;
  readonly requests: Requests;

  constructor(role: Role, limits: Limits, host: SessionHost) {
    const link = new Link(limits, host);
    this.link = link;
    this.store = role === 'server' ? new ServerStore(link, host) : new ClientStore(link, host);
    this.events = new Events(link, host);
    this.requests = new Requests(link, host);
    link.use([this.store, this.events, this.requests], FEATURE_TABLE);
  }
}
