/** A worker process as its parent sees it: what it says, what is said to it, and how it ends. */
import { type ChildProcess, fork } from 'node:child_process';
import type { FromWorker, ToWorker } from './demo-messages.js';
import { Failure } from './failures.js';

type Said<T extends FromWorker['type']> = Extract<FromWorker, { type: T }>;

const WORKER_FILE = new URL('./demo-worker.js', import.meta.url);
/** The end of what it wrote to stderr, for the error if it dies. */
const KEPT_CHARACTERS = 2_000;

export class WorkerProcess {
  /** As in messages: 'client A'. */
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #failed: (error: Failure) => void;
  readonly #waiting = new Map<FromWorker['type'], ((message: FromWorker) => void)[]>();
  readonly #exited: Promise<string>;
  #stderr = '';
  #mayEnd = false;
  /** Events that its listeners have handled so far. */
  handled = 0;
  #reached: { readonly count: number; readonly resolve: () => void }[] = [];

  /** @param failed is told once it died, or reported what it can't go on with */
  constructor(name: string, failed: (error: Failure) => void) {
    this.name = name;
    this.#failed = failed;
    // Numbers by the ten thousand: the advanced serialization is not slower than JSON, and knows undefined.
    this.#child = fork(WORKER_FILE, [], {
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-KEPT_CHARACTERS);
    });
    this.#child.on('message', (message: FromWorker) => this.#hear(message));
    this.#child.on('error', (error) => failed(new Failure(`the ${name} process: ${error.message}`)));
    this.#exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => {
        const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
        if (!this.#mayEnd) failed(new Failure(`the ${name} process died: ${how}${this.#lastWords()}`));
        resolve(how);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  tell(message: ToWorker): void {
    // If it can't be told, it is dying, and its exit reports that.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /** The next message of a type. Where the process dies it never comes: `failed` is told. */
  hears<T extends FromWorker['type']>(type: T): Promise<Said<T>> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(type) ?? [];
      waiting.push((message) => resolve(message as Said<T>));
      this.#waiting.set(type, waiting);
    });
  }

  /** Resolves once its listeners have handled so many events; never where the process dies before. */
  reaches(count: number): Promise<void> {
    return new Promise((resolve) => this.#reached.push({ count, resolve }));
  }

  /** Tells it to close everything. Resolves to how it ended, or to undefined if it has not ended after so many milliseconds. */
  async stop(withinMs: number): Promise<string | undefined> {
    this.#mayEnd = true;
    this.tell({ type: 'stop' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), withinMs);
    });
    return Promise.race([this.#exited, late]).finally(() => clearTimeout(timer));
  }

  /** Kills it. */
  async kill(): Promise<void> {
    this.#mayEnd = true;
    this.#child.kill('SIGKILL');
    // One that could not be started never exits.
    if (this.#child.pid !== undefined) await this.#exited;
  }

  #hear(message: FromWorker): void {
    if (message.type === 'progress') {
      this.handled = Math.max(this.handled, message.handled);
      for (const { count, resolve } of this.#reached) if (message.handled >= count) resolve();
      this.#reached = this.#reached.filter(({ count }) => count > this.handled);
    }
    if (message.type === 'failed') this.#failed(new Failure(`the ${this.name} process: ${message.reason}`));
    this.#waiting.get(message.type)?.shift()?.(message);
  }

  /** The line of its stderr that names the error. */
  #lastWords(): string {
    const lines = this.#stderr.split('\n').map((line) => line.trim());
    const line = lines.findLast((text) => /Error\b.*:/.test(text)) ?? lines.findLast((text) => text !== '');
    return line === undefined ? '' : `; it said: ${line}`;
  }
}
