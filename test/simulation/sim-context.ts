/** What the parts of one simulated run share: time, network, disks, books, the trace, and what was found wrong. */
import type { Client } from '../../src/client/client.js';
import { NyotaError } from '../../src/errors.js';
import type { SessionCore } from '../../src/features/session-core.js';
import { pumpOf } from '../../src/peer/peer.js';
import type { Session } from '../../src/server/session.js';
import { Books, type Line } from './books.js';
import type { World } from './plan.js';
import { Random } from './random.js';
import { type Owner, Schedule } from './schedule.js';
import { type DiskView, SimDisk } from './sim-disk.js';
import { SimNetwork } from './sim-network.js';
import { SimProcess } from './sim-process.js';
import { Trace } from './trace.js';

/** An invariant that did not hold. */
export interface Failure {
  readonly invariant: string;
  readonly text: string;
}

const START_MS = 1_700_000_000_000;

/** Why a connection or a session may never end, whatever the network and the processes do. */
const NEVER_EXPECTED: ReadonlySet<string> = new Set([
  'NYOTA_PROTOCOL_ERROR',
  'NYOTA_PAYLOAD_REFUSED',
  'NYOTA_RESERVED_EVENT',
  'NYOTA_INTERNAL',
  'NYOTA_CONTROL_FLOOD',
  'NYOTA_UNAUTHORIZED',
  'NYOTA_BAD_PREAMBLE',
  'NYOTA_VERSION_MISMATCH',
  'NYOTA_DIVERGED',
]);
/** Those that a link which loses frames explains. */
const FROM_SPOILT_LINKS: ReadonlySet<string> = new Set(['NYOTA_SEQUENCE_GAP', 'NYOTA_UNKNOWN_FRAME']);

export const ON_PURPOSE = 'thrown on purpose';

export class Context {
  readonly world: World;
  readonly schedule = new Schedule(START_MS);
  readonly network: SimNetwork;
  readonly serverDisk = new SimDisk();
  readonly clientDisk = new SimDisk();
  readonly trace: Trace;
  readonly books: Books;
  /** What sessions send, by the session's id. */
  readonly sessionLines = new Map<string, Line>();
  /** What clients send, and the client whose line it is, where it lives or will start again. */
  readonly clientLines: Line[] = [];
  readonly clientOf = new Map<Line, { readonly id: string; readonly storedSeq: number | undefined }>();
  /** Processes that closed by their own will: what they accepted is all kept. */
  readonly closedWell = new Map<SimProcess, DiskView>();
  /** Messages whose sender lives, and waits for an answer. */
  readonly asking = new Set<number>();
  /** Messages whose session's store was emptied while they were queued. */
  readonly unordered = new Set<number>();
  /** The world's own events: never stops. */
  readonly fate: Owner = { alive: true, frozen: false, backlog: [] };
  readonly processes: SimProcess[] = [];
  failure: Failure | undefined;
  /** Everything heals now: listeners are quick, and nothing pauses any more. */
  healing = false;
  readonly counts = {
    connects: 0,
    resumes: 0,
    crashes: 0,
    serverEnds: 0,
    redeliveries: 0,
    gaps: 0,
    faults: 0,
  };
  #lives = 0;

  constructor(world: World, keepTrace: boolean) {
    this.world = world;
    const [minLatencyMs, maxLatencyMs] = world.latencyMs;
    this.network = new SimNetwork(this.schedule, world.seed, {
      minLatencyMs,
      maxLatencyMs,
      slicing: world.slicing,
      windowBytes: world.windowBytes,
    });
    this.trace = new Trace(() => this.schedule.now - START_MS, keepTrace);
    this.books = new Books((invariant, text) => this.fail(invariant, text));
  }

  /** A process with a clock of its own. */
  process(name: string): SimProcess {
    const life = ++this.#lives;
    const offset = new Random(this.world.seed, 0xc10c, life).between(-800, 800);
    const process = new SimProcess(this.schedule, `${name}.${life}`, offset);
    this.processes.push(process);
    return process;
  }

  /** Random numbers for one object of the run. */
  random(label: number): Random {
    return new Random(this.world.seed, label, this.#lives);
  }

  fail(invariant: string, text: string): void {
    this.trace.note('FAILED', invariant, text);
    this.failure ??= { invariant, text };
  }

  /** What a connection, a session or a peer ended with. */
  heard(who: string, what: string, error: unknown): void {
    if (error === undefined) return;
    const code = error instanceof NyotaError ? error.code : String(error);
    this.trace.note(who, what, code);
    const forgot = this.world.durable || this.counts.serverEnds === 0;
    const expected =
      error instanceof NyotaError &&
      !NEVER_EXPECTED.has(code) &&
      // A server that lives, or has a durable store, knows what became of a session.
      !(forgot && code === 'NYOTA_SESSION_UNKNOWN');
    if (expected && (this.world.spoils || !FROM_SPOILT_LINKS.has(code))) return;
    this.fail(
      'errors',
      `${who}: ${what}: ${code}: ${error instanceof Error ? error.message : ''} ${causeOf(error)}`,
    );
  }

  /** An 'error' event. */
  reported(who: string, error: NyotaError): void {
    if (error.code === 'NYOTA_LISTENER_FAILED' && error.message.includes(ON_PURPOSE)) return;
    if (error.code === 'NYOTA_LISTENER_FAILED') this.fail('errors', `${who}: ${error.message}`);
    this.heard(who, 'error', error);
  }
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? `(${cause.stack ?? cause.message})` : '';
}

/** The session behind a peer: what a user never sees, and the checks look at. */
export function coreOf(peer: Client | Session): SessionCore {
  return pumpOf(peer).core;
}
