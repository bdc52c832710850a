/**
 * NATS: the nats-server of the system, on a free port, between the two processes; JSON payloads. `NATS_SERVER` names
 * the program where it is not in the path.
 */
import { execFileSync, spawn } from 'node:child_process';
import { connect as dial, JSONCodec } from 'nats';
import { EVENT, freePort, turn, versionOf } from './version.js';

const PROGRAM = process.env.NATS_SERVER ?? 'nats-server';
const REQUEST = 'order.create';
const codec = JSONCodec();
/** So much is published before the server is asked whether it has come along. */
const FLUSH_EVERY = 2048;

/** Throws where there is none. */
const serverVersion = String(execFileSync(PROGRAM, ['--version'])).trim();

async function started(port) {
  const child = spawn(PROGRAM, ['-a', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  await new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('nats-server has ended')));
    child.stderr.on('data', (text) => String(text).includes('Server is ready') && resolve());
  });
  return child;
}

export const stack = {
  name: 'NATS',
  version: `${serverVersion}, nats.js ${versionOf('nats')}`,
  scale: 0.4,
  async serve(handlers) {
    const port = await freePort();
    const child = await started(port);
    const connection = await dial({ servers: `127.0.0.1:${port}` });
    connection.subscribe(EVENT, {
      callback: (_error, message) => handlers.event(codec.decode(message.data)),
    });
    connection.subscribe(REQUEST, {
      callback: (_error, message) =>
        message.respond(codec.encode(handlers.request(codec.decode(message.data)))),
    });
    await connection.flush();
    return {
      address: port,
      broadcast: (value) => connection.publish(`to.${EVENT}`, codec.encode(value)),
      close: async () => {
        await connection.close();
        child.kill('SIGKILL');
      },
    };
  },
  async connect(address, received) {
    const connection = await dial({ servers: `127.0.0.1:${address}` });
    if (received !== undefined) {
      connection.subscribe(`to.${EVENT}`, {
        callback: (_error, message) => received(codec.decode(message.data)),
      });
      await connection.flush();
    }
    let published = 0;
    return {
      send: (value) => {
        published++;
        connection.publish(EVENT, codec.encode(value));
      },
      congested: () => {
        if (published < FLUSH_EVERY) return turn();
        published = 0;
        return connection.flush();
      },
      request: async (value) => codec.decode((await connection.request(REQUEST, codec.encode(value))).data),
      close: () => connection.close(),
    };
  },
};
