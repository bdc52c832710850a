/** zeromq: a Dealer and a Router, msgpackr for the values. The Router sees who has sent what. */
import { Packr } from 'msgpackr';
import { Dealer, Router } from 'zeromq';
import { EVENT, versionOf } from './version.js';

const packr = new Packr({ useRecords: false });

export const stack = {
  name: 'zeromq',
  version: `zeromq ${versionOf('zeromq')} with msgpackr ${versionOf('msgpackr')}`,
  scale: 0.25,
  async serve(handlers) {
    const router = new Router({ receiveHighWaterMark: 0, sendHighWaterMark: 0 });
    await router.bind('tcp://127.0.0.1:*');
    const peers = new Map();
    const replies = sender(router);
    void (async () => {
      for await (const [id, bytes] of router) {
        peers.set(id.toString('hex'), id);
        const [head, value] = packr.unpack(bytes);
        if (head === EVENT) handlers.event(value);
        else if (head !== 0) replies([id, Buffer.from(packr.pack([head, handlers.request(value)]))]);
        else replies([id, Buffer.from(packr.pack([0, null]))]);
      }
    })();
    return {
      address: router.lastEndpoint,
      broadcast: (value) => {
        const bytes = Buffer.from(packr.pack([EVENT, value]));
        for (const id of peers.values()) replies([id, bytes]);
      },
      close: () => router.close(),
    };
  },
  async connect(address, received) {
    const dealer = new Dealer({ receiveHighWaterMark: 0, sendHighWaterMark: 0 });
    dealer.connect(address);
    const waiting = new Map();
    let nextId = 1;
    const post = sender(dealer);
    void (async () => {
      for await (const [bytes] of dealer) {
        const [head, value] = packr.unpack(bytes);
        if (head === EVENT) {
          received?.(value);
          continue;
        }
        waiting.get(head)?.(value);
        waiting.delete(head);
      }
    })();
    const ask = (id, value) =>
      new Promise((resolve) => {
        waiting.set(id, resolve);
        post([Buffer.from(packr.pack([id, value]))]);
      });
    await ask(0, null); // the router knows this one now
    return {
      send: (value) => post([Buffer.from(packr.pack([EVENT, value]))]),
      congested: () => post.idle(),
      request: (value) => ask(nextId++, value),
      close: () => dealer.close(),
    };
  },
};

/** A socket of zeromq takes one message at a time: the next waits for the one before. */
function sender(socket) {
  const queue = [];
  let running;
  const run = async () => {
    while (queue.length > 0) await socket.send(queue.shift());
    running = undefined;
  };
  const post = (message) => {
    queue.push(message);
    running ??= run();
  };
  post.idle = () => running ?? Promise.resolve();
  return post;
}
