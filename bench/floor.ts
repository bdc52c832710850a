/**
 * The floor: what Node's sockets and msgpackr can do at all. A bare socket, a length of 4 bytes, msgpackr, writes of one
 * tick in one piece. No session, no acknowledgements, no emitter, no checks: nothing that a user would want to run.
 */
import { createServer, connect as dial, type Socket } from 'node:net';
import { Packr } from 'msgpackr';
import { packageVersion } from './package-version.js';
import type { Address, ClientSide, Handlers, ServerSide, Stack } from './stack.js';
import { EVENT } from './workload.js';

const LENGTH_BYTES = 4;
const PIECE_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);
const packr = new Packr({ useRecords: false });

/** `[EVENT, value]`, `[id, value]` of a request, `[-id, value]` of its reply. */
type Message = [head: string | number, value: unknown];

/** One socket: messages in and out. */
class Wire {
  readonly socket: Socket;
  readonly #received: (message: Message) => void;
  #piece = NOTHING;
  #used = 0;
  #pieces: Buffer[] = [];
  #planned = false;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #needed = LENGTH_BYTES;

  constructor(socket: Socket, received: (message: Message) => void) {
    this.socket = socket;
    this.#received = received;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => {});
  }

  send(message: Message): void {
    this.sendEncoded(packr.pack(message));
  }

  sendEncoded(body: Buffer): void {
    const small = LENGTH_BYTES + body.length <= PIECE_BYTES;
    if ((small ? LENGTH_BYTES + body.length : LENGTH_BYTES) > this.#piece.length - this.#used)
      this.#nextPiece();
    this.#piece.writeUInt32BE(body.length, this.#used);
    this.#used += LENGTH_BYTES;
    if (small) {
      this.#piece.set(body, this.#used);
      this.#used += body.length;
    } else {
      this.#nextPiece();
      this.#pieces.push(body);
    }
    if (this.#planned) return;
    this.#planned = true;
    process.nextTick(() => this.#flush());
  }

  drained(): Promise<unknown> | undefined {
    if (!this.socket.writableNeedDrain) return undefined;
    return new Promise((resolve) => this.socket.once('drain', resolve));
  }

  #nextPiece(): void {
    if (this.#used > 0) this.#pieces.push(this.#piece.subarray(0, this.#used));
    this.#piece = Buffer.allocUnsafe(PIECE_BYTES);
    this.#used = 0;
  }

  #flush(): void {
    this.#planned = false;
    // What is left of a piece is used by the next tick.
    if (this.#used > 0) {
      this.#pieces.push(this.#piece.subarray(0, this.#used));
      this.#piece = this.#piece.subarray(this.#used);
      this.#used = 0;
    }
    const pieces = this.#pieces;
    this.#pieces = [];
    if (pieces.length > 1) this.socket.cork();
    for (const piece of pieces) this.socket.write(piece);
    if (pieces.length > 1) this.socket.uncork();
  }

  #take(chunk: Buffer): void {
    if (this.#partBytes === 0) {
      this.#read(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#partBytes += chunk.length;
    if (this.#partBytes < this.#needed) return;
    const whole = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#read(whole);
  }

  #read(chunk: Buffer): void {
    let at = 0;
    this.#needed = LENGTH_BYTES;
    while (chunk.length - at >= LENGTH_BYTES) {
      const end = at + LENGTH_BYTES + chunk.readUInt32BE(at);
      if (end > chunk.length) {
        this.#needed = end - at;
        break;
      }
      this.#received(packr.unpack(chunk.subarray(at + LENGTH_BYTES, end)) as Message);
      at = end;
    }
    if (at === chunk.length) return;
    this.#parts.push(chunk.subarray(at));
    this.#partBytes = chunk.length - at;
  }
}

async function serve(handlers: Handlers): Promise<ServerSide> {
  const wires = new Set<Wire>();
  const server = createServer({ noDelay: true }, (socket) => {
    const wire: Wire = new Wire(socket, ([head, value]) => {
      if (head === EVENT) handlers.event(value);
      else wire.send([-head, handlers.request(value)]);
    });
    wires.add(wire);
    socket.once('close', () => wires.delete(wire));
  });
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    address: address.port,
    broadcast: (value) => {
      const body = Buffer.from(packr.pack([EVENT, value]));
      for (const wire of wires) wire.sendEncoded(body);
    },
    close: () => {
      for (const wire of wires) wire.socket.destroy();
      server.close();
    },
  };
}

async function connect(address: Address, received?: (value: unknown) => void): Promise<ClientSide> {
  const waiting = new Map<number, (value: unknown) => void>();
  let nextId = 1;
  const socket = dial(Number(address), '127.0.0.1');
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const wire = new Wire(socket, ([head, value]) => {
    if (head === EVENT) {
      received?.(value);
      return;
    }
    const id = -head;
    waiting.get(id)?.(value);
    waiting.delete(id);
  });
  const request = (value: unknown): Promise<unknown> =>
    new Promise((resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      wire.send([id, value]);
    });
  await request(null); // from here on the server knows this socket
  return {
    send: (value) => wire.send([EVENT, value]),
    congested: () => wire.drained(),
    request,
    close: () => {
      socket.destroy();
    },
  };
}

export const stack: Stack = {
  name: 'floor',
  version: `node:net ${process.version}, msgpackr ${packageVersion('msgpackr')}`,
  serve,
  connect,
};
