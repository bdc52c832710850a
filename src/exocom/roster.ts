/**
 * The instances that are registered, by role, and which of them gets a message: the one that has the activity, while it
 * lives; else the one with the least to do. Pure.
 */
import { messageKey } from '../exorelay/message.js';
import { IdleTable } from './idle-table.js';
import type { Instance } from './instance.js';

/** Activities that are remembered, over all roles. */
const MAX_ACTIVITIES = 200_000;

export class Roster {
  readonly #roles = new Map<string, Map<string, Instance>>();
  /** Role and activity to the instance that has it. */
  readonly #activities: IdleTable<Instance>;

  constructor(activityIdleMs: number) {
    this.#activities = new IdleTable(activityIdleMs, MAX_ACTIVITIES);
  }

  get(role: string, id: string): Instance | undefined {
    return this.#roles.get(role)?.get(id);
  }

  of(role: string): readonly Instance[] {
    return [...(this.#roles.get(role)?.values() ?? [])];
  }

  has(role: string): boolean {
    return this.#roles.has(role);
  }

  get roles(): readonly string[] {
    return [...this.#roles.keys()];
  }

  add(instance: Instance): void {
    const instances = this.#roles.get(instance.role) ?? new Map<string, Instance>();
    instances.set(instance.id, instance);
    this.#roles.set(instance.role, instances);
  }

  /** What it had of activities goes to others from now on. */
  remove(instance: Instance): void {
    instance.state = 'gone';
    const instances = this.#roles.get(instance.role);
    if (instances?.get(instance.id) !== instance) return;
    instances.delete(instance.id);
    if (instances.size === 0) this.#roles.delete(instance.role);
  }

  /** An instance took part in an activity: what else comes of it for its role goes there. The first one stays. */
  bind(instance: Instance, activityId: string, now: number): void {
    const key = messageKey(instance.role, activityId);
    const bound = this.#activities.get(key, now);
    if (bound?.state !== 'here') this.#activities.set(key, instance, now);
  }

  /**
   * The instance of this role for a message of this name (its own) and activity; undefined where none is there.
   * @param preferred the id of the one that should have it, if it is there
   */
  choose(
    role: string,
    name: string,
    activityId: string,
    now: number,
    preferred?: string,
  ): Instance | undefined {
    const instances = this.#roles.get(role);
    if (instances === undefined) return undefined;
    const key = messageKey(role, activityId);
    const wanted = preferred === undefined ? undefined : instances.get(preferred);
    if (wanted !== undefined) {
      this.bind(wanted, activityId, now);
      return wanted;
    }
    const bound = this.#activities.get(key, now);
    if (bound?.state === 'here') return bound;
    const here = [...instances.values()].filter(({ state }) => state === 'here');
    const chosen = leastBusy(here, name);
    if (chosen !== undefined) this.#activities.set(key, chosen, now);
    return chosen;
  }
}

/** Of those that have a handler if any has, and that are connected if any is. Of equals the one that is longest there. */
function leastBusy(instances: readonly Instance[], name: string): Instance | undefined {
  const able = preferable(instances, (instance) => instance.handles.has(name));
  const there = preferable(able, (instance) => instance.port.connected);
  let best: Instance | undefined;
  for (const instance of there) if (best === undefined || instance.load < best.load) best = instance;
  return best;
}

function preferable(
  instances: readonly Instance[],
  is: (instance: Instance) => boolean,
): readonly Instance[] {
  const some = instances.filter(is);
  return some.length > 0 ? some : instances;
}
