/** The version of a package of this folder that is really there. */
import { readFileSync } from 'node:fs';

/** @param {string} name */
export function versionOf(name) {
  const file = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).version;
}

export const EVENT = 'order.created';

/** Lets the event loop take a turn. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @param {import('node:net').Server} server */
export async function listen(server) {
  await new Promise((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 }, resolve));
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

/** A port that nobody listens on at the moment, for what can't be told to take any. */
export async function freePort() {
  const { createServer } = await import('node:net');
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
