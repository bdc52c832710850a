/**
 * Calls back once the replica's state is consistent, each callback once and in order, also where one of them
 * calls into the replica again. Pure.
 */

export class Callbacks {
  #due: (() => void)[] = [];
  #position = 0;
  #idle: (() => void)[] = [];

  /** To be called by the next `run`. */
  add(fn: () => void): void {
    this.#due.push(fn);
  }

  /** To be called by a `run` that finds the replica idle. */
  addIdle(fn: () => void): void {
    this.#idle.push(fn);
  }

  /**
   * @param isIdle asked before each idle callback: the one before may have written
   * @throws what the first failing callback threw, after all the others were called
   */
  run(isIdle: () => boolean): void {
    const failures: unknown[] = [];
    this.#runDue(failures);
    if (this.#idle.length > 0) {
      const waiting = this.#idle;
      this.#idle = [];
      for (const fn of waiting) {
        if (isIdle()) attempt(fn, failures);
        else this.#idle.push(fn);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #runDue(failures: unknown[]): void {
    for (let fn = this.#due[this.#position]; fn !== undefined; fn = this.#due[this.#position]) {
      this.#position++;
      attempt(fn, failures);
    }
    this.#due = [];
    this.#position = 0;
  }
}

function attempt(fn: () => void, failures: unknown[]): void {
  try {
    fn();
  } catch (error) {
    failures.push(error);
  }
}
