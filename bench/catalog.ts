/** All measures and stacks by name. A stack of peers/ is loaded when it is asked for: its packages may not be there. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Measure } from './measure.js';
import { ROOT } from './package-version.js';
import type { Stack } from './stack.js';

export const OWN_MEASURES = [
  'codec',
  'emit',
  'one-way',
  'requests',
  'latency',
  'buffers',
  'fan-out',
  'fan-out-bursts',
  'store-writes',
  'memory',
  'resume',
  'growth',
  'durable',
] as const;

export const PEER_MEASURES = [
  'one-way',
  'requests',
  'latency',
  'buffers',
  'fan-out',
  'fan-out-bursts',
] as const;

export const PEERS = [
  'socket-io',
  'socket-io-msgpack',
  'ws-msgpackr',
  'nats',
  'zeromq',
  'axon',
  'rpc-websockets',
  'uhura',
] as const;

export async function loadMeasure(id: string): Promise<Measure> {
  const known: readonly string[] = OWN_MEASURES;
  if (!known.includes(id)) throw new Error(`there is no measure '${id}': ${OWN_MEASURES.join(', ')}`);
  const module = (await import(`./measures/${id}.js`)) as { measure: Measure };
  return module.measure;
}

const NONE: Stack = {
  name: 'none',
  version: '',
  serve: () => Promise.reject(new Error('no stack')),
  connect: () => Promise.reject(new Error('no stack')),
};

export async function loadStack(name: string): Promise<Stack> {
  if (name === 'none') return NONE;
  const peers: readonly string[] = PEERS;
  // Peers are plain JavaScript beside their own node_modules; they are not compiled.
  const from = peers.includes(name)
    ? pathToFileURL(join(ROOT, 'bench/peers', `${name}.js`)).href
    : `./${name}.js`;
  const module = (await import(from)) as { stack: Stack };
  return module.stack;
}
