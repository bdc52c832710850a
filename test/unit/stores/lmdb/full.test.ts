/**
 * A folder that takes no more: `maxBytes`, a full disk, a file that may not grow, no right to write. Each is an error that says
 * what would be right; what was there stays, what frees space is taken, and the process lives.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lmdbStore } from '../../../../src/stores/lmdb/index.js';
import { type RunOptions, type StoreOutcome, StoreProcesses } from '../../../support/store-process.js';

const NOBODY = 65_534;
/** Only root may start a process of another user, and that user must be let at this Node. */
const AS_NOBODY =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, ['-e', ''], { uid: NOBODY, gid: NOBODY }).status === 0;
/** Mounts are for a namespace of this process's own. */
const OWN_MOUNTS = spawnSync('unshare', ['-rm', 'true']).status === 0;
if (!OWN_MOUNTS) console.log('skipped: a full and a read-only file system (unshare -rm is not allowed here)');
if (!AS_NOBODY)
  console.log(`skipped: a folder of another user (needs root, and ${process.execPath} open to all)`);

let processes: StoreProcesses;
beforeAll(() => {
  processes = new StoreProcesses();
}, 60_000);
afterAll(() => processes.remove());

/** Fills a folder by one session, then uses another one, and goes on with the first. */
function fill(path: string, options: RunOptions = {}, storeOptions = ''): Promise<StoreOutcome> {
  return processes.run(
    `
    process.on('unhandledRejection', (error) => say('UNHANDLED', error.message));
    const store = lmdbStore({ path: ${JSON.stringify(path)}, ${storeOptions} });
    const [big, small] = [await store.create(rec('big'), 1), await store.create(rec('small'), 1)];
    let kept = 0, refusal, later;
    for (let seq = 1; seq <= 80; seq++) {
      const said = await codeOf(() => store.commit('big', big, { outbound: [frame(seq, 100_000)], lastSeq: seq }));
      if (said === 'done') kept = seq;
      else if (refusal === undefined) refusal = said;
      else later = said;
    }
    say(refusal);
    say(later);
    const { outbound, lastSeq, fence } = store.load('big');
    const whole = outbound.every(({ seq, frame: wire }) => wire.equals(frame(seq, 100_000).frame));
    say(kept > 5 && kept < 80 && lastSeq === kept && outbound.length === kept && whole ? 'all there' : 'WRONG');
    say('others', await codeOf(() => store.commit('small', small, { inbound: { settled: 5, beyond: [] }, trim: 3 })));
    const raised = await store.attach('big', fence, 1);
    say('trim', await codeOf(() => store.commit('big', raised, { trim: kept - 2 })));
    // What a transaction frees is used by the one after the next.
    await store.commit('small', small, { revision: 1 });
    const again = await codeOf(() => store.commit('big', raised, { outbound: [frame(kept + 1, 50_000)], lastSeq: kept + 1 }));
    say('goes on', again);
    await store.end('big', raised, { code: 'NYOTA_SESSION_CLOSED', received: 0, sent: 0 }, 1);
    say(store.load('big') === undefined && store.tombstone('big', 1) !== undefined ? 'ended' : 'WRONG');
    await store.close();
    say('closed');`,
    options,
  );
}

const after = ['all there', 'others done', 'trim done', 'goes on done', 'ended', 'closed'];
const text = (part: string) => expect.stringContaining(part) as string;

describe('maxBytes', () => {
  it('is what sessions may take, about: one more step is refused, and room that is free again is used', async () => {
    const path = processes.place();
    const limit = 3_000_000;
    for (let round = 0; round < 3; round++) {
      const { lines, stderr, code } = await fill(path, {}, `maxBytes: ${limit}`);
      expect({ lines, stderr, code }).toEqual({
        lines: [
          text(`bytes of the ${limit} that 'maxBytes' allows: raise that, or let sessions end sooner`),
          text('did not take an earlier step of the session big, so it takes none of this owner now'),
          ...after,
        ],
        stderr: '',
        code: 0,
      });
      const store = lmdbStore({ path });
      await store.end(
        'small',
        (await store.load('small'))?.fence ?? 0,
        { code: 'NYOTA_SESSION_CLOSED', received: 0, sent: 0 },
        1,
      );
      await store.close();
      expect(statSync(join(path, 'data.mdb')).size).toBeLessThan(limit * 1.2);
    }
  }, 30_000);

  it('counts for each store by its own, also where two of a process share the folder', async () => {
    const path = processes.place();
    const [narrow, wide] = [lmdbStore({ path, maxBytes: 2 ** 20 }), lmdbStore({ path })];
    const id = (name: string) => ({
      id: name,
      credential: Buffer.alloc(9),
      identity: Buffer.alloc(9),
      resumeWindowMs: 1,
    });
    const fence = await narrow.create(id('a'), 1);
    const step = { outbound: [{ seq: 1, frame: Buffer.alloc(2 ** 20, 1) }], lastSeq: 1 };
    await expect(narrow.commit('a', fence, step)).rejects.toMatchObject({ code: 'NYOTA_STORE_FAILED' });
    await wide.commit('b', await wide.create(id('b'), 1), step);
    await expect(narrow.create(id('c'), 1)).rejects.toThrow(/maxBytes/);
    await Promise.all([narrow.close(), wide.close()]);
  });
});

describe('a disk that takes no more', () => {
  it.skipIf(!OWN_MOUNTS)('is an error that says so; what frees space is still taken', async () => {
    const place = processes.place();
    const mount = `unshare -rm bash -c 'mount -t tmpfs -o size=4m none "$0" && exec "$@"' "${place}" "$@"`;
    const { lines, stderr } = await fill(join(place, 'sessions'), { within: mount });
    const full = text("can't grow, its disk is full but for");
    expect({ lines, stderr }).toEqual({
      lines: [full, text('did not take an earlier step'), ...after],
      stderr: '',
    });
  });

  it.skipIf(!OWN_MOUNTS)(
    'and has no room at all: the folder can not be opened, and the error says why',
    async () => {
      const place = processes.place();
      const script =
        'mount -t tmpfs -o size=1m none "$0"; dd if=/dev/zero of="$0/all" bs=4k 2>/dev/null; exec "$@"';
      const outcome = await processes.run(
        `const store = lmdbStore({ path: ${JSON.stringify(join(place, 'sessions'))} });
       say(await codeOf(() => store.load('a')));
       say(await codeOf(() => store.create(rec('a'), 1)));`,
        { within: `unshare -rm bash -c '${script}' "${place}" "$@"` },
      );
      const full = text("/sessions' can not be opened: the disk is full: make room on it");
      expect(outcome).toMatchObject({ lines: [full, full], signal: null, code: 0 });
    },
  );

  it.skipIf(!OWN_MOUNTS)(
    'that becomes full by others: steps fail, none is half there, and all goes on with room',
    async () => {
      const place = processes.place();
      const outcome = await processes.run(
        `import { readdirSync, rmSync, writeFileSync } from 'node:fs';
       process.on('unhandledRejection', (error) => say('UNHANDLED', error.message));
       const place = ${JSON.stringify(place)};
       const store = lmdbStore({ path: place + '/sessions' });
       let fence = await store.create(rec('a'), 1);
       await store.commit('a', fence, { outbound: [frame(1, 50_000)], lastSeq: 1 });
       try { for (let i = 0; ; i++) writeFileSync(place + '/more' + i, Buffer.alloc(4_096)); } catch (error) { say(error.code); }
       const two = await Promise.all([
         codeOf(() => store.commit('a', fence, { outbound: [frame(2, 50_000)], lastSeq: 2 })),
         codeOf(() => store.commit('a', fence, { outbound: [frame(3, 10)], lastSeq: 3 })),
       ]);
       for (const said of two) say(said);
       say(store.load('a').lastSeq);
       for (const name of readdirSync(place)) if (name.startsWith('more')) rmSync(place + '/' + name);
       say(await codeOf(() => store.commit('a', fence, { outbound: [frame(3, 10)], lastSeq: 3 })));
       fence = await store.attach('a', fence, 1);
       say(await codeOf(() => store.commit('a', fence, { outbound: [frame(2, 50_000)], lastSeq: 2 })));
       await store.close();`,
        { within: `unshare -rm bash -c 'mount -t tmpfs -o size=3m none "$0" && exec "$@"' "${place}" "$@"` },
      );
      const refused = text('did not take an earlier step');
      expect(outcome).toMatchObject({
        lines: ['ENOSPC', text('disk is full'), refused, '1', refused, 'done'],
      });
    },
  );

  it('by a limit that only the write itself meets (ulimit -f): the step fails, the process and the store live', async () => {
    const { lines, stderr, signal } = await fill(processes.place(), { within: 'ulimit -f 3000; exec "$@"' });
    expect(signal, stderr).toBeNull();
    const failed = text('could not be written, and nothing of the step is: the disk does not take it');
    expect(lines).toEqual([failed, text('did not take an earlier step'), ...after]);
  });

  it.skipIf(!OWN_MOUNTS)('because it is read-only is an error that says so', async () => {
    const path = processes.place();
    const store = lmdbStore({ path });
    await store.create(
      { id: 'a', credential: Buffer.alloc(1), identity: Buffer.alloc(1), resumeWindowMs: 1 },
      1,
    );
    await store.close();
    const outcome = await processes.run(
      `const store = lmdbStore({ path: ${JSON.stringify(path)} });
       say(await codeOf(() => store.load('a')));
       say(await codeOf(() => store.create(rec('b'), 1)));`,
      { within: `unshare -rm bash -c 'mount --bind -o ro "$0" "$0" && exec "$@"' "${path}" "$@"` },
    );
    const readOnly = text(
      'can not be opened: the file system is read-only: make it writable, or name another folder',
    );
    expect(outcome).toMatchObject({ lines: [readOnly, readOnly], signal: null });
  });
});

describe.skipIf(!AS_NOBODY)('a folder of another user', () => {
  it.each(['the folder', 'where the folder would be made', 'its files'])(
    '%s may not be written: an error that says so',
    async (what) => {
      const place = processes.place();
      const path = join(place, 'sessions');
      if (what !== 'where the folder would be made') mkdirSync(path);
      if (what === 'its files') {
        const store = lmdbStore({ path });
        await store.create(
          { id: 'a', credential: Buffer.alloc(1), identity: Buffer.alloc(1), resumeWindowMs: 1 },
          1,
        );
        await store.close();
      }
      chmodSync(place, 0o755);
      if (what !== 'where the folder would be made') chmodSync(path, 0o755);
      const outcome = await processes.run(
        `const store = lmdbStore({ path: ${JSON.stringify(path)} });
       say(await codeOf(() => store.create(rec('b'), 1)));`,
        { uid: NOBODY },
      );
      const forbidden = text(
        'can not be opened: this process may not write there: give its user the right to',
      );
      expect(outcome).toMatchObject({ lines: [forbidden], signal: null });
    },
  );
});
