/**
 * The original, uhura 0.1.2. It has no requests and no broadcast, and its bookkeeping is quadratic in what is in flight: it
 * gets few events, and a window of them.
 */
import uhura from 'uhura';
import { EVENT, freePort, turn, versionOf } from './version.js';

const WINDOW = 64;
const DONE = 'done';

export const stack = {
  name: 'uhura 0.1.2',
  version: `uhura ${versionOf('uhura')}, ${WINDOW} events in flight`,
  scale: 0.01,
  window: WINDOW,
  broadcasts: false,
  requests: false,
  async serve(handlers) {
    const port = await freePort();
    const server = uhura.createServer((client) => {
      let count = 0;
      client.on(EVENT, (value) => {
        handlers.event(value);
        count++;
        if (count % WINDOW === 0) client.send(DONE, count);
      });
    });
    await new Promise((resolve) => server.listen(port, resolve));
    return { address: port, close: () => server.close() };
  },
  async connect(address) {
    const client = uhura.createClient(Number(address));
    await new Promise((resolve) => client.once('connect', resolve));
    let sent = 0;
    let done = 0;
    let look = () => {};
    client.on(DONE, (count) => {
      done = count;
      look();
    });
    return {
      send: (value) => {
        sent++;
        client.send(EVENT, value);
      },
      congested: async () => {
        await turn();
        while (sent - done > WINDOW) {
          await new Promise((resolve) => {
            look = resolve;
          });
        }
      },
      close: () => client.disconnect(),
    };
  },
};
