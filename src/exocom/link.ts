/**
 * One session of a relay's, as the hub sees it: who authenticated on it, and what of its messages is being decided over.
 */
import { InOrder } from './in-order.js';
import type { RelayPort } from './instance.js';

export class Link {
  /** Who authenticated. What its messages claim is ignored. */
  readonly role: string;
  readonly port: RelayPort;
  /** The id of the instance; undefined until it registers. */
  instance: string | undefined;
  /** It was registered at another hub process before: it may answer what this one has never heard of. */
  moved = false;
  /** Messages that wait for a decision, or for those before them. */
  readonly order = new InOrder();
  /** It is being slowed down. */
  throttled = false;

  constructor(role: string, port: RelayPort) {
    this.role = role;
    this.port = port;
  }
}
