/**
 * A scripted peer that speaks raw bytes over a TCP socket: as a client against our server, and as a server against
 * our client. Frames come from the encoders of src/wire or are made by hand; what arrives is awaited with a deadline and
 * a clear message. Test support: of `src/` it imports wire, codec, and how a session's id follows from its secret.
 */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { decodePayload } from '../../src/codec/payload.js';
import { sessionId } from '../../src/peer/credentials.js';
import { LENGTH_BYTES, PREAMBLE_BYTES } from '../../src/wire/constants.js';
import { FrameDecoder } from '../../src/wire/frame-decoder.js';
import { encodeFrame, type FrameFields } from '../../src/wire/frame-encoder.js';
import {
  type CloseMessage,
  encodeFields,
  encodeReject,
  encodeWelcome,
  type OpenMessage,
  parseClose,
  parseOpen,
  parseWelcome,
  type RejectMessage,
  type WelcomeMessage,
  type WireLimits,
} from '../../src/wire/messages.js';
import { encodePreamble } from '../../src/wire/preamble.js';
import { FrameType } from './frame-type.js';

/** How long a test waits for anything before it says what did not come. */
export const DEADLINE_MS = 3_000;
export const LIMITS: WireLimits = {
  maxFrameBytes: 1024 * 1024,
  maxDepth: 64,
  maxValues: 65_536,
  pingIntervalMs: 15_000,
};
const READ_LIMITS = { maxDepth: 512, maxValues: 10_000_000 };

/** Things that come one after the other, and whoever waits for one of them. */
export class Arrivals<T> {
  /** Everything that ever came. */
  readonly all: T[] = [];
  readonly #what: string;
  readonly #show: (item: T) => string;
  #unclaimed: T[] = [];
  #waiters = new Set<(item: T) => boolean>();

  /** @param what the name of one of them in messages */
  constructor(what: string, show: (item: T) => string = String) {
    this.#what = what;
    this.#show = show;
  }

  add(item: T): void {
    this.all.push(item);
    for (const claim of this.#waiters) if (claim(item)) return;
    this.#unclaimed.push(item);
  }

  /** The first that matches and that nobody has claimed yet. */
  next(
    match: (item: T) => boolean = () => true,
    wanted = `a ${this.#what}`,
    deadlineMs = DEADLINE_MS,
  ): Promise<T> {
    const index = this.#unclaimed.findIndex(match);
    if (index >= 0) return Promise.resolve(this.#unclaimed.splice(index, 1)[0] as T);
    return new Promise((resolve, reject) => {
      const claim = (item: T): boolean => {
        if (!match(item)) return false;
        clearTimeout(timer);
        this.#waiters.delete(claim);
        resolve(item);
        return true;
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(claim);
        const last = this.all.slice(-12).map(this.#show).join(', ');
        reject(new Error(`${wanted} did not come within ${deadlineMs} ms; what came: [${last}]`));
      }, deadlineMs);
      this.#waiters.add(claim);
    });
  }
}

/** A frame that arrived, in memory of its own. */
export interface WireFrame {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly body: unknown;
}

/** A body of these fields, as they are: nothing is checked. */
export function body(...fields: readonly unknown[]): Buffer {
  return encodeFields(fields);
}

/** Any frame at all: the type need not exist. */
export function frame(type: number, fields: FrameFields = {}, payload?: Uint8Array): Buffer {
  return encodeFrame(type as FrameType, fields, payload);
}

/** Only the four bytes of a length. */
export function lengthOnly(length: number): Buffer {
  const bytes = Buffer.alloc(LENGTH_BYTES);
  bytes.writeUInt32BE(length);
  return bytes;
}

export function event(seq: number, name: unknown, ...args: readonly unknown[]): Buffer {
  return frame(FrameType.EVENT, { seq }, body(name, args));
}

export function request(seq: number, id: number, name: unknown, ...args: readonly unknown[]): Buffer {
  return frame(FrameType.REQUEST, { seq }, body(id, name, args, null));
}

export function ack(seq: number): Buffer {
  return frame(FrameType.ACK, { ack: seq });
}

/** By hand, not by `encodeOpen`: what is announced in it must be free to make no sense. */
export function open(message: Partial<OpenMessage> = {}): Buffer {
  const {
    features = 0,
    secret = randomBytes(32),
    resume = false,
    received = 0,
    sent = 0,
    attempt = 0,
    auth = null,
  } = message;
  const { maxFrameBytes, maxDepth, maxValues, pingIntervalMs } = message.limits ?? LIMITS;
  const limits = [maxFrameBytes, maxDepth, maxValues, pingIntervalMs];
  return frame(FrameType.OPEN, {}, body(features, secret, resume, received, limits, auth, sent, attempt));
}

export function reject(message: Partial<RejectMessage> & Pick<RejectMessage, 'code' | 'retry'>): Buffer {
  const full = {
    message: 'said by a test',
    retryAfterMs: undefined,
    received: undefined,
    sent: undefined,
    ...message,
  };
  return frame(FrameType.REJECT, {}, encodeReject(full));
}

export class RawPeer {
  readonly socket: net.Socket;
  readonly frames = new Arrivals<WireFrame>('frame', showFrame);
  /** How the socket ended: 'closed', or the error's code. */
  readonly closings = new Arrivals<string>('close of the connection');
  /** Bytes that arrived, the preamble included. */
  bytesRead = 0;
  readonly #decoder = new FrameDecoder(0xffff_ffff);
  #preamble: Buffer | undefined = Buffer.alloc(0);
  #error: string | undefined;

  /** @param speaks false: what arrives is counted, not decoded */
  constructor(socket: net.Socket, speaks = true) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.bytesRead += chunk.length;
      if (speaks) this.#take(chunk);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message;
    });
    socket.on('close', () => this.closings.add(this.#error ?? 'closed'));
  }

  static connect(port: number, speaks = true): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawPeer(socket, speaks));
      });
    });
  }

  write(...pieces: readonly Uint8Array[]): this {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(pieces));
    return this;
  }

  preamble(min = 1, max = 1): this {
    return this.write(encodePreamble(min, max));
  }

  /** Preamble and OPEN, and the WELCOME that they must get. */
  async open(message: Partial<OpenMessage> = {}): Promise<WelcomeMessage> {
    this.preamble().write(open(message));
    return parseWelcome((await this.next(FrameType.WELCOME)).body);
  }

  /** The next frame of this type. */
  next(type: number, match: (frame: WireFrame) => boolean = () => true): Promise<WireFrame> {
    const name = typeName(type);
    return this.frames.next((arrived) => arrived.type === type && match(arrived), `a frame ${name}`);
  }

  /** What the other side says as its last words: the code of a REJECT or CLOSE. */
  async lastWords(): Promise<CloseMessage> {
    const { REJECT, CLOSE } = FrameType;
    const said = await this.frames.next(({ type }) => type === REJECT || type === CLOSE, 'a REJECT or CLOSE');
    return parseClose(said.body);
  }

  closed(): Promise<string> {
    return this.closings.next();
  }

  /** An orderly end of this side's bytes. */
  fin(): this {
    this.socket.end();
    return this;
  }

  /** A reset. */
  rst(): this {
    this.socket.resetAndDestroy();
    return this;
  }

  destroy(): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#preamble !== undefined) {
      bytes = Buffer.concat([this.#preamble, chunk]);
      if (bytes.length < PREAMBLE_BYTES) {
        this.#preamble = bytes;
        return;
      }
      this.#preamble = undefined;
      bytes = bytes.subarray(PREAMBLE_BYTES);
    }
    this.#decoder.push(bytes);
    const decoder = this.#decoder;
    while (decoder.next()) {
      const { type, flags, seq, ack, source, start, end } = decoder;
      const decoded = start === end ? undefined : decodePayload(source, start, end, READ_LIMITS);
      this.frames.add({ type, flags, seq, ack, body: decoded });
    }
  }
}

/** A server of raw peers: what our client dials is ours to be rude to. */
export class RawServer {
  readonly #server: net.Server;
  readonly #peers = new Arrivals<RawPeer>('connection');

  private constructor(speaks: boolean) {
    this.#server = net.createServer((socket) => this.#peers.add(new RawPeer(socket, speaks)));
  }

  /** @param speaks false: what arrives is counted, not decoded */
  static listen(speaks = true): Promise<RawServer> {
    const raw = new RawServer(speaks);
    return new Promise((resolve) => raw.#server.listen(0, '127.0.0.1', () => resolve(raw)));
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Connections that were ever made. */
  get dialled(): number {
    return this.#peers.all.length;
  }

  /** The next connection, nothing said yet. */
  next(): Promise<RawPeer> {
    return this.#peers.next();
  }

  /** The next connection, and the OPEN that came on it. */
  async opened(): Promise<{ peer: RawPeer; open: OpenMessage }> {
    const peer = await this.next();
    peer.preamble();
    return { peer, open: parseOpen((await peer.next(FrameType.OPEN)).body) };
  }

  /** The next connection, welcomed as it wants to be. */
  async welcomed(message: Partial<WelcomeMessage> = {}): Promise<{ peer: RawPeer; open: OpenMessage }> {
    const { peer, open: opened } = await this.opened();
    peer.write(welcome(opened, message));
    return { peer, open: opened };
  }

  close(): Promise<void> {
    for (const peer of this.#peers.all) peer.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** The WELCOME that an honest server gives to this OPEN. */
function welcome(opened: OpenMessage, message: Partial<WelcomeMessage> = {}): Buffer {
  const full = {
    features: 0,
    sessionId: sessionId(opened.secret),
    resumed: opened.resume,
    received: 0,
    limits: LIMITS,
    sent: 0,
    ...message,
  };
  return frame(FrameType.WELCOME, {}, encodeWelcome(full));
}

function typeName(type: number): string {
  const known = Object.entries(FrameType).find(([, number]) => number === type);
  return known?.[0] ?? `0x${type.toString(16)}`;
}

function showFrame({ type, seq, body: decoded }: WireFrame): string {
  return `${typeName(type)}${seq > 0 ? ` ${seq}` : ''} ${JSON.stringify(decoded)?.slice(0, 120) ?? ''}`;
}
