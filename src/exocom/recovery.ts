/**
 * Finds out which instance had a message before the hub was restarted, so that it goes there again and is recognised,
 * and not to one that would run it a second time. Waits until the relays had time to come back. Pure: the clock is handed in.
 */

import { MAX_AWAITED, type MessageRef, messageKey } from '../exorelay/message.js';
import type { Clock, ClockTimer } from '../index.js';
import type { Instance, Instances } from './instances.js';

interface Lost {
  readonly ref: MessageRef;
  readonly roles: () => readonly string[];
  readonly found: (known: ReadonlyMap<string, string>) => void;
}

export class Recovery {
  readonly #instances: Instances;
  readonly #clock: Clock;
  readonly #readyAt: number;
  #lost: Lost[] = [];
  #timer: ClockTimer | undefined;

  /** @param readyAt no instance is asked before that, in ms since the epoch */
  constructor(instances: Instances, clock: Clock, readyAt: number) {
    this.#instances = instances;
    this.#clock = clock;
    this.#readyAt = readyAt;
  }

  /** `found` is told, by role, which instance had the message. */
  find(ref: MessageRef, roles: () => readonly string[], found: Lost['found']): void {
    this.#lost.push({ ref, roles, found });
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#readyAt - this.#clock.now());
    this.#timer = this.#clock.setTimeout(() => void this.#ask(), waitMs);
    this.#timer.unref?.();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#lost = [];
  }

  async #ask(): Promise<void> {
    this.#timer = undefined;
    const lost = this.#lost;
    this.#lost = [];
    const refs = new Map<Instance, MessageRef[]>();
    for (const { ref, roles } of lost) {
      for (const role of roles()) {
        const instances = this.#instances.of(role);
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
