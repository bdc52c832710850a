/** What the tests of the testing tools share: waiting for something that is certain to come, and a real server. */

import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Some turns of the event loop: enough for everything in memory to arrive, whatever the machine. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves once `isTrue` is. The test runner's timeout is what ends it otherwise. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 1));
}

export interface Recording {
  /** All bytes so far. */
  readonly text: string;
  readonly chunks: Buffer[];
  /** The names of 'connect', 'end', 'error: CODE' and 'close' as they came. */
  readonly events: string[];
}

/** Reads everything from a stream, and notes what it tells. Errors are noted, never thrown. */
export function record(stream: Duplex): Recording {
  const chunks: Buffer[] = [];
  const events: string[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  for (const name of ['connect', 'end']) stream.on(name, () => events.push(name));
  stream.on('error', (error: NodeJS.ErrnoException) => events.push(`error: ${error.code ?? error.message}`));
  stream.on('close', (hadError: boolean) => events.push(`close ${hadError}`));
  return {
    chunks,
    events,
    get text() {
      return Buffer.concat(chunks).toString();
    },
  };
}

export interface RealServer extends AsyncDisposable {
  readonly port: number;
  /** The server's ends, in the order they came, each with what it read. */
  readonly ends: { socket: Socket; seen: Recording }[];
}

/** A real TCP server on loopback that hands each connection to `onSocket`. */
export async function startServer(onSocket: (socket: Socket) => void = () => {}): Promise<RealServer> {
  const ends: RealServer['ends'] = [];
  const server = createServer((socket) => {
    ends.push({ socket, seen: record(socket) });
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    ends,
    async [Symbol.asyncDispose]() {
      for (const { socket } of ends) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
