/**
 * The calls of a peer: `send`, `sendWithAck`, `request`, each with the options that `with` may have set.
 */
import type { Clock } from '../clock.js';
import { NyotaError } from '../errors.js';
import type { RequestOptions, Requests } from '../features/requests.js';
import type { SessionCore } from '../features/session-core.js';
import type { Limits } from '../options.js';
import { abortedError, type CallOptions } from './call-options.js';
import { checkEventName } from './checks.js';
import { listenerFailed } from './lifecycle-emitter.js';

/** Called once the other side's listeners have run and settled, or with what kept them from it. */
export type OnAck = (error?: NyotaError) => void;

export interface CallsHost {
  readonly core: SessionCore;
  readonly limits: Limits;
  readonly clock: Clock;
  report(error: NyotaError): void;
  /** A request waits for its reply: the process may have to. */
  requested(): void;
}

export class Calls {
  readonly #host: CallsHost;

  constructor(host: CallsHost) {
    this.#host = host;
  }

  send(call: Readonly<CallOptions>, event: string, args: readonly unknown[]): boolean {
    checkEventName(event);
    const last = args[args.length - 1];
    const onAck = typeof last === 'function' ? (last as OnAck) : undefined;
    const values = onAck === undefined ? args : args.slice(0, -1);
    if (call.volatile === true) {
      if (onAck !== undefined) {
        throw new NyotaError(
          'NYOTA_INVALID_ARGUMENT',
          'a volatile message is never acknowledged: it takes no onAck',
        );
      }
      return this.#host.core.events.sendVolatile(event, values);
    }
    return this.#deliver(call, event, values, onAck && this.#guarded(event, onAck), undefined);
  }

  sendWithAck(call: Readonly<CallOptions>, event: string, args: readonly unknown[]): Promise<void> {
    return new Promise((resolve, reject) => {
      checkEventName(event);
      if (call.volatile === true) {
        throw new NyotaError('NYOTA_INVALID_ARGUMENT', 'a volatile message is never acknowledged: use send');
      }
      const onAck: OnAck = (error) => (error === undefined ? resolve() : reject(error));
      const { timeoutMs } = call;
      const waits = timeoutMs !== undefined && timeoutMs > 0 && timeoutMs !== Number.POSITIVE_INFINITY;
      this.#deliver(call, event, args, onAck, waits ? this.#host.clock.now() + timeoutMs : undefined);
    });
  }

  request(call: Readonly<CallOptions>, event: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { core, limits, clock } = this.#host;
      checkEventName(event);
      core.link.assertLive();
      const { signal, ttlMs } = call;
      if (signal?.aborted === true) throw abortedError(signal);
      if (call.volatile === true && core.link.state.is !== 'attached') {
        throw new NyotaError(
          'NYOTA_NOT_CONNECTED',
          'there is no connection, and a volatile request does not wait for one',
        );
      }
      const timeoutMs = call.timeoutMs ?? limits.requestTimeoutMs;
      const options = {
        timeoutMs: timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs,
        expiresAt: ttlMs === undefined ? undefined : clock.now() + ttlMs,
      };
      if (signal === undefined) core.requests.request(event, args, options, resolve, reject);
      else requestUntil(signal, core.requests, event, args, options, resolve, reject);
      this.#host.requested();
    });
  }

  #deliver(
    { signal, ttlMs }: Readonly<CallOptions>,
    event: string,
    args: readonly unknown[],
    onAck: OnAck | undefined,
    deadline: number | undefined,
  ): boolean {
    const { core, clock } = this.#host;
    core.link.assertLive();
    if (signal?.aborted === true) throw abortedError(signal);
    if (onAck === undefined && ttlMs === undefined && signal === undefined)
      return core.events.send(event, args);
    const expiresAt = ttlMs === undefined ? undefined : clock.now() + ttlMs;
    return core.events.send(event, args, { onAck, signal, expiresAt, deadline });
  }

  /** A user's callback that throws is reported; it may not end the connection. */
  #guarded(event: string, onAck: OnAck): OnAck {
    return (error) => {
      try {
        if (error === undefined) onAck();
        else onAck(error);
      } catch (cause) {
        this.#host.report(listenerFailed(`the acknowledgement of ${event}`, cause));
      }
    };
  }
}

/** A request that the signal's abort cancels. Apart from the others: most have no signal. */
function requestUntil(
  signal: AbortSignal,
  requests: Requests,
  event: string,
  args: readonly unknown[],
  options: RequestOptions,
  resolve: (reply: unknown) => void,
  reject: (error: unknown) => void,
): void {
  const abort = (): void => requests.cancel(id, abortedError(signal));
  const last =
    (settle: (outcome: unknown) => void) =>
    (outcome: unknown): void => {
      signal.removeEventListener('abort', abort);
      settle(outcome);
    };
  const id = requests.request(event, args, options, last(resolve), last(reject));
  signal.addEventListener('abort', abort);
}
