/** rpc-websockets: JSON-RPC notifications are the events, calls the requests. */
import { Client, Server } from 'rpc-websockets';
import { EVENT, freePort, turn, versionOf } from './version.js';

const REQUEST = 'order.create';
const PUSHED = 'order.pushed';
const ENOUGH_BYTES = 1024 * 1024;

export const stack = {
  name: 'rpc-websockets',
  version: `rpc-websockets ${versionOf('rpc-websockets')}`,
  scale: 0.1,
  async serve(handlers) {
    const port = await freePort();
    const server = new Server({ port, host: '127.0.0.1' });
    await new Promise((resolve) => server.once('listening', resolve));
    server.register(EVENT, ([value]) => handlers.event(value));
    server.register(REQUEST, ([value]) => handlers.request(value));
    server.event(PUSHED);
    return { address: port, broadcast: (value) => server.emit(PUSHED, value), close: () => server.close() };
  },
  async connect(address, received) {
    const client = new Client(`ws://127.0.0.1:${address}`, { reconnect: false });
    await new Promise((resolve, reject) => {
      client.once('open', resolve);
      client.once('error', reject);
    });
    if (received !== undefined) {
      client.on(PUSHED, received);
      await client.subscribe(PUSHED);
    }
    return {
      send: (value) => {
        client.notify(EVENT, [value]);
      },
      congested: async () => {
        do await turn();
        while ((client.socket?.socket?.bufferedAmount ?? 0) > ENOUGH_BYTES);
      },
      request: (value) => client.call(REQUEST, [value]),
      close: () => client.close(),
    };
  },
};
