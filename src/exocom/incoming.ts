/**
 * A message that a service sent, with what the hub knows of it. Types alone.
 */
import type { Envelope } from '../exorelay/message.js';
import type { Request } from './requests.js';

export interface Incoming {
  /** `messageKey(role, id)`. */
  readonly key: string;
  /** Who sent it: the role that authenticated, and the instance. */
  readonly role: string;
  readonly instance: string;
  readonly envelope: Envelope;
  /** What the others call it. */
  readonly name: string;
  /** About how many bytes it takes. */
  readonly size: number;
  /** When it came, in ms since the epoch. */
  readonly at: number;
  /** The security role asks with it: it is not decided over, and its receiver sees what it is. */
  readonly isSecurity: boolean;
  /** What it answers, if it is a reply. */
  request?: Request;
  /** By role, the instance that had it before. */
  known?: ReadonlyMap<string, string>;
}
