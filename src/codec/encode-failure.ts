/**
 * How a value that can't travel is reported: where it is, and what is wrong with it. Pure.
 * Only made when something has failed already.
 */
import { type ErrorCode, NyotaError, printable } from '../errors.js';

/** What a walk returns instead of a value when it has failed. */
export const FAILED: unique symbol = Symbol('failed');

const MAX_PATH = 160;
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** Collects the steps from the place of the failure up to the root, as the calls return. */
export class EncodeFailure {
  readonly #code: ErrorCode;
  readonly #what: string;
  /** From the inside out: `#steps[i]` leads from `#nodes[i + 1]` to `#nodes[i]`. */
  readonly #nodes: unknown[];
  readonly #steps: string[] = [];

  constructor(code: ErrorCode, what: string, value: unknown) {
    this.#code = code;
    this.#what = what;
    this.#nodes = [value];
  }

  addStep(container: object, step: string): void {
    this.#nodes.push(container);
    this.#steps.push(step);
  }

  /** The error to throw. A limit that was hit inside a cycle is reported as the cycle. */
  toError(root: string): NyotaError {
    const nodes = this.#nodes.toReversed();
    const steps = this.#steps.toReversed();
    const path = (length: number): string => cut(root + steps.slice(0, length).join(''));
    if (this.#code === 'NYOTA_PAYLOAD_TOO_COMPLEX') {
      const firstAt = new Map<unknown, number>();
      for (const [at, node] of nodes.entries()) {
        const first = firstAt.get(node);
        if (first !== undefined && typeof node === 'object' && node !== null) {
          return new NyotaError('NYOTA_UNSERIALIZABLE', `${path(at)} refers back to ${path(first)}`);
        }
        firstAt.set(node, at);
      }
    }
    return new NyotaError(this.#code, `${path(steps.length)} ${this.#what}`);
  }
}

/** The step to a property: `.name`, or `["a name"]` where it is no identifier. */
export function propertyStep(key: string): string {
  return IDENTIFIER.test(key) ? `.${key}` : `["${printable(key)}"]`;
}

/** The step to a Map's value: `.get("key")`. */
export function entryStep(key: unknown): string {
  if (typeof key === 'string') return `.get("${printable(key)}")`;
  const shown = typeof key === 'object' && key !== null ? '…' : String(key);
  return `.get(${shown})`;
}

function cut(path: string): string {
  return path.length > MAX_PATH ? `${path.slice(0, MAX_PATH)}…` : path;
}
