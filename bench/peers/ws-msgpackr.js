/** ws and msgpackr, put together as people do: an array of event and value, ids for replies. Nothing is kept for a reconnect. */
import { Packr } from 'msgpackr';
import { WebSocket, WebSocketServer } from 'ws';
import { EVENT, turn, versionOf } from './version.js';

const packr = new Packr({ useRecords: false });
const ENOUGH_BYTES = 1024 * 1024;

export const stack = {
  name: 'ws + msgpackr',
  version: `ws ${versionOf('ws')} with msgpackr ${versionOf('msgpackr')}`,
  scale: 0.4,
  async serve(handlers) {
    const server = new WebSocketServer({
      port: 0,
      host: '127.0.0.1',
      perMessageDeflate: false,
      backlog: 1024,
    });
    await new Promise((resolve) => server.once('listening', resolve));
    server.on('connection', (socket) => {
      socket.on('message', (bytes) => {
        const [head, value] = packr.unpack(bytes);
        if (head === EVENT) handlers.event(value);
        else socket.send(packr.pack([head, handlers.request(value)]));
      });
    });
    return {
      address: server.address().port,
      broadcast: (value) => {
        const bytes = Buffer.from(packr.pack([EVENT, value]));
        for (const socket of server.clients) socket.send(bytes);
      },
      close: () => server.close(),
    };
  },
  async connect(address, received) {
    const socket = new WebSocket(`ws://127.0.0.1:${address}`, { perMessageDeflate: false });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const waiting = new Map();
    let nextId = 1;
    socket.on('message', (bytes) => {
      const [head, value] = packr.unpack(bytes);
      if (head === EVENT) {
        received?.(value);
        return;
      }
      waiting.get(head)?.(value);
      waiting.delete(head);
    });
    return {
      send: (value) => socket.send(packr.pack([EVENT, value])),
      congested: async () => {
        do await turn();
        while (socket.bufferedAmount > ENOUGH_BYTES);
      },
      request: (value) =>
        new Promise((resolve) => {
          const id = nextId++;
          waiting.set(id, resolve);
          socket.send(packr.pack([id, value]));
        }),
      close: () => socket.close(),
    };
  },
};
