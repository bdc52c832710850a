/** nyota as its users have it: defaults everywhere, except that a frame may hold a Buffer of 1 MiB. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, createClient, createServer, type Server, type Session } from '../src/index.js';
import { ROOT } from './package-version.js';
import type { Address, ClientSide, Handlers, ServerSide, Stack } from './stack.js';
import { EVENT, MIB } from './workload.js';

const LIMITS = { maxFrameBytes: 2 * MIB };

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Connects, and waits until the session is there. */
export async function openSession(port: Address): Promise<Client> {
  const client = createClient({ port: Number(port), host: '127.0.0.1', ...LIMITS });
  await new Promise((resolve) => client.once('connect', resolve));
  return client;
}

export function makeServer(onSession: (session: Session) => void): Server {
  return createServer(LIMITS, onSession);
}

async function serve(handlers: Handlers): Promise<ServerSide> {
  const server = makeServer((session) => {
    session.on(EVENT, (value: unknown) => handlers.event(value));
    session.handle(EVENT, (value: unknown) => handlers.request(value));
  });
  return {
    address: await listen(server),
    broadcast: (value) => server.send(EVENT, value),
    close: () => server.destroy(),
  };
}

async function connect(address: Address, received?: (value: unknown) => void): Promise<ClientSide> {
  const client = await openSession(address);
  if (received !== undefined) client.on(EVENT, (value: unknown) => received(value));
  let full = false;
  return {
    send: (value) => {
      if (!client.send(EVENT, value)) full = true;
    },
    congested: () => {
      if (!full) return undefined;
      full = false;
      return new Promise<void>((resolve) => client.once('drain', resolve));
    },
    request: (value) => client.request(EVENT, value),
    close: () => client.destroy(),
  };
}

const manifest: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

export const stack: Stack = {
  name: 'nyota',
  version: `nyota ${String((manifest as { version?: unknown }).version)}`,
  serve,
  connect,
};
