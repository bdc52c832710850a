/**
 * What a process that opens the folder does to those that write to it: LMDB lets it set the number of the last transaction back.
 * That can't be timed from outside, so the number is set back here as it would be.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StoreProcesses } from '../../../support/store-process.js';

let processes: StoreProcesses;
beforeAll(() => {
  processes = new StoreProcesses();
}, 60_000);
afterAll(() => processes.remove());

/** In the lock file, behind its magic number and its format. */
const SET_BACK = `
  import { openSync, readSync, writeSync } from 'node:fs';
  const setBack = (path, by) => {
    // Not closed: that would take LMDB's own locks from this process.
    const file = openSync(path + '/lock.mdb', 'r+');
    const last = Buffer.alloc(8);
    readSync(file, last, 0, 8, 8);
    last.writeBigUInt64LE(last.readBigUInt64LE() - BigInt(by));
    writeSync(file, last, 0, 8, 8);
  };`;

for (const by of [1, 2, 3]) {
  it(`a step after the number of the last transaction was set back by ${by} takes nothing from those before it`, async () => {
    const path = join(processes.place(), 'sessions');
    const source = `${SET_BACK}
      const path = ${JSON.stringify(path)};
      const store = lmdbStore({ path });
      let fence = await store.create(rec('a'), 1);
      for (let seq = 1; seq <= 5; seq++) {
        await store.commit('a', fence, { outbound: [frame(seq)], lastSeq: seq });
        if (seq === 4) await store.create(rec('b'), 1);
      }
      setBack(path, ${by});
      say(await codeOf(() => store.commit('a', fence, { outbound: [frame(6)], lastSeq: 6 })));
      setBack(path, ${by});
      say(store.takeOver('a', 1).lastSeq, store.load('b').record.id);
      await store.close();`;
    const { lines, stderr, signal } = await processes.run(source);
    expect({ lines, stderr, signal }).toEqual({ lines: ['done', '6 b'], stderr: '', signal: null });
    const after = await processes.run(`
      const store = lmdbStore({ path: ${JSON.stringify(path)} });
      const { lastSeq, outbound } = store.load('a');
      say(lastSeq, outbound.map(({ seq }) => seq).join(' '));
      await store.close();`);
    expect(after).toMatchObject({ lines: ['6 1 2 3 4 5 6'], stderr: '', signal: null });
  });
}

it('a process that opens the folder finds the number set back, and sets it right', async () => {
  const path = join(processes.place(), 'sessions');
  const writer = processes.start(`${SET_BACK}
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    await store.create(rec('a'), 1);
    await store.create(rec('b'), 1);
    setBack(${JSON.stringify(path)}, 1);
    say('set back');
    setInterval(() => {}, 1_000);`);
  await new Promise((resolve) => writer.stdout?.once('data', resolve));
  const opener = await processes.run(`
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    say(store.load('b').record.id, await codeOf(() => store.create(rec('c'), 1)), store.load('b').record.id);
    await store.close();`);
  writer.kill('SIGKILL');
  expect(opener).toMatchObject({ lines: ['b 1 b'], stderr: '' });
});

it('a fresh folder holds nothing but its two files once it is begun', async () => {
  const path = join(processes.place(), 'sessions');
  const { lines } = await processes.run(`
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    say(await codeOf(() => store.create(rec('a'), 1)));
    await store.close();`);
  expect(lines).toEqual(['1']);
  expect(existsSync(path) && readdirSync(path).sort()).toEqual(['data.mdb', 'lock.mdb']);
});
