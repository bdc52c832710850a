/** How far the demo has come, on stderr: a bar on a terminal, a plain line now and then elsewhere. */
import { SingleBar } from 'cli-progress';
import type { DemoObserver } from './demo-run.js';

const LINE_EVERY_MS = 2_000;

export class DemoProgress implements DemoObserver {
  readonly #total: number;
  readonly #cuts: number;
  readonly #kills: number;
  readonly #bar: SingleBar | undefined;
  #running = false;
  #printedAt = 0;
  #reached = '';

  constructor(total: number, cuts: number, kills: number) {
    this.#total = total;
    this.#cuts = cuts;
    this.#kills = kills;
    if (process.stderr.isTTY === true) {
      this.#bar = new SingleBar({
        format:
          '{bar} {percentage} %  {value} of {total} events handled, {made} of {cuts} cuts, {killed} of {kills} kills',
        barCompleteChar: '█',
        barIncompleteChar: '░',
        hideCursor: true,
        stream: process.stderr,
        // Signals are the demo's own business: its processes come first.
        gracefulExit: false,
      });
    }
  }

  started(pids: readonly { name: string; pid: number | undefined }[]): void {
    this.#say(`Processes: ${pids.map(({ name, pid }) => `${name} ${pid}`).join(', ')}.`);
    this.#running = true;
    this.#printedAt = performance.now();
    this.#bar?.start(this.#total, 0, { made: 0, cuts: this.#cuts, killed: 0, kills: this.#kills });
  }

  remark(line: string): void {
    this.#say(line);
  }

  killed(pid: number | undefined, next: number | undefined): void {
    // A line in between would tear the bar, which counts the kills itself.
    if (this.#bar === undefined)
      this.#say(`Killed the server ${pid} with SIGKILL; started it again as ${next}.`);
  }

  advanced(handled: number, made: number, killed: number): void {
    if (!this.#running) return;
    this.#reached = `${handled} of ${this.#total} events handled, ${made} of ${this.#cuts} cuts, ${killed} of ${this.#kills} kills`;
    this.#bar?.update(handled, { made, killed });
    if (this.#bar === undefined && performance.now() - this.#printedAt >= LINE_EVERY_MS) this.#sayReached();
  }

  /** May be called again. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    if (this.#bar === undefined) this.#sayReached();
    else this.#bar.stop();
  }

  #sayReached(): void {
    this.#printedAt = performance.now();
    if (this.#reached !== '') this.#say(this.#reached);
  }

  #say(line: string): void {
    process.stderr.write(`${line}\n`);
  }
}
