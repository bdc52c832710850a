/** What the processes of the demo say: to each other through nyota, and to their parent. Types, and the names in both. */
import type { Peer, PeerEvents, PeerStats } from '../index.js';

/** Each way the same. */
interface DemoCalls {
  /** A numbered event: 1, 2, 3, … The padding is of changing length, so that cuts fall anywhere in a frame. */
  tick: (n: number, padding: string) => void;
  /** The last one: its acknowledgement tells that all before it were handled. */
  last: () => void;
  /** A numbered request. */
  double: (n: number) => number;
}

export interface DemoContract {
  toServer: DemoCalls;
  toClient: DemoCalls;
  state: Record<string, unknown>;
}

/** Either end of a link. */
export type DemoPeer = Peer<DemoCalls, DemoCalls, DemoContract['state'], PeerEvents>;

/** A link is a client, its session, and the faults between them. */
export type LinkName = 'A' | 'B';
export const LINK_NAMES: readonly LinkName[] = ['A', 'B'];

export type ToWorker =
  | {
      readonly type: 'serve';
      /** 0: any. */
      readonly port: number;
      /** Where it keeps its sessions and its own log; undefined: in memory. */
      readonly folder: string | undefined;
    }
  | { readonly type: 'connect'; readonly link: LinkName; readonly port: number }
  /** Send on, up to this number. */
  | { readonly type: 'pace'; readonly link: LinkName; readonly upTo: number }
  /** Tell when all is sent and handled. */
  | { readonly type: 'settle' }
  | { readonly type: 'report' }
  /** Close all, and end. */
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'linked'; readonly link: LinkName }
  | { readonly type: 'progress'; readonly handled: number }
  | { readonly type: 'settled' }
  | { readonly type: 'report'; readonly ends: readonly EndReport[] }
  | { readonly type: 'failed'; readonly reason: string };

/** That an event or a request was handled. */
export interface Delivered {
  readonly n: number;
  /** It was flagged: a process that died may have handled it before. */
  readonly redelivered: boolean;
}

/** What one end of a link has counted, in all of its processes. */
export interface EndReport {
  readonly link: LinkName;
  /** Events that `send` accepted here. */
  readonly sent: number;
  /** The events handled here, in the order in which the listener was called; a list for each process. */
  readonly handled: readonly (readonly Delivered[])[];
  /** From the first to the last of them. */
  readonly handledMs: number;
  readonly requests: {
    readonly sent: number;
    readonly answered: number;
    /** Rejected, or answered with something else than was asked for. */
    readonly failed: number;
    /** Those whose asking process was killed before it had the answer. */
    readonly interrupted: number;
    /** Of those answered. */
    readonly roundTripsMs: readonly number[];
  };
  /** The requests handled here, likewise. */
  readonly requestsHandled: readonly (readonly Delivered[])[];
  readonly writes: number;
  /** Steps of the counter that both ends count up by compare and set. */
  readonly steps: number;
  readonly store: Readonly<Record<string, unknown>>;
  readonly stats: PeerStats;
}
