/**
 * A real link that goes down between a client and a server for longer than the heartbeat: no packet passes, nobody is told,
 * and the sockets stay open. Skipped, with the reason, where the machine allows no network namespaces.
 * Of the long form (NYOTA_TEST_LONG=1).
 */
import { expect, it } from 'vitest';
import { seededRandom } from '../../src/testing/index.js';
import { KillArena } from '../support/kill-arena.js';
import { useBuild } from '../support/kill-build.js';
import { NetworkNamespace } from '../support/kill-netns.js';

const dist = useBuild();
const seed = Number(process.env.NYOTA_SEED ?? Date.now() % 1_000_000_000);
const OPTIONS = { pingIntervalMs: 400, pingTimeoutMs: 1_000, handshakeTimeoutMs: 1_000 };

it(`both sides notice, and go on once it is up again, with nothing lost or repeated (seed ${seed})`, async (context) => {
  let network: NetworkNamespace;
  try {
    network = new NetworkNamespace();
  } catch (error) {
    const reason = `no network namespace here (Linux, root and iproute2 are needed): ${error}`;
    console.log(`skipped: ${reason}`);
    return context.skip(reason);
  }
  const arena = new KillArena(dist(), seededRandom(seed));
  try {
    const server = await arena.serve(0, undefined, { ...OPTIONS, host: network.address });
    const { port } = await server.hears('listening');
    const servers = [{ host: network.address, port }];
    const options = { ...OPTIONS, connectTimeoutMs: 500 };
    const client = await arena.connect(servers, undefined, options, network.command);
    const sides = [server, client];
    await Promise.all(sides.map((side) => side.hears('connected')));
    // Pulled at either end: at its own, a side has no route any more; at the other's, it just hears nothing.
    for (const end of ['here', 'there'] as const) {
      network.set(end, 'down');
      const told = await Promise.all(sides.map((side) => side.hears('disconnected')));
      expect(told.map(({ code }) => code)).toEqual(['NYOTA_PING_TIMEOUT', 'NYOTA_PING_TIMEOUT']);
      network.set(end, 'up');
      const back = await Promise.all(sides.map((side) => side.hears('connected')));
      expect(back.map(({ resumed }) => resumed)).toEqual([true, true]);
    }
    const { problems, lost, repeated, counts } = await arena.finish(server, client);
    expect(problems).toEqual([]);
    const redelivered = counts.client.redelivered + counts.server.redelivered;
    expect({ lost, repeated, redelivered }).toEqual({ lost: 0, repeated: 0, redelivered: 0 });
    expect(Math.min(counts.client.events, counts.server.events)).toBeGreaterThan(100);
  } finally {
    await arena.clearUp();
    network.remove();
  }
}, 60_000);
