/**
 * A server process that is stopped (SIGSTOP) for longer than the heartbeat, and goes on (SIGCONT) after another process on the
 * same LMDB folder has taken its session over. It has missed all of that, and must find out before it does any harm.
 * Of the long form (NYOTA_TEST_LONG=1).
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { seededRandom } from '../../src/testing/index.js';
import { KillArena } from '../support/kill-arena.js';
import { useBuild } from '../support/kill-build.js';
import type { KillProcess } from '../support/kill-process.js';

const dist = useBuild();
const seed = Number(process.env.NYOTA_SEED ?? Date.now() % 1_000_000_000);
/** Not so short that a busy machine looks like a dead one. */
const OPTIONS = {
  pingIntervalMs: 500,
  pingTimeoutMs: 1_000,
  // The system takes connections for a process that is stopped; nobody shakes hands.
  handshakeTimeoutMs: 1_000,
  highWaterBytes: 8 * 1024,
};
/** A probe of the store that takes longer than this waits for the process that was stopped. */
const PROBE_MS = 250;
const LOAD_MS = 80;

/** Resolves once each has had something of the other handled, and both are at it again. */
async function traffic(...sides: readonly KillProcess[]): Promise<void> {
  await Promise.all(sides.map((side) => side.ask({ do: 'rest' }, 'resting')));
  for (const side of sides) side.tell({ do: 'go on' });
}

/**
 * Stops a process, but not within a transaction: there it would hold up everybody else who writes to the folder, for as
 * long as it is stopped. That is LMDB's way, and not what is tested here. So the other one writes something: where that waits, the
 * process goes on for a moment and is stopped again. Two probes: the first may have come before the signal.
 */
async function stop(process: KillProcess, other: KillProcess): Promise<void> {
  for (;;) {
    process.signal('SIGSTOP');
    if ((await probe(process, other)) && (await probe(process, other))) return;
  }
}

/** False where it waited; the process is not stopped any more then. */
async function probe(process: KillProcess, other: KillProcess): Promise<boolean> {
  const probed = other.ask({ do: 'probe' }, 'probed').then(() => true);
  if (await Promise.race([probed, pause(PROBE_MS, false)])) return true;
  process.signal('SIGCONT');
  return probed.then(() => false);
}

if (process.platform === 'win32') console.log('skipped: a stopped process (there is no SIGSTOP on Windows)');
it.skipIf(process.platform === 'win32')(
  `finds out that it has lost its session, and harms nothing (seed ${seed})`,
  async () => {
    const random = seededRandom(seed);
    const arena = new KillArena(dist(), random);
    try {
      const folder = arena.folder('shared');
      const servers = [await arena.serve(0, folder, OPTIONS), await arena.serve(0, folder, OPTIONS)];
      const ports = await Promise.all(servers.map(async (server) => (await server.hears('listening')).port));
      const addresses = ports.map((port) => ({ host: '127.0.0.1', port }));
      const client = await arena.connect(addresses, undefined, OPTIONS);
      let [owner, other] = servers as [KillProcess, KillProcess];
      await Promise.all([owner.hears('connected'), client.hears('connected')]);
      // There, and back again.
      for (let round = 0; round < 2; round++) {
        await traffic(owner, client);
        await pause(random() * LOAD_MS);
        await stop(owner, other);
        await client.hears('disconnected');
        const back = [other.hears('connected'), client.hears('connected')];
        for (const { resumed } of await Promise.all(back)) expect(resumed).toBe(true);
        await traffic(other, client);
        owner.signal('SIGCONT');
        await owner.hears('disconnected');
        expect((await owner.hears('over')).code).toBe('NYOTA_TAKEN_OVER');
        await traffic(other, client);
        // It stayed where it was.
        expect([client.hasSaid('disconnected'), other.hasSaid('disconnected')]).toEqual([false, false]);
        [owner, other] = [other, owner];
      }
      const { problems, lost, repeated, counts } = await arena.finish(owner, client);
      expect(await other.stop()).toBe('exit code 0');
      expect(problems).toEqual([]);
      expect({ lost, repeated }).toEqual({ lost: 0, repeated: 0 });
      expect(Math.min(counts.client.events, counts.server.events)).toBeGreaterThan(50);
    } finally {
      await arena.clearUp();
    }
  },
  60_000,
);
