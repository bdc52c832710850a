/**
 * What arrives: runs the handlers of messages and hands replies to whoever waits for them, each once, and tells ExoCom when it
 * is done.
 *
 *   deliver --> known? --> decoded --> reply: to whoever waits for it -----------------.
 *                                  `-> message: [waits for a handler to finish] -> runs -+-> handled
 */
import { isThenable, type QuietWaiters } from '../async.js';
import { asError } from '../errors.js';
import { type Clock, NyotaError } from '../index.js';
import type { HandlerContext, ReplyOptions, Sent } from './contract.js';
import type { HubConnection } from './hub-connection.js';
import {
  type DeliveredEnvelope,
  type Handled,
  isName,
  type Message,
  type MessageRef,
  messageKey,
  openEnvelope,
  readEnvelope,
  STATUS,
  STATUS_OK,
} from './message.js';
import type { Messenger } from './messenger.js';
import type { ResolvedRelayOptions } from './options.js';

/** Handlers of any messages. A method's type: what a contract says of one handler is checked where it is registered. */
export type AnyHandler = { call(payload: unknown, context: HandlerContext): unknown }['call'];

/** Sends a reply to a message. */
type Respond = (name: unknown, payload: unknown, last: boolean) => Sent;

/** A message that is to be handled here. */
interface Task {
  readonly message: Message;
  readonly job: Job;
  readonly respond: Respond;
  /** It is over, with what the handler threw. */
  readonly done: (error?: unknown) => void;
}

/** Messages that may wait for a handler to finish. ExoCom keeps more than a thousand to itself. */
const MAX_WAITING = 10_000;

export class Inbound {
  readonly #handlers: ReadonlyMap<string, AnyHandler>;
  readonly #messenger: Messenger;
  readonly #hub: HubConnection;
  readonly #quiet: QuietWaiters;
  readonly #report: (error: Error) => void;
  readonly #clock: Clock;
  readonly #maxRunning: number;
  readonly #jobs = new Jobs();
  /** Replies whose reply handlers have not settled. */
  readonly #replies = new Set<Job>();
  #waiting: Task[] = [];
  #running = 0;
  #leaving = false;

  constructor(
    { clock, maxRunningHandlers }: ResolvedRelayOptions,
    handlers: ReadonlyMap<string, AnyHandler>,
    messenger: Messenger,
    hub: HubConnection,
    quiet: QuietWaiters,
    report: (error: Error) => void,
  ) {
    this.#clock = clock;
    this.#maxRunning = maxRunningHandlers;
    this.#handlers = handlers;
    this.#messenger = messenger;
    this.#hub = hub;
    this.#quiet = quiet;
    this.#report = report;
  }

  /** True when no message handler runs or waits. Reply handlers don't count: one of them may be what closes the relay. */
  get idle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0;
  }

  /** No new messages from now on: ExoCom gives them to another instance. */
  leave(): void {
    this.#leaving = true;
  }

  /** Those that have been begun or finished here. */
  known(refs: readonly MessageRef[]): MessageRef[] {
    return refs.filter((ref) => this.#jobs.stateOf(ref) !== 'new');
  }

  /** From ExoCom. */
  deliver(value: unknown): void {
    const envelope = readDelivered(value);
    if (typeof envelope === 'string') {
      this.#report(new NyotaError('NYOTA_INVALID_ARGUMENT', envelope));
      return;
    }
    const { sender, id, responseTo } = envelope;
    const state = this.#jobs.stateOf({ sender, id });
    // It came a second time: nothing runs twice.
    if (state === 'finished') this.#hub.handled({ sender, id }, () => {});
    if (state !== 'new') return;
    if (this.#leaving && responseTo === undefined) return;
    const job = this.#jobs.begin({ sender, id });
    const message = this.#open(envelope, job);
    if (message === undefined) return;
    const task: Task = {
      message,
      job,
      respond: (name, payload, last) => this.#reply(envelope, name, payload, last),
      done: (error) => this.#finish(job, error),
    };
    if (responseTo === undefined) this.#take(task);
    else this.#takeReply(task, responseTo);
  }

  /** From this service's own port: nobody knows who sent it, and nobody is told when it is done. */
  direct({ id, name, payload, activityId, auth }: Message, respond: Respond): void {
    if (this.#leaving) return;
    this.#take({
      message: { id, name, payload, activityId, auth },
      job: new Job({ sender: '', id }),
      respond,
      done: (error) => {
        if (error !== undefined) this.#report(asError(error));
        this.#quiet.ask();
      },
    });
  }

  /** Whoever sent it waits no longer. */
  cancelled(ref: MessageRef): void {
    const job = this.#jobs.find(ref);
    if (job === undefined) return;
    this.#abort(job, new NyotaError('NYOTA_ABORTED', 'the sender waits no longer'));
    const waiting = this.#waiting.findIndex((task) => task.job === job);
    if (waiting !== -1) this.#waiting.splice(waiting, 1)[0]?.done();
  }

  /**
   * ExoCom has given what was not finished to other instances.
   * @returns the ids of the messages whose replies nobody wants from here
   */
  revoke(): ReadonlySet<string> {
    const revoked = this.#jobs.revoke();
    const error = new NyotaError('NYOTA_SESSION_INVALIDATED', 'the message was given to another instance');
    for (const job of revoked) this.#abort(job, error);
    this.#waiting = this.#waiting.filter(({ job }) => !job.dead);
    this.#quiet.ask();
    return new Set(revoked.map(({ ref }) => ref.id));
  }

  /** Replies that have reached their reply handler count as handled: this relay closes. */
  settleReplies(): void {
    for (const job of [...this.#replies]) this.#finish(job, undefined);
  }

  /** The relay ends: what runs is told. */
  end(error: NyotaError): void {
    this.#leaving = true;
    this.#waiting = [];
    for (const job of this.#jobs.all()) this.#abort(job, error);
  }

  #abort(job: Job, error: NyotaError): void {
    this.#jobs.ended(job);
    job.abort(error);
  }

  /** Undefined where it can't be read: it is handled then, and whoever waits for it waits no longer. */
  #open(envelope: DeliveredEnvelope, job: Job): Message | undefined {
    try {
      return openEnvelope(envelope);
    } catch (cause) {
      const { name, responseTo } = envelope;
      const text = `the message '${name}' can't be read: ${asError(cause).message}`;
      const error = new NyotaError('NYOTA_PAYLOAD_REFUSED', text, { cause });
      this.#finish(job, error);
      if (responseTo !== undefined) this.#messenger.unreadable(responseTo, error);
      return undefined;
    }
  }

  #reply({ id, activityId, auth }: DeliveredEnvelope, name: unknown, payload: unknown, last: boolean): Sent {
    const headers = { ...(auth !== undefined && { auth }), responseTo: id, causedBy: id, last };
    return this.#messenger.reply(activityId, headers, name, payload);
  }

  #takeReply(task: Task, responseTo: string): void {
    const pending = this.#messenger.waitingFor(responseTo);
    if (pending !== undefined) {
      this.#replies.add(task.job);
      this.#settle(task, () => pending.replied(task.message), false);
    } else if (this.#handlers.has(task.message.name)) {
      this.#take(task);
    } else {
      task.done(); // nobody waits for it any more
    }
  }

  #take(task: Task): void {
    const { name } = task.message;
    const handler = this.#handlers.get(name);
    if (handler === undefined && name === STATUS) {
      task.respond(STATUS_OK, undefined, true);
      task.done();
    } else if (handler === undefined) {
      task.done(new NyotaError('NYOTA_NO_HANDLER', `unknown message: '${name}'`));
    } else if (this.#running < this.#maxRunning) {
      this.#run(task, handler);
    } else if (this.#waiting.length < MAX_WAITING) {
      this.#waiting.push(task);
    } else {
      const text = `${MAX_WAITING} messages wait for a handler to finish: '${name}' was not handled`;
      task.done(new NyotaError('NYOTA_SERVER_BUSY', text));
    }
  }

  #run(task: Task, handler: AnyHandler): void {
    this.#running++;
    this.#settle(task, () => handler(task.message.payload, this.#context(task)), true);
  }

  /** Runs it, and finishes the task once what it returns has settled. */
  #settle(task: Task, run: () => unknown, counted: boolean): void {
    let later = false;
    const done = (error?: unknown): void => {
      if (counted) this.#running--;
      const { job } = task;
      if (job.watched && !later && !job.dead) this.#jobs.linger(job);
      task.done(error);
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
      const task = this.#waiting.shift();
      if (task === undefined) return;
      const handler = this.#handlers.get(task.message.name);
      if (handler !== undefined) this.#run(task, handler);
    }
  }

  #finish(job: Job, thrown: unknown): void {
    const error = thrown === undefined ? undefined : asError(thrown);
    this.#replies.delete(job);
    if (this.#jobs.finish(job, this.#clock.now())) {
      const handled: Handled =
        error === undefined ? job.ref : { ...job.ref, error: error.message.slice(0, 256) };
      this.#hub.handled(handled, () => this.#jobs.confirmed(job));
    }
    if (error !== undefined) this.#report(error);
    this.#quiet.ask();
  }

  #context({ message, job, respond }: Task): HandlerContext {
    const { id, activityId, sender, auth, isSecurity, redelivered } = message;
    const reply = (name: unknown, payload?: unknown, options?: ReplyOptions): Sent => {
      const last = options?.last === true;
      if (last) this.#jobs.ended(job);
      // Nobody waits for it any more, or another instance replies.
      if (job.dead) return { id, activityId };
      return respond(name, payload, last);
    };
    return {
      ...this.#messenger.callsFrom({ activityId, causedBy: id }),
      reply,
      id,
      activityId,
      sender,
      auth,
      isSecurity: isSecurity === true,
      redelivered: redelivered === true,
      get signal() {
        return job.signal;
      },
    };
  }
}

/** An envelope with what ExoCom alone may say of it; or a text of what is wrong with it. */
function readDelivered(value: unknown): DeliveredEnvelope | string {
  const envelope = readEnvelope(value);
  if (typeof envelope === 'string') return envelope;
  const { sender, isSecurity, responseTime } = value as Record<string, unknown>;
  if (!isName(sender)) return 'missing message sender';
  return {
    ...envelope,
    sender,
    ...(isSecurity === true && { isSecurity: true }),
    ...(typeof responseTime === 'number' && { responseTime }),
  };
}

/** The handling of one message that this relay was given. */
class Job {
  readonly ref: MessageRef;
  /** Nobody wants its replies any more: it was cancelled, or runs elsewhere. */
  dead = false;
  /** Made when the handler asks for its signal, which most do not. */
  #controller: AbortController | undefined;
  #aborted: NyotaError | undefined;

  constructor(ref: MessageRef) {
    this.ref = ref;
  }

  /** The handler has asked for its signal: it may still be at work after it has returned. */
  get watched(): boolean {
    return this.#controller !== undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  abort(reason: NyotaError): void {
    this.dead = true;
    this.#aborted ??= reason;
    this.#controller?.abort(reason);
  }
}

/** How long a finished message is remembered, and how many. */
export const REMEMBERED_MS = 10 * 60_000;
export const REMEMBERED_MESSAGES = 100_000;
/** How many handlers that have returned may still hear of a cancellation. */
const MAX_LINGERING = 10_000;

/**
 * Which messages this relay has begun and finished, so that none of them runs twice. Pure: time is handed in.
 *
 *   begin --> running --finish--> told --confirmed--> remembered, for 10 minutes
 *                |                 |
 *                `---- revoke -----´--> forgotten: ExoCom has given them to another instance
 */
export class Jobs {
  readonly #running = new Map<string, Job>();
  /** Finished; ExoCom has not confirmed that it knows. */
  readonly #told = new Map<string, Job>();
  /** Handlers that have returned and may still be replying, from callbacks of their own. */
  readonly #lingering = new Map<string, Job>();
  /** Finished, by when; oldest first. */
  readonly #finished = new Map<string, number>();

  stateOf(ref: MessageRef): 'new' | 'running' | 'finished' {
    const key = keyOf(ref);
    if (this.#running.has(key)) return 'running';
    return this.#finished.has(key) ? 'finished' : 'new';
  }

  begin(ref: MessageRef): Job {
    const job = new Job(ref);
    this.#running.set(keyOf(ref), job);
    return job;
  }

  /** False where it was revoked meanwhile: then there is nothing to tell. */
  finish(job: Job, now: number): boolean {
    const key = keyOf(job.ref);
    if (this.#running.get(key) !== job) return false;
    this.#running.delete(key);
    this.#told.set(key, job);
    this.#finished.delete(key);
    this.#finished.set(key, now);
    this.#forgetOld(now);
    return true;
  }

  /** ExoCom knows that it is finished. */
  confirmed({ ref }: Job): void {
    this.#told.delete(keyOf(ref));
  }

  /** The handler has returned and goes on replying. */
  linger(job: Job): void {
    this.#lingering.set(keyOf(job.ref), job);
    for (const key of this.#lingering.keys()) {
      if (this.#lingering.size <= MAX_LINGERING) return;
      this.#lingering.delete(key);
    }
  }

  /** No further reply will come. */
  ended({ ref }: Job): void {
    this.#lingering.delete(keyOf(ref));
  }

  /** One whose handler is, or may be, at work. */
  find(ref: MessageRef): Job | undefined {
    const key = keyOf(ref);
    return this.#running.get(key) ?? this.#lingering.get(key);
  }

  /** ExoCom has given everything that it does not know as finished to other instances. */
  revoke(): Job[] {
    const revoked = [...this.#running.values(), ...this.#told.values()];
    this.#running.clear();
    this.#told.clear();
    for (const job of revoked) {
      job.dead = true;
      this.#finished.delete(keyOf(job.ref));
    }
    return revoked;
  }

  /** All whose handlers are, or may be, at work. */
  all(): Job[] {
    return [...this.#running.values(), ...this.#lingering.values()];
  }

  #forgetOld(now: number): void {
    for (const [key, at] of this.#finished) {
      if (this.#finished.size <= REMEMBERED_MESSAGES && at > now - REMEMBERED_MS) return;
      this.#finished.delete(key);
      this.#told.delete(key);
      this.#lingering.delete(key);
    }
  }
}

function keyOf({ sender, id }: MessageRef): string {
  return messageKey(sender, id);
}
