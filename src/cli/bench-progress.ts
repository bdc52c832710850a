/** How far a bench has come, on stderr: a bar on a terminal, a plain line every two seconds elsewhere. */
import { SingleBar } from 'cli-progress';
import { formatCount } from './bench-result.js';

const LINE_EVERY_MS = 2_000;
const LOOK_EVERY_MS = 200;

export class BenchProgress {
  readonly #bar: SingleBar | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    if (process.stderr.isTTY !== true) return;
    this.#bar = new SingleBar({
      format: '{bar} {percentage} %  {sent} sent, {done} done, {rate}/s',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      stream: process.stderr,
      gracefulExit: false,
    });
  }

  say(line: string): void {
    process.stderr.write(`${line}\n`);
  }

  /** Looks at the counts until `stop`. */
  start(durationMs: number, look: () => { sent: number; done: number }): void {
    const startedAt = performance.now();
    let lineAt = startedAt;
    let before = { at: startedAt, done: 0 };
    this.#bar?.start(durationMs, 0, { sent: '0', done: '0', rate: '0' });
    this.#timer = setInterval(() => {
      const now = performance.now();
      const line = this.#bar === undefined;
      if (line && now - lineAt < LINE_EVERY_MS) return;
      lineAt = now;
      const { sent, done } = look();
      const rate = ((done - before.done) / (now - before.at)) * 1000;
      before = { at: now, done };
      const shown = { sent: formatCount(sent), done: formatCount(done), rate: formatCount(rate) };
      this.#bar?.update(Math.min(durationMs, now - startedAt), shown);
      if (line) {
        const seconds = Math.round((now - startedAt) / 1000);
        this.say(`${seconds} s: ${shown.sent} sent, ${shown.done} done, ${shown.rate}/s`);
      }
    }, LOOK_EVERY_MS);
  }

  /** May be called again. */
  stop(): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
  }
}
