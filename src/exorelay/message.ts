/**
 * What travels between a relay and the hub: the events, the envelope of a message, and the checks of what came from
 * the wire. Both sides share this file; it knows no socket and no session.
 *
 * A relay connects with its role, and a token where that proves the role: `auth` is `{ role, token? }`.
 *
 *   relay                                              hub
 *     <- exo.hello                                        once for every session object of the hub: register (again)
 *     -> exo.register, exo.awaiting...                    who am I, what do I handle, whose replies do I wait for
 *     <- exo.registered                                   online: now everything that is not accepted yet is sent, in order
 *     -> exo.message         <- exo.accepted              kept by the relay until accepted; `exo.rejected` may come before
 *     <- exo.deliver         -> exo.handled               kept by the hub until handled, whether or not the handler threw
 *     -> exo.cancel          <- exo.cancel                the sender waits no longer: dropped, or the handler is told
 *     -> exo.leave                                        no new messages from now on; the session closes when all has run
 *     <- exo.known (request)                              which of these has this relay begun or finished?
 *
 * A message that was sent once and is sent again (a new session, another hub process) keeps its id and carries
 * `redelivered`. Ids are the sender's: two senders may use the same one, so everybody remembers `messageKey(sender, id)`.
 *
 * The payload travels encoded, and so does `auth`: whoever sends a message encodes them once, whoever handles it decodes them
 * once, and the hub passes on bytes.
 */
import { Encoded, type EncodedLimits, type EncodeOptions, encode } from '../index.js';

/** The hub's own name as a sender. No service can have it. */
export const HUB_ROLE = 'exocom';
/** The role whose service decides over every message. */
export const SECURITY_ROLE = 'security';

/** The names of the security role's messages. Nobody else may send or receive them. */
export const SecurityMessage = {
  /** Hub to security: may this message be delivered? The payload is the whole message. */
  AUTHORIZE: 'authorize message',
  AUTHORIZED: 'message authorized',
  /** Security to hub, and hub to whoever sent the message. */
  UNAUTHORIZED: 'message unauthorized',
  /** Security to hub: ask a service. The payload is `{ name, payload? }`. */
  REQUEST: 'security request',
  /** Hub to security: its answer. The payload is `{ name, payload, sender }`. */
  RESPONSE: 'security response',
} as const;

/** The status question of a relay's own port, and its answer. */
export const STATUS = '__status';
export const STATUS_OK = '__status-ok';

/** A payload, or an auth, as it travels: its MessagePack. Whoever passes it on does not look into it. */
export type Body = Uint8Array;

/** What a message says of itself. */
interface Headers {
  /** Chosen by the sender, unique to it; a UUID. */
  readonly id: string;
  /** Towards the hub the sender's own name for it, from the hub the receiver's own. */
  readonly name: string;
  /** What belongs together: all of an activity goes to the same instance. */
  readonly activityId: string;
  /** The id of the message that this one answers. */
  readonly responseTo?: string;
  /** On a reply: no further one follows. */
  readonly last?: boolean;
  /** The id of the message in whose handler this one was sent. */
  readonly causedBy?: string;
  /** The role that sent it. Set by the hub from who authenticated; what a relay writes here is ignored. */
  readonly sender?: string;
  /** Set by the hub on what the security role asked. What a relay writes here is ignored. */
  readonly isSecurity?: boolean;
  /** It may have been handled before, by an instance that died, or before the hub was restarted. */
  readonly redelivered?: boolean;
  /** When it was sent, in ms since the epoch, by the sender's clock. */
  readonly timestamp?: number;
  /** On a reply, in ms: from the hub's taking the message to its passing the reply on. Set by the hub. */
  readonly responseTime?: number;
}

/** One message on its way. */
export interface Envelope extends Headers {
  readonly payload?: Body;
  /** Travels with a message and with its replies. */
  readonly auth?: Body;
}

/** A message with its values: what handlers see, and what a relay's own port takes. */
export interface Message extends Headers {
  readonly payload?: unknown;
  readonly auth?: unknown;
}

/** An envelope as the hub passes it on: the sender is verified. */
export type DeliveredEnvelope = Envelope & { readonly sender: string };

/** `exo.register`: sent at `exo.hello`, and again whenever a handler is added. The role is that of the credentials. */
export interface Registration {
  /** One relay object, for its whole life: a random id. Says whose replies are whose over a new session. */
  readonly instance: string;
  /** The message names that it has handlers for. */
  readonly handles: readonly string[];
  /** The id of the hub process that it was registered at before, if at any: `exo.hello` tells it. */
  readonly before?: string;
}

/** A message whose sender still waits for replies. */
export interface AwaitedReply {
  readonly id: string;
  /** Its own name for the message it sent. */
  readonly name: string;
  readonly activityId: string;
}

/** Which message: ids are unique to their sender alone. */
export interface MessageRef {
  readonly sender: string;
  readonly id: string;
}

/** `exo.handled`: the handler of a delivered message has finished. */
export interface Handled extends MessageRef {
  /** What it threw. It counts as handled all the same. */
  readonly error?: string;
}

/** Why the hub did not deliver a message, or not to everybody. */
export type RejectionCode =
  /** The routes don't let this role send it. */
  | 'EXO_NOT_ALLOWED'
  /** Nobody receives it, by the routes. */
  | 'EXO_NO_RECEIVERS'
  /** A reply to a message that the hub does not know (any more), or that was not sent to this role. */
  | 'EXO_UNKNOWN_REPLY'
  /** Whoever asked is gone. */
  | 'EXO_RECEIVER_GONE'
  /** Kept for an absent role for longer than `queueTtlMs`. */
  | 'EXO_QUEUE_EXPIRED'
  /** Too many messages wait for a role. */
  | 'EXO_QUEUE_FULL'
  /** Too many messages of this sender's are being decided over. */
  | 'EXO_OVERLOADED'
  /** Not a message: see the reason. */
  | 'EXO_BAD_MESSAGE'
  /** The receiver can't take it (larger than its largest frame). */
  | 'EXO_UNDELIVERABLE';

/** `exo.rejected`. The `exo.accepted` of the same message still follows. */
export interface Rejection {
  readonly id: string;
  readonly name: string;
  /** For people. */
  readonly reason: string;
  readonly code: RejectionCode;
}

/** The events on the nyota session of one relay instance, as its contract. */
export interface RelayContract {
  toServer: {
    'exo.register': (registration: Registration) => void;
    /** After `exo.register` in a new session, at most `MAX_AWAITED` in one event. */
    'exo.awaiting': (awaited: readonly AwaitedReply[]) => void;
    'exo.message': (envelope: Envelope) => void;
    'exo.handled': (handled: Handled) => void;
    /** The sender of this message waits for its replies no longer. */
    'exo.cancel': (cancel: { readonly id: string }) => void;
    'exo.leave': () => void;
  };
  toClient: {
    /** `hub`: the id of this hub process. */
    'exo.hello': (hello: { readonly hub: string }) => void;
    'exo.registered': () => void;
    /** The listener returns at once: what a handler does until `exo.handled` holds nothing up. */
    'exo.deliver': (envelope: DeliveredEnvelope) => void;
    /** To an instance that has the message, or has handled it and may still reply. */
    'exo.cancel': (ref: MessageRef) => void;
    /** It was handled by every receiver, or refused: the sender can forget it. */
    'exo.accepted': (accepted: { readonly id: string }) => void;
    'exo.rejected': (rejection: Rejection) => void;
    /** A request: which of these were begun or are finished here. */
    'exo.known': (messages: readonly MessageRef[]) => readonly MessageRef[];
  };
  state: Record<string, never>;
}

/** Entries of one `exo.awaiting`, and of one `exo.known`. */
export const MAX_AWAITED = 1_000;
/** Characters of a message name, of an id, and of a role. */
const MAX_NAME_LENGTH = 256;
/** Handlers that one relay may announce. */
export const MAX_HANDLES = 10_000;

/** What to remember a message by. */
export function messageKey(sender: string, id: string): string {
  return `${sender}\n${id}`;
}

/** What is read of a body: more than a relay sends, as the security role gets whole messages, with payload and auth. */
const BODY_LIMITS: EncodedLimits = { maxDepth: 72, maxValues: 200_000 };
/** What an envelope takes besides its name, its payload and its auth. */
const ENVELOPE_BYTES = 120;

/**
 * A relay encodes within nyota's own limits.
 * @throws NyotaError `NYOTA_UNSERIALIZABLE` naming the path of what can't travel, `NYOTA_PAYLOAD_TOO_COMPLEX`
 */
export function encodeBody(value: unknown, options: EncodeOptions = BODY_LIMITS): Body {
  return encode(value, options).bytes;
}

/** @throws NyotaError `NYOTA_PAYLOAD_REFUSED` */
export function decodeBody(body: Body): unknown {
  return Encoded.from(body, BODY_LIMITS).decode();
}

/** To stand inside of a value that is encoded as a body of its own. */
export function nestBody(body: Body): Encoded {
  return Encoded.from(body, BODY_LIMITS);
}

/** @throws NyotaError as `encodeBody` */
export function sealMessage<M extends Partial<Message>>({ payload, auth, ...headers }: M) {
  return {
    ...headers,
    ...(payload !== undefined && { payload: encodeBody(payload) }),
    ...(auth !== undefined && { auth: encodeBody(auth) }),
  };
}

/** @throws NyotaError as `decodeBody` */
export function openEnvelope<E extends Envelope>({ payload, auth, ...headers }: E) {
  return {
    ...headers,
    ...(payload !== undefined && { payload: decodeBody(payload) }),
    ...(auth !== undefined && { auth: decodeBody(auth) }),
  };
}

/** About how many bytes of memory a message takes: what the bounds in bytes count. */
export function sizeOf({ name, payload, auth }: Envelope): number {
  return ENVELOPE_BYTES + name.length + (payload?.length ?? 0) + (auth?.length ?? 0);
}

/** Whether this can be a role, a message name or an id: a string of 1 to 256 characters without control characters. */
export function isName(value: unknown): value is string {
  return (
    typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_LENGTH && !/\p{Cc}/u.test(value)
  );
}

/** Reads an envelope that came from the wire, without what the sender may not say; or a text of what is wrong with it. */
export function readEnvelope(value: unknown): Envelope | string {
  const message = readMessage(value);
  if (typeof message === 'string') return message;
  if (!isBody(message.payload)) return 'a payload travels encoded';
  if (!isBody(message.auth)) return 'an auth travels encoded';
  return message as Envelope;
}

function isBody(value: unknown): boolean {
  return value === undefined || value instanceof Uint8Array;
}

/** The same where the values are not encoded: at a relay's own port. */
export function readMessage(value: unknown): Message | string {
  if (!isRecord(value)) return 'a message is an object';
  const { id, name, activityId, responseTo, causedBy, timestamp } = value;
  if (id === undefined || id === null || id === '') return 'missing message id';
  if (!isName(id)) return 'a message id is a string of 1 to 256 characters';
  if (!isName(name)) return 'a message name is a string of 1 to 256 characters';
  if (activityId !== undefined && !isName(activityId))
    return 'an activityId is a string of 1 to 256 characters';
  if (responseTo !== undefined && !isName(responseTo)) return 'responseTo is a message id';
  if (causedBy !== undefined && !isName(causedBy)) return 'causedBy is a message id';
  return {
    id,
    name,
    ...(value.payload !== undefined && { payload: value.payload }),
    activityId: activityId ?? id,
    ...(value.auth !== undefined && { auth: value.auth }),
    ...(responseTo !== undefined && { responseTo }),
    ...(causedBy !== undefined && { causedBy }),
    ...(value.last === true && { last: true }),
    ...(value.redelivered === true && { redelivered: true }),
    ...(typeof timestamp === 'number' && { timestamp }),
  };
}

export function readRegistration(value: unknown): Registration | undefined {
  if (!isRecord(value)) return undefined;
  const { instance, handles } = value;
  if (!isName(instance) || !Array.isArray(handles) || handles.length > MAX_HANDLES) return undefined;
  if (!handles.every(isName)) return undefined;
  return { instance, handles, ...(isName(value.before) && { before: value.before }) };
}

export function readHandled(value: unknown): Handled | undefined {
  if (!isRecord(value) || !isName(value.sender) || !isName(value.id)) return undefined;
  const { sender, id, error } = value;
  return { sender, id, ...(typeof error === 'string' && { error }) };
}

/** The entries that can be read; the others are left out. */
export function readAwaited(value: unknown): readonly AwaitedReply[] {
  if (!Array.isArray(value) || value.length > MAX_AWAITED) return [];
  return value.filter(
    (one) => isRecord(one) && isName(one.id) && isName(one.name) && isName(one.activityId),
  ) as AwaitedReply[];
}

/** The entries that can be read; the others are left out. */
export function readRefs(value: unknown): readonly MessageRef[] {
  if (!Array.isArray(value) || value.length > MAX_AWAITED) return [];
  return value.filter((one) => isRecord(one) && isName(one.sender) && isName(one.id)) as MessageRef[];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
