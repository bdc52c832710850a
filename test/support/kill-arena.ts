/**
 * The processes of one run of the kill tests, their folder, their log, and what it all came to in the end.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KillLog, type SentBy, SLOW_EVERY, type Verdict } from './kill-log.js';
import { type KillOptions, KillProcess, type KillSide } from './kill-process.js';

type Entries = Readonly<Record<string, unknown>>;

export class KillArena {
  readonly #dist: string;
  readonly #random: () => number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'nyota-kill-'));
  readonly #log = join(this.#folder, 'log');
  readonly #alive = new Set<KillProcess>();
  #generations = 0;
  /** Loaded, with nothing begun yet: so that nobody waits for that. */
  #spare: KillProcess | undefined;

  /** @param dist the folder of the built package, as a URL */
  constructor(dist: string, random: () => number) {
    this.#dist = dist;
    this.#random = random;
  }

  /** A path for a store. */
  folder(name: string): string {
    return join(this.#folder, name);
  }

  /** A server process, told to listen. */
  async serve(port: number, folder: string | undefined, options: KillOptions = {}): Promise<KillProcess> {
    const process = await this.#take();
    process.tell({ do: 'serve', port, folder, options, load: this.#load('server') });
    return process;
  }

  /**
   * A client process, told to connect.
   *
   * @param command by which it is run instead of by Node alone
   */
  async connect(
    servers: readonly { host: string; port: number }[],
    folder: string | undefined,
    options: KillOptions = {},
    command?: readonly string[],
  ): Promise<KillProcess> {
    const process = await this.#take(command);
    process.tell({ do: 'connect', servers: [...servers], folder, options, load: this.#load('client') });
    return process;
  }

  /** Throws where one of them has said that it can't go on. */
  check(): void {
    for (const { failure } of this.#alive) if (failure !== undefined) throw new Error(failure);
  }

  /** Sends nothing more; once all is handled, and both stores are in step: ends both, and says what it came to. */
  async finish(server: KillProcess, client: KillProcess): Promise<Verdict> {
    const sides = [server, client];
    await Promise.all(sides.map((side) => side.ask({ do: 'finish' }, 'finished')));
    await Promise.all(sides.map((side) => side.ask({ do: 'sync' }, 'synced')));
    const reports = await Promise.all(sides.map((side) => side.ask({ do: 'report' }, 'report')));
    const [ofServer = {}, ofClient = {}] = reports.map(({ entries }) => entries);
    const ends = [await client.stop(), await server.stop()];
    const verdict = this.#judge(ofServer, ofClient);
    const bad = ends.filter((end) => end !== 'exit code 0').map((end) => `a process ended with ${end}`);
    return { ...verdict, problems: [...verdict.problems, ...bad] };
  }

  /** Ends every process, and removes the folder. */
  async clearUp(): Promise<void> {
    await Promise.all([...this.#alive].map((one) => one.kill()));
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #load(side: KillSide) {
    const seed = Math.floor(this.#random() * 2 ** 32);
    return { side, log: this.#log, generation: this.#generations++, seed };
  }

  async #take(command?: readonly string[]): Promise<KillProcess> {
    const process = command === undefined ? (this.#spare ?? this.#fork()) : this.#fork(command);
    if (process === this.#spare) this.#spare = undefined;
    await process.hears('ready');
    this.#spare ??= this.#fork();
    return process;
  }

  #fork(command?: readonly string[]): KillProcess {
    const process = new KillProcess(this.#dist, command);
    this.#alive.add(process);
    void process.ended.then(() => this.#alive.delete(process));
    return process;
  }

  #judge(ofServer: Entries, ofClient: Entries): Verdict {
    const sent = { client: sentBy(ofServer, 'client'), server: sentBy(ofServer, 'server') };
    const verdict = new KillLog().read(readFileSync(this.#log, 'utf8')).judge(sent);
    const problems = [
      ...verdict.problems,
      ...storeProblems(ofServer, ofClient),
      ...effectProblems(ofServer, 'client', sent.server),
      ...effectProblems(ofServer, 'server', sent.client),
    ];
    return { ...verdict, problems };
  }
}

function sentBy(entries: Entries, side: KillSide): SentBy {
  return (entries[`${side}-sent`] as SentBy | undefined) ?? { sent: 0, asked: 0 };
}

function storeProblems(one: Entries, other: Entries): string[] {
  const text = (entries: Entries): string => JSON.stringify(Object.entries(entries).sort());
  return text(one) === text(other) ? [] : [`the two stores differ: ${text(one)} and ${text(other)}`];
}

/** Whether each message that `side` was sent has had its effect once. */
function effectProblems(entries: Entries, side: KillSide, { sent, asked }: SentBy): string[] {
  const slow = Math.floor(sent / SLOW_EVERY);
  const sumOfSlow = (SLOW_EVERY * slow * (slow + 1)) / 2;
  const expected = {
    [`${side}-effects`]: { events: sent - slow, sum: (sent * (sent + 1)) / 2 - sumOfSlow },
    [`${side}-slow`]: slow,
    [`${side}-balance`]: asked,
  };
  const problems: string[] = [];
  for (const [key, value] of Object.entries(expected)) {
    const [found, wanted] = [JSON.stringify(entries[key] ?? 0), JSON.stringify(value)];
    if (found !== wanted) problems.push(`effects: ${key} is ${found}, and should be ${wanted}`);
  }
  return problems;
}
