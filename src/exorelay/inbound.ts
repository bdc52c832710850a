/**
 * What arrives: runs the handlers of messages and hands replies to whoever waits for them, each once, and tells
 * ExoCom when it is done.
 */
import { isThenable } from '../async.js';
import { asError } from '../errors.js';
import { type Clock, NyotaError } from '../index.js';
import type { HandlerContext, ReplyOptions, Sent } from './contract.js';
import { readDelivered, refOf } from './delivered.js';
import { Deliveries, type Delivery } from './deliveries.js';
import {
  type DeliveredEnvelope,
  type Handled,
  type Message,
  type MessageRef,
  openEnvelope,
  STATUS,
  STATUS_OK,
} from './message.js';
import type { Messenger, Origin } from './messenger.js';

/** Handlers of any messages. A method's type: what a contract says of one handler is checked where it is registered. */
export type AnyHandler = { call(payload: unknown, context: HandlerContext): unknown }['call'];
type CallsOf = (origin: Origin) => Pick<HandlerContext, 'send' | 'request' | 'stream'>;

export interface InboundHooks {
  /** ExoCom is told; `confirmed` is called once it knows. */
  handled(handled: Handled, confirmed: () => void): void;
  error(error: Error): void;
  settled(): void;
}

/** What a handler's calls act on. */
interface Job {
  readonly message: Message;
  readonly delivery: Delivery;
  /** Sends a reply to it. */
  readonly respond: (name: unknown, payload: unknown, last: boolean) => Sent;
  /** It is over, with what the handler threw. */
  readonly done: (error?: unknown) => void;
}

/** Messages that may wait for a handler to finish. ExoCom keeps more than a thousand to itself. */
const MAX_WAITING = 10_000;

export class Inbound {
  readonly handlers = new Map<string, AnyHandler>();
  readonly #messenger: Messenger;
  readonly #callsOf: CallsOf;
  readonly #clock: Clock;
  readonly #maxRunning: number;
  readonly #hooks: InboundHooks;
  readonly #deliveries = new Deliveries();
  /** Replies whose reply handlers have not settled. */
  readonly #replies = new Set<Delivery>();
  #waiting: Job[] = [];
  #running = 0;
  #leaving = false;

  constructor(
    { clock, maxRunningHandlers }: { clock: Clock; maxRunningHandlers: number },
    messenger: Messenger,
    callsOf: CallsOf,
    hooks: InboundHooks,
  ) {
    this.#clock = clock;
    this.#maxRunning = maxRunningHandlers;
    this.#messenger = messenger;
    this.#callsOf = callsOf;
    this.#hooks = hooks;
  }

  /** True when no message handler runs or waits. Reply handlers don't count: one of them may be what closes the relay. */
  get idle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0;
  }

  /** No new messages from now on: ExoCom gives them to another instance. */
  leave(): void {
    this.#leaving = true;
  }

  known(refs: readonly MessageRef[]): MessageRef[] {
    return this.#deliveries.known(refs);
  }

  /** From ExoCom. */
  deliver(value: unknown): void {
    const envelope = readDelivered(value);
    if (typeof envelope === 'string') {
      this.#hooks.error(new NyotaError('NYOTA_INVALID_ARGUMENT', envelope));
      return;
    }
    const ref = refOf(envelope);
    const state = this.#deliveries.stateOf(ref);
    // It came a second time: nothing runs twice.
    if (state === 'finished') this.#hooks.handled(ref, () => {});
    if (state !== 'new') return;
    if (this.#leaving && envelope.responseTo === undefined) return;
    const delivery = this.#deliveries.begin(ref);
    const message = this.#open(envelope, delivery);
    if (message === undefined) return;
    const { id, activityId, auth, responseTo } = envelope;
    const headers = { activityId, ...(auth !== undefined && { auth }), responseTo: id, causedBy: id };
    const job: Job = {
      message,
      delivery,
      respond: (name, payload, last) => this.#messenger.reply({ ...headers, last }, name, payload),
      done: (error) => this.#finish(delivery, error),
    };
    if (responseTo !== undefined) this.#takeReply(job, responseTo);
    else this.#take(job);
  }

  /** Undefined where it can't be read: it is handled then, and whoever waits for it waits no longer. */
  #open(envelope: DeliveredEnvelope, delivery: Delivery): Message | undefined {
    try {
      return openEnvelope(envelope);
    } catch (cause) {
      const text = `the message '${envelope.name}' can't be read: ${asError(cause).message}`;
      const error = new NyotaError('NYOTA_PAYLOAD_REFUSED', text, { cause });
      this.#finish(delivery, error);
      if (envelope.responseTo !== undefined) this.#messenger.unreadable(envelope.responseTo, error);
      return undefined;
    }
  }

  /** From this service's own port: nobody knows who sent it, and nobody is told when it is done. */
  direct(message: Message, respond: Job['respond']): void {
    const { id, name, payload, activityId, auth } = message;
    if (this.#leaving) return;
    const delivery: Delivery = {
      ref: { sender: '', id },
      abort: new AbortController(),
      dead: false,
      watched: false,
    };
    this.#take({
      message: { id, name, payload, activityId, auth },
      delivery,
      respond,
      done: (error) => {
        if (error !== undefined) this.#hooks.error(asError(error));
        this.#hooks.settled();
      },
    });
  }

  /** Whoever sent it waits no longer. */
  cancelled(ref: MessageRef): void {
    const delivery = this.#deliveries.find(ref);
    if (delivery === undefined) return;
    this.#abort(delivery, new NyotaError('NYOTA_ABORTED', 'the sender waits no longer'));
    const waiting = this.#waiting.findIndex((job) => job.delivery === delivery);
    if (waiting !== -1) this.#waiting.splice(waiting, 1)[0]?.done();
  }

  /**
   * ExoCom has given what was not finished to other instances.
   * @returns the ids of the messages whose replies nobody wants from here
   */
  revoke(): ReadonlySet<string> {
    const revoked = this.#deliveries.revoke();
    const error = new NyotaError('NYOTA_SESSION_INVALIDATED', 'the message was given to another instance');
    for (const delivery of revoked) this.#abort(delivery, error);
    this.#waiting = this.#waiting.filter(({ delivery }) => !delivery.dead);
    this.#hooks.settled();
    return new Set(revoked.map(({ ref }) => ref.id));
  }

  /** Replies that have reached their reply handler count as handled: this relay closes. */
  settleReplies(): void {
    for (const delivery of [...this.#replies]) this.#finish(delivery, undefined);
  }

  /** The relay ends: what runs is told. */
  end(error: NyotaError): void {
    this.#leaving = true;
    this.#waiting = [];
    for (const delivery of this.#deliveries.all()) this.#abort(delivery, error);
  }

  #abort(delivery: Delivery, error: NyotaError): void {
    delivery.dead = true;
    this.#deliveries.ended(delivery);
    delivery.abort.abort(error);
  }

  #takeReply(job: Job, responseTo: string): void {
    const pending = this.#messenger.waitingFor(responseTo);
    if (pending !== undefined) {
      this.#replies.add(job.delivery);
      this.#settle(job, () => pending.replied(job.message), false);
    } else if (this.handlers.has(job.message.name)) {
      this.#take(job);
    } else {
      job.done(); // nobody waits for it any more
    }
  }

  #take(job: Job): void {
    const { name } = job.message;
    const handler = this.handlers.get(name);
    if (handler === undefined && name === STATUS) {
      job.respond(STATUS_OK, undefined, true);
      job.done();
    } else if (handler === undefined) {
      job.done(new NyotaError('NYOTA_NO_HANDLER', `unknown message: '${name}'`));
    } else if (this.#running < this.#maxRunning) {
      this.#run(job, handler);
    } else if (this.#waiting.length < MAX_WAITING) {
      this.#waiting.push(job);
    } else {
      const text = `${MAX_WAITING} messages wait for a handler to finish: '${name}' was not handled`;
      job.done(new NyotaError('NYOTA_SERVER_BUSY', text));
    }
  }

  #run(job: Job, handler: AnyHandler): void {
    this.#running++;
    this.#settle(job, () => handler(job.message.payload, this.#context(job)), true);
  }

  /** Runs it, and finishes the job once what it returns has settled. */
  #settle(job: Job, run: () => unknown, counted: boolean): void {
    let later = false;
    const done = (error?: unknown): void => {
      if (counted) this.#running--;
      const { delivery } = job;
      if (delivery.watched && !later && !delivery.dead) this.#deliveries.linger(delivery);
      job.done(error);
      if (counted) this.#next();
    };
    try {
      const result = run();
      if (isThenable(result)) {
        later = true;
        result.then(
          () => done(),
          (error: unknown) => done(error ?? new Error('the handler failed')),
        );
      } else {
        done();
      }
    } catch (error) {
      done(error ?? new Error('the handler failed'));
    }
  }

  #next(): void {
    while (this.#running < this.#maxRunning) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      const handler = this.handlers.get(job.message.name);
      if (handler !== undefined) this.#run(job, handler);
    }
  }

  #finish(delivery: Delivery, thrown: unknown): void {
    const error = thrown === undefined ? undefined : asError(thrown);
    this.#replies.delete(delivery);
    if (this.#deliveries.finish(delivery, this.#clock.now())) {
      const handled: Handled =
        error === undefined ? delivery.ref : { ...delivery.ref, error: error.message.slice(0, 256) };
      this.#hooks.handled(handled, () => this.#deliveries.confirmed(delivery));
    }
    if (error !== undefined) this.#hooks.error(error);
    this.#hooks.settled();
  }

  #context(job: Job): HandlerContext {
    const { message, delivery } = job;
    const { id, activityId } = message;
    const reply = (name: unknown, payload?: unknown, options?: ReplyOptions): Sent => {
      const last = options?.last === true;
      if (last) this.#deliveries.ended(delivery);
      // Nobody waits for it any more, or another instance replies.
      if (delivery.dead) return { id, activityId };
      return job.respond(name, payload, last);
    };
    return {
      ...this.#callsOf({ activityId, causedBy: id }),
      reply,
      id,
      activityId,
      sender: message.sender,
      auth: message.auth,
      isSecurity: message.isSecurity === true,
      redelivered: message.redelivered === true,
      get signal() {
        delivery.watched = true;
        return delivery.abort.signal;
      },
    };
  }
}
