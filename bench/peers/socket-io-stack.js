/** socket.io over its WebSocket transport, with the parser that is handed in. Requests are events with an acknowledgement. */
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { EVENT, listen, turn, versionOf } from './version.js';

/**
 * @param {string} name
 * @param {object} [parser]
 * @param {string} [parserVersion]
 */
export function socketIo(name, parser, parserVersion = '') {
  const options = { transports: ['websocket'], ...(parser === undefined ? {} : { parser }) };
  return {
    name,
    version: `socket.io ${versionOf('socket.io')}${parserVersion}`,
    scale: 0.15,
    async serve(handlers) {
      const http = createServer();
      const server = new Server(http, { ...options, maxHttpBufferSize: 1e8 });
      server.on('connection', (socket) => {
        socket.on(EVENT, (value, reply) => {
          if (reply === undefined) handlers.event(value);
          else reply(handlers.request(value));
        });
      });
      const address = await listen(http);
      return { address, broadcast: (value) => server.emit(EVENT, value), close: () => server.close() };
    },
    async connect(address, received) {
      const socket = io(`http://127.0.0.1:${address}`, { ...options, forceNew: true });
      if (received !== undefined) socket.on(EVENT, received);
      await new Promise((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject));
      return {
        send: (value) => socket.emit(EVENT, value),
        // It never asks the sender to wait: what its transport has not taken is waited for here.
        congested: async () => {
          await turn();
          const { engine } = socket.io;
          while (engine.writeBuffer.length > 0) await new Promise((resolve) => engine.once('drain', resolve));
        },
        request: (value) => new Promise((resolve) => socket.emit(EVENT, value, resolve)),
        close: () => socket.close(),
      };
    },
  };
}
