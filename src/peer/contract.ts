/**
 * The types of a contract: one interface that names the events of both directions and the shared state, from
 * which both sides are checked at compile time. Types only.
 *
 * ```ts
 * interface Orders {
 *   toServer: { 'order.create': (order: Order) => Receipt; ping: () => void }
 *   toClient: { 'order.created': (order: Order) => void }
 *   state: { cart: string[] }
 * }
 * ```
 */

import type { Encoded } from '../codec/encoded.js';

/** What a contract may hold. A part that is missing allows nothing; no contract at all allows everything. */
export interface Contract {
  /** Events and requests that clients send. */
  toServer?: object;
  /** Events and requests that the server sends. */
  toClient?: object;
  /** The entries of the shared store. */
  state?: object;
}

/** Without a contract: any name, any argument. */
export interface AnyContract {
  toServer: Record<string, (...args: any[]) => any>;
  toClient: Record<string, (...args: any[]) => any>;
  state: Record<string, any>;
}

export type ToServer<C> = C extends { toServer: infer E } ? E : Record<never, never>;
export type ToClient<C> = C extends { toClient: infer E } ? E : Record<never, never>;
export type StateOf<C> = C extends { state: infer S } ? S : Record<never, never>;

/** The names in a part of a contract. */
export type Names<E> = Extract<keyof E, string>;
/** The arguments of one of its events. */
export type Args<E, K extends keyof E> = E[K] extends (...args: infer A) => unknown ? A : never;
/** What is sent, or stored, may be encoded already. */
export type Sendable<T> = T | Encoded<T>;
/** The arguments of one of its events, for who sends it. */
export type SentArgs<E, K extends keyof E> = E[K] extends (...args: infer A) => unknown
  ? { [I in keyof A]: Sendable<A[I]> }
  : never;
/** What a request of that name is answered with. */
export type Reply<E, K extends keyof E> = E[K] extends (...args: never[]) => infer R ? Awaited<R> : never;

type IsAny<T> = 0 extends 1 & T ? true : false;

/** What a handler is called with: the arguments and a context behind them. Without a contract: anything. */
export type HandlerArgs<A extends unknown[], Context> = number extends A['length']
  ? IsAny<A[number]> extends true
    ? any[]
    : [...A, context: Context]
  : [...A, context: Context];
