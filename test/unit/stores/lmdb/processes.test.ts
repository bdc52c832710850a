/** Several processes on one folder of an LMDB store: they may come and go as they like, and each session has one owner. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { lmdbStore } from '../../../../src/stores/lmdb/index.js';
import { inLength } from '../../../support/length.js';
import { outcomeOf, StoreProcesses, whenSaid } from '../../../support/store-process.js';

let processes: StoreProcesses;
beforeAll(() => {
  processes = new StoreProcesses();
}, 60_000);
afterAll(() => processes.remove());

it('four processes may open a fresh folder at the same time', async () => {
  for (let round = 0; round < inLength(5, 2); round++) {
    const path = join(processes.place(), 'sessions');
    const at = Date.now() + 700;
    const source = (name: string): string => `
      const store = lmdbStore({ path: ${JSON.stringify(path)} });
      while (Date.now() < ${at});
      say(await codeOf(() => store.create(rec('${name}'), 1)));
      say(await codeOf(async () => store.load('${name}').record.id));
      await store.close();`;
    const names = ['one', 'two', 'three', 'four'];
    const outcomes = await Promise.all(names.map((name) => processes.run(source(name))));
    expect(outcomes.map(({ lines, signal, stderr }) => ({ lines, signal, stderr }))).toEqual(
      names.map((name) => ({ lines: ['1', name], signal: null, stderr: '' })),
    );
    const store = lmdbStore({ path });
    for (const name of names) expect(await store.load(name)).toBeDefined();
    await store.close();
  }
}, 60_000);

it('two processes that take a session from each other: each step is of its owner, and none is lost or half there', async () => {
  const path = processes.place();
  const source = (name: string): string => `
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    let mine = 0, lost = 0, taken = 0, holes = 0;
    await store.create(rec('a'), 1).catch(() => {});
    const end = Date.now() + ${inLength(2_000, 700)};
    while (Date.now() < end) {
      const stored = store.load('a');
      const fence = await store.attach('a', stored.fence, 1);
      if (fence === undefined) { lost++; continue; }
      taken++;
      let { lastSeq, trimmed } = store.load('a');
      try {
        for (let i = 0; i < 20; i++) {
          lastSeq++;
          // Entry and frame belong together: a reader must never see one without the other.
          const entries = [{ key: 'last', bytes: Buffer.from(String(lastSeq)), revision: lastSeq, expiresAt: undefined }];
          await store.commit('a', fence, { entries, outbound: [frame(lastSeq)], lastSeq, trim: lastSeq - 5 });
          mine++;
        }
      } catch (error) { if (error.code !== 'NYOTA_TAKEN_OVER') throw error; }
      const { entries, outbound, lastSeq: last } = store.load('a');
      if (Number(entries[0]?.bytes ?? 0) !== last || (outbound.at(-1)?.seq ?? 0) !== last) holes++;
    }
    say(JSON.stringify({ name: '${name}', mine, lost, taken, holes }));
    await store.close();`;
  const outcomes = await Promise.all(['one', 'two', 'three'].map((name) => processes.run(source(name))));
  const reports = outcomes.map(({ lines, stderr }) => {
    expect(stderr).toBe('');
    return JSON.parse(lines[0] ?? '') as { mine: number; taken: number; holes: number };
  });
  const store = lmdbStore({ path });
  const { lastSeq } = (await store.load('a')) ?? {};
  await store.close();
  expect(lastSeq).toBe(reports.reduce((sum, { mine }) => sum + mine, 0));
  for (const { holes, taken } of reports) {
    expect(holes).toBe(0);
    expect(taken).toBeGreaterThan(0);
  }
}, 30_000);

it('a process that is killed while it writes leaves whole steps, and the next one goes on at once', async () => {
  const path = processes.place();
  for (let round = 1; round <= inLength(5, 2); round++) {
    const child = processes.start(`
      const store = lmdbStore({ path: ${JSON.stringify(path)} });
      const fence = await store.create(rec('a${round}'), 1);
      let answered = 0;
      for (let seq = 1; ; seq++) {
        const step = { inbound: { settled: seq, beyond: [] }, outbound: [frame(seq, 5_000)], lastSeq: seq };
        store.commit('a${round}', fence, step).then(() => { answered = seq; });
        if (seq % 50 === 0) { await new Promise(setImmediate); process.stdout.write(answered + '\\n'); }
        if (seq === 500) say('busy');
      }`);
    const outcome = outcomeOf(child);
    await whenSaid(child, 'busy');
    child.kill('SIGKILL');
    const { lines } = await outcome;
    const answered = Math.max(0, ...lines.map(Number).filter((line) => !Number.isNaN(line)));
    const store = lmdbStore({ path });
    const stored = await store.load(`a${round}`);
    expect(stored?.outbound).toHaveLength(stored?.lastSeq ?? -1);
    expect(stored?.inbound.settled).toBe(stored?.lastSeq);
    expect(stored?.lastSeq).toBeGreaterThanOrEqual(answered);
    await store.commit(`a${round}`, stored?.fence ?? 0, { revision: 1 });
    await store.close();
  }
}, 30_000);

it('a process that is killed while it makes the folder leaves one that can be used', async () => {
  const place = processes.place();
  const child = processes.start(`
    import { rmSync } from 'node:fs';
    for (let i = 0; ; i++) {
      const path = ${JSON.stringify(place)} + '/' + i;
      await lmdbStore({ path }).create(rec('a'), 1);
      say('made');
    }`);
  await whenSaid(child, 'made');
  child.kill('SIGKILL');
  await outcomeOf(child);
  let used = 0;
  for (let i = 0; existsSync(join(place, `${i}`)); i++) {
    const store = lmdbStore({ path: join(place, `${i}`) });
    await store.create(
      { id: 'b', credential: Buffer.alloc(1), identity: Buffer.alloc(1), resumeWindowMs: 1 },
      1,
    );
    await store.close();
    rmSync(join(place, `${i}`), { recursive: true });
    used++;
  }
  expect(used).toBeGreaterThan(0);
});

it('a process that is stopped between its steps holds up nobody', async () => {
  const path = processes.place();
  const child = processes.start(`
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    await store.create(rec('a'), 1);
    say('idle');
    setInterval(() => {}, 1_000);`);
  const outcome = outcomeOf(child);
  await whenSaid(child, 'idle');
  child.kill('SIGSTOP');
  const store = lmdbStore({ path });
  const fence = (await store.attach('a', 1, 1)) as number;
  for (let revision = 1; revision <= 50; revision++) await store.commit('a', fence, { revision });
  await store.close();
  child.kill('SIGKILL');
  expect((await outcome).stderr).toBe('');
});

it('the session of a process that died is swept once its window is over, and that of a living one is not', async () => {
  const path = processes.place();
  const store = lmdbStore({ path });
  const now = Date.now();
  const child = processes.start(`
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    await store.attach('theirs', await store.create(rec('theirs', 1_000), ${now}), ${now});
    say('there');
    setInterval(() => {}, 1_000);`);
  const outcome = outcomeOf(child);
  await whenSaid(child, 'there');
  const mine = await store.create(
    { id: 'mine', credential: Buffer.alloc(1), identity: Buffer.alloc(1), resumeWindowMs: 1 },
    now,
  );
  await store.attach('mine', mine, now);
  expect(await store.sweep(now + 1_000_000)).toBe(0);
  child.kill('SIGKILL');
  await outcome;
  // Nothing tells that it died: for a while it may just be slow.
  expect(await store.sweep(now + 1_000_000)).toBe(0);
  expect(await store.load('theirs')).toBeDefined();
  await store.close();
}, 20_000);
