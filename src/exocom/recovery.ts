/**
 * Finds out which instance had a message before the hub was restarted, so that it goes there again and is recognised,
 * and not to one that would run it a second time. Waits until the relays had time to come back. Pure: the clock is handed in.
 */

import { MAX_AWAITED, type MessageRef, messageKey } from '../exorelay/message.js';
import type { Clock, ClockTimer } from '../index.js';
import type { Instance } from './instances.js';

interface Lost {
  readonly ref: MessageRef;
  readonly roles: () => readonly string[];
  readonly found: (known: ReadonlyMap<string, string>) => void;
}

export interface RecoveryOptions {
  readonly clock: Clock;
  /** Nobody is asked before that, in ms since the epoch. */
  readonly readyAt: number;
  of(role: string): readonly Instance[];
}

export class Recovery {
  readonly #options: RecoveryOptions;
  #lost: Lost[] = [];
  #timer: ClockTimer | undefined;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** `found` is told, by role, which instance had the message. */
  find(ref: MessageRef, roles: () => readonly string[], found: Lost['found']): void {
    this.#lost.push({ ref, roles, found });
    const { clock, readyAt } = this.#options;
    if (this.#timer !== undefined) return;
    this.#timer = clock.setTimeout(() => void this.#ask(), Math.max(0, readyAt - clock.now()));
    this.#timer.unref?.();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
    this.#lost = [];
  }

  async #ask(): Promise<void> {
    this.#timer = undefined;
    const lost = this.#lost;
    this.#lost = [];
    const refs = new Map<Instance, MessageRef[]>();
    for (const { ref, roles } of lost) {
      for (const role of roles()) {
        const instances = this.#options.of(role);
        // A single one gets it anyway.
        if (instances.length < 2) continue;
        for (const instance of instances) {
          const asked = refs.get(instance);
          if (asked === undefined) refs.set(instance, [ref]);
          else asked.push(ref);
        }
      }
    }
    const had = new Map<string, Map<string, string>>();
    await Promise.all([...refs].map(([instance, asked]) => this.#askOne(instance, asked, had)));
    for (const { ref, found } of lost) found(had.get(messageKey(ref.sender, ref.id)) ?? new Map());
  }

  async #askOne(instance: Instance, refs: readonly MessageRef[], had: Map<string, Map<string, string>>) {
    for (let i = 0; i < refs.length; i += MAX_AWAITED) {
      // Who does not answer can't have it: it is being forgotten.
      const known = await instance.port.known(refs.slice(i, i + MAX_AWAITED)).catch(() => []);
      for (const { sender, id } of known) {
        const key = messageKey(sender, id);
        const roles = had.get(key) ?? new Map<string, string>();
        had.set(key, roles.set(instance.role, instance.id));
      }
    }
  }
}
