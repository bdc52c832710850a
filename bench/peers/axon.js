/** axon: push and pull for events, req and rep for requests; its own JSON messages. */
import axon from 'axon';
import { freePort, turn, versionOf } from './version.js';

const bound = (socket, port) => new Promise((resolve) => socket.bind(port, '127.0.0.1', resolve));
const connected = (socket, port) =>
  new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.connect(port, '127.0.0.1');
  });

export const stack = {
  name: 'axon',
  version: `axon ${versionOf('axon')}`,
  scale: 0.15,
  broadcasts: false,
  async serve(handlers) {
    const port = await freePort();
    const pull = axon.socket('pull');
    pull.on('message', (value) => handlers.event(value));
    await bound(pull, port);
    const rep = axon.socket('rep');
    rep.on('message', (value, reply) => reply(handlers.request(value)));
    const repPort = await freePort();
    await bound(rep, repPort);
    return { address: `${port} ${repPort}`, close: () => pull.close() };
  },
  async connect(address) {
    const [port, repPort] = address.split(' ').map(Number);
    const push = axon.socket('push');
    push.set('hwm', Number.POSITIVE_INFINITY);
    await connected(push, port);
    const req = axon.socket('req');
    await connected(req, repPort);
    return {
      send: (value) => push.send(value),
      congested: async () => {
        do await turn();
        while (push.socks.some((socket) => socket.writableNeedDrain));
      },
      request: (value) => new Promise((resolve) => req.send(value, resolve)),
      close: () => push.close(),
    };
  },
};
