/**
 * A process of the kill tests as its parent sees it: what it is told, what it says, and how it is killed. The program is
 * kill-worker.js.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type KillSide = 'client' | 'server';

/** Where a process dies by its own hand. */
export type DiesAt = 'behind a send' | 'in a listener' | 'in a promise' | 'in a handler';

/** What a process is to do while it lives. */
export interface KillLoad {
  readonly side: KillSide;
  /** Another one for each process. */
  readonly generation: number;
  readonly seed: number;
  /** The path of the log of all processes. */
  readonly log: string;
}

export interface KillOptions {
  /** A server's. */
  readonly host?: string;
  readonly highWaterBytes?: number;
  readonly pingIntervalMs?: number;
  readonly pingTimeoutMs?: number;
  readonly handshakeTimeoutMs?: number;
  /** A client's. */
  readonly connectTimeoutMs?: number;
}

export type ToWorker =
  | {
      readonly do: 'serve';
      /** 0: any. */
      readonly port: number;
      /** Of the LMDB store; undefined: in memory. */
      readonly folder: string | undefined;
      readonly options: KillOptions;
      readonly load: KillLoad;
    }
  | {
      readonly do: 'connect';
      readonly servers: { readonly host: string; readonly port: number }[];
      readonly folder: string | undefined;
      readonly options: KillOptions;
      readonly load: KillLoad;
    }
  /** Send nothing more for the time being, and tell when all is handled. */
  | { readonly do: 'rest' }
  | { readonly do: 'go on' }
  /** Write to the store, and tell when it is done. */
  | { readonly do: 'probe' }
  /** By its own hand, at the `count`-th time that it comes there. */
  | { readonly do: 'die'; readonly at: DiesAt; readonly count: number }
  /** Send nothing more, and tell when all is handled. */
  | { readonly do: 'finish' }
  /** Tell when the shared store is in step. */
  | { readonly do: 'sync' }
  | { readonly do: 'report' }
  /** Close, and end. */
  | { readonly do: 'stop' };

export type FromWorker =
  /** All is loaded, and nothing begun. */
  | { readonly is: 'ready' }
  | { readonly is: 'listening'; readonly port: number }
  | { readonly is: 'connected'; readonly resumed: boolean }
  | { readonly is: 'disconnected'; readonly code: string | undefined }
  /** The session, or the client, is closed; `code`: why. */
  | { readonly is: 'over'; readonly code: string | undefined }
  | { readonly is: 'resting' }
  | { readonly is: 'probed' }
  | { readonly is: 'finished' }
  | { readonly is: 'synced' }
  | { readonly is: 'report'; readonly entries: Readonly<Record<string, unknown>> }
  | { readonly is: 'failed'; readonly reason: string };

type Said<T extends FromWorker['is']> = Extract<FromWorker, { is: T }>;

const WORKER = fileURLToPath(new URL('./kill-worker.js', import.meta.url));
/** The longest that anything is waited for. Reached only where a test fails. */
const PATIENCE_MS = 30_000;

export class KillProcess {
  readonly #child: ChildProcess;
  /** What it has said and nobody has taken yet. */
  readonly #said: FromWorker[] = [];
  readonly #looks = new Set<() => void>();
  readonly #ended: Promise<string>;
  #stderr = '';
  #over: string | undefined;

  /**
   * @param dist the folder of the built package, as a URL
   * @param command by which it is run, instead of by Node alone; Node comes last in it
   */
  constructor(dist: string, command?: readonly string[]) {
    const [execPath = process.execPath, ...execArgv] = command ?? [];
    this.#child = fork(WORKER, [], {
      execPath,
      execArgv,
      env: { ...process.env, NYOTA_KILL_DIST: dist, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4_000);
    });
    this.#child.on('message', (message: FromWorker) => {
      this.#said.push(message);
      this.#look();
    });
    this.#child.on('error', () => {}); // it may be killed while it is being told something
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#over = signal ?? `exit code ${code}`;
        this.#look();
        resolve(this.#over);
      });
    });
  }

  /** How it ended; undefined while it lives. */
  get over(): string | undefined {
    return this.#over;
  }

  /** Resolves with how it ended. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  tell(order: ToWorker): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  /** Whether it has said such a thing that nobody has waited for. */
  hasSaid(what: FromWorker['is']): boolean {
    return this.#said.some((said) => said.is === what);
  }

  /** The next such message, or an earlier one that nobody has waited for. Rejects where it says that it failed, ends, or takes too long. */
  hears<T extends FromWorker['is']>(
    what: T,
    matches: (said: Said<T>) => boolean = () => true,
  ): Promise<Said<T>> {
    return this.#until(`'${what}'`, () => {
      const at = this.#said.findIndex((said) => said.is === what && matches(said as Said<T>));
      return at < 0 ? undefined : (this.#said.splice(at, 1)[0] as Said<T>);
    });
  }

  /** Tells it something, and resolves with the answer. */
  ask<T extends FromWorker['is']>(order: ToWorker, what: T): Promise<Said<T>> {
    this.tell(order);
    return this.hears(what);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** `kill -9`. Resolves once it is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Lets it close all and end by itself. */
  async stop(): Promise<string> {
    this.tell({ do: 'stop' });
    return this.#until('end', () => this.#over, true);
  }

  /** Why it can't go on, where it said so. */
  get failure(): string | undefined {
    const failed = this.#said.find((said) => said.is === 'failed');
    return failed === undefined ? undefined : `a process failed: ${(failed as Said<'failed'>).reason}`;
  }

  #until<T>(what: string, found: () => T | undefined, mayEnd = false): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (done: () => void): void => {
        clearTimeout(timer);
        this.#looks.delete(look);
        done();
      };
      const broken = (why: string): void =>
        settle(() => reject(new Error(`no ${what}: ${this.failure ?? why}\n${this.#stderr}`)));
      const look = (): void => {
        const value = found();
        if (value !== undefined) settle(() => resolve(value));
        else if (this.failure !== undefined) broken('it failed');
        else if (this.#over !== undefined && !mayEnd) broken(`it ended: ${this.#over}`);
      };
      const timer = setTimeout(() => broken(`not within ${PATIENCE_MS} ms`), PATIENCE_MS);
      this.#looks.add(look);
      look();
    });
  }

  #look(): void {
    for (const look of [...this.#looks]) look();
  }
}
