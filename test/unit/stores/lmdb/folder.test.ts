/** What an LMDB store does with a folder that is not as it should be: a clear error, and the process lives. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lmdbStore } from '../../../../src/stores/lmdb/index.js';
import type { SessionRecord } from '../../../../src/stores/session-store.js';
import { rows } from '../../../support/length.js';
import { type StoreOutcome, StoreProcesses, whenSaid } from '../../../support/store-process.js';

const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
const SESSIONS = 200;

let processes: StoreProcesses;
beforeAll(() => {
  processes = new StoreProcesses();
}, 60_000);
afterAll(() => processes.remove());

function record(id: string): SessionRecord {
  return { id, credential: Buffer.from('secret'), identity: Buffer.from('who'), resumeWindowMs: 60_000 };
}

/** A folder with sessions in it, closed. */
async function filled(): Promise<string> {
  const path = join(processes.place(), 'sessions');
  const store = lmdbStore({ path });
  const ids = Array.from({ length: SESSIONS }, (_, i) => `session ${i}`);
  for (const id of ids) await store.create(record(id), 1);
  const wire = Buffer.alloc(3_000, 7);
  for (const id of ids) await store.commit(id, 1, { outbound: [{ seq: 1, frame: wire }], lastSeq: 1 });
  await store.close();
  return path;
}

/** Reads all, writes one, in a process of its own. Prints how many it read whole and each error once. */
function use(path: string): Promise<StoreOutcome> {
  return processes.run(`
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    const texts = new Set();
    let whole = 0;
    for (let i = 0; i < ${SESSIONS}; i++) {
      try {
        const stored = store.load('session ' + i);
        if (stored === undefined) texts.add('not there');
        else if (stored.outbound[0].frame.equals(Buffer.alloc(3000, 7))) whole++;
        else texts.add('WRONG');
      } catch (error) { texts.add(error.code + ' ' + error.message); }
    }
    const written = await codeOf(async () => void await store.create(rec('another'), 1));
    say(whole);
    say(written);
    for (const text of texts) say(text);
    await store.close();
  `);
}

const error = (path: string, text: string) =>
  expect.stringMatching(
    new RegExp(`^NYOTA_STORE_FAILED the store in '${path.replaceAll(/[.]/g, '\\.')}' .*${text}`),
  ) as string;

describe('the folder of an LMDB store', () => {
  it('is made where it is missing, for this user alone, and holds what it held when it is opened again', async () => {
    const path = await filled();
    expect(statSync(path).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(path)) expect(statSync(join(path, name)).mode & 0o777).toBe(0o600);
    expect(readdirSync(path).sort()).toEqual(['data.mdb', 'lock.mdb']);
    expect(await use(path)).toMatchObject({ code: 0, lines: [`${SESSIONS}`, 'done'] });
  });

  it('with a data.mdb that is something else is refused, and the file is left alone', async () => {
    const path = processes.place();
    writeFileSync(join(path, 'data.mdb'), 'hello '.repeat(5_000));
    const { signal, lines } = await use(path);
    expect({ signal, lines }).toEqual({
      signal: null,
      lines: ['0', error(path, 'no LMDB file: move it away'), error(path, 'no LMDB file')],
    });
    expect(statSync(join(path, 'data.mdb')).size).toBe(30_000);
  });

  it.each(rows([0.3, 0.99, 0.02, 0.5, 0.9], 2))(
    'whose data.mdb was cut to %d of its size is an error, never a wrong answer',
    async (share) => {
      const path = await filled();
      const file = join(path, 'data.mdb');
      truncateSync(file, Math.floor(statSync(file).size * share));
      const { signal, lines, stderr } = await use(path);
      expect(signal, stderr).toBeNull();
      const [, , ...texts] = lines;
      // What is read is whole; all else is told.
      for (const text of texts) expect(text).toEqual(error(path, 'damaged'));
      expect(texts.length).toBeGreaterThan(0);
    },
  );

  it('that was cut where its newest state does not lie is found out when the rest is read', async () => {
    const path = processes.place();
    const { lines: made, stderr: complaints } = await processes.run(`
      const store = lmdbStore({ path: ${JSON.stringify(path)} });
      const many = Array.from({ length: 100 }, (_, i) => frame(i + 1, 20_000));
      const [low, high] = [await store.create(rec('low'), 1), await store.create(rec('high'), 1)];
      await store.commit('low', low, { outbound: many, lastSeq: 100 });
      await store.commit('high', high, { outbound: many, lastSeq: 100 });
      // What is free below is used from here on.
      await store.end('low', low, { code: 'NYOTA_SESSION_CLOSED', received: 0, sent: 0 }, 1);
      const small = await store.create(rec('small'), 1);
      for (let revision = 1; revision <= 10; revision++) await store.commit('small', small, { revision });
      await store.close();
      say('made');`);
    expect(made, complaints).toEqual(['made']);
    const file = join(path, 'data.mdb');
    truncateSync(file, Math.floor(statSync(file).size * 0.8));
    const { signal, lines } = await processes.run(`
      const store = lmdbStore({ path: ${JSON.stringify(path)} });
      say(await codeOf(() => store.load('high').lastSeq));
      await store.close();`);
    expect({ signal, lines }).toEqual({ signal: null, lines: [error(path, 'damaged')] });
  });

  it('with a frame that was overwritten by zeros does not give the session out without it', async () => {
    const path = processes.place();
    const store = lmdbStore({ path });
    const fence = await store.create(record('a'), 1);
    const outbound = [1, 2, 3].map((seq) => ({ seq, frame: Buffer.alloc(20_000, seq) }));
    await store.commit('a', fence, { outbound, lastSeq: 3 });
    await store.close();
    const file = join(path, 'data.mdb');
    const at = readFileSync(file).indexOf(Buffer.alloc(10_000, 2));
    const fd = openSync(file, 'r+');
    writeSync(fd, Buffer.alloc(3 * 4_096), 0, undefined, Math.floor(at / 4_096) * 4_096);
    closeSync(fd);
    expect(() => store.load('a')).toThrow(/is damaged: frames of the session a are gone. Put a copy back/);
    await store.close();
  });

  it('with blank pages in its data.mdb ends no process, and tells what is gone', async () => {
    const path = await filled();
    const file = join(path, 'data.mdb');
    const { size } = statSync(file);
    const fd = openSync(file, 'r+');
    writeSync(
      fd,
      Buffer.alloc(Math.floor(size / 4 / 4_096) * 4_096),
      0,
      undefined,
      Math.floor(size / 2 / 4_096) * 4_096,
    );
    closeSync(fd);
    const { signal, lines, stderr } = await use(path);
    expect(signal, stderr).toBeNull();
    expect(lines).not.toContain('WRONG');
    expect(lines.join('\n')).toContain('NYOTA_STORE_FAILED');
  });

  it('that is another program’s LMDB database is refused, and nothing is made in it', async () => {
    for (const names of [['theirs'], ['meta'], ['sessions', 'frames']]) {
      const path = processes.place();
      const env = open({ path, noSubdir: false, maxDbs: 4 });
      for (const name of names) await env.openDB({ name }).put('key', 'value');
      await env.close();
      const { signal, lines } = await use(path);
      expect({ signal, lines }).toEqual({
        signal: null,
        lines: ['0', error(path, 'a folder of its own'), error(path, 'a folder of its own')],
      });
      const after = open({ path, noSubdir: false, maxDbs: 4 });
      expect([...after.getKeys()].filter((name) => !names.includes(String(name)) && name !== 'meta')).toEqual(
        [],
      );
      await after.close();
    }
  });

  it('with entries of another program beside no database is refused', async () => {
    const path = processes.place();
    const env = open({ path, noSubdir: false });
    await env.put('a key', 1);
    await env.close();
    expect((await use(path)).lines).toEqual([
      '0',
      error(path, 'a folder of its own'),
      error(path, 'its own'),
    ]);
  });

  it('of a newer format is refused: the version that wrote it is to be used', async () => {
    const path = await filled();
    const env = open({ path, noSubdir: false, maxDbs: 8 });
    await env.openDB({ name: 'meta' }).put('format', 2);
    await env.close();
    const text = 'has the format 2, and this version of nyota reads format 1: use the version that wrote it';
    expect((await use(path)).lines).toEqual(['0', error(path, text), error(path, text)]);
  });

  it('begun by a process that died before it wrote its format is gone on with', async () => {
    for (const begun of ['no file', 'an empty file', 'no database', 'an empty meta']) {
      const path = processes.place();
      if (begun === 'an empty file') writeFileSync(join(path, 'data.mdb'), '');
      if (begun.startsWith('no d') || begun === 'an empty meta') {
        const env = open({ path, noSubdir: false, maxDbs: 8 });
        if (begun === 'an empty meta') env.openDB({ name: 'meta' });
        await env.close();
      }
      expect(await use(path), begun).toMatchObject({ lines: ['0', 'done', 'not there'] });
    }
  });

  it('can be copied while nothing runs, without its lock.mdb', async () => {
    const path = await filled();
    const copy = processes.place();
    copyFileSync(join(path, 'data.mdb'), join(copy, 'data.mdb'));
    expect(await use(copy)).toMatchObject({ lines: [`${SESSIONS}`, 'done'] });
  });
});

describe('the path of an LMDB store', () => {
  it('that is a file, or lies below one, is an error that says so', async () => {
    const file = join(processes.place(), 'a-file');
    writeFileSync(file, 'text');
    for (const path of [file, join(file, 'below')]) {
      const { lines } = await use(path);
      expect(lines).toEqual(['0', error(path, 'a file is in its place'), error(path, 'name a folder')]);
    }
    expect(statSync(file).size).toBe(4);
  });

  it('that is a link to a folder, or written in another way, is the same store within a process', async () => {
    const place = processes.place();
    const path = join(place, 'sessions');
    mkdirSync(path);
    symlinkSync(path, join(place, 'link'));
    const stores = [path, `${path}/`, join(place, 'link'), `${place}/./sessions`].map((each) =>
      lmdbStore({ path: each }),
    );
    const [first, ...others] = stores;
    const fence = (await first?.create(record('a'), 1)) as number;
    for (const [i, other] of others.entries()) {
      await other.commit('a', fence, { revision: i + 1 });
      expect(await first?.load('a')).toMatchObject({ revision: i + 1 });
      await other.close();
    }
    await first?.commit('a', fence, { revision: 9 });
    expect(await first?.load('a')).toMatchObject({ revision: 9 });
    await first?.close();
  });

  it('may be opened again while it is being closed', async () => {
    const path = processes.place();
    const store = lmdbStore({ path });
    const fence = await store.create(record('a'), 1);
    for (let revision = 1; revision <= 20; revision++) {
      const committing = store.commit('a', fence, { revision });
      const closing = store.close();
      const other = lmdbStore({ path });
      expect(await other.create(record(`b${revision}`), 1)).toBe(1);
      await Promise.all([committing, closing, other.close()]);
      expect(await store.load('a')).toMatchObject({ revision });
    }
    await store.close();
  });

  it('is not touched before the store is first used', () => {
    const path = join(processes.place(), 'later');
    lmdbStore({ path });
    expect(existsSync(path)).toBe(false);
  });

  it.each([
    [undefined, 'options'],
    [{}, "'path'"],
    [{ path: '' }, "'path'"],
    [{ path: 'a\0b' }, "'path'"],
    [{ path: 7 }, "'path'"],
    [{ path: 'x', maxBytes: 0 }, "'maxBytes'"],
    [{ path: 'x', maxBytes: 1.5e6 + 0.5 }, "'maxBytes'"],
    [{ path: 'x', maxBytes: '1 GiB' }, "'maxBytes'"],
    [{ path: 'x', maxbytes: 2 ** 30 }, "no option 'maxbytes'"],
  ])('and the other options are checked: %j', (options, named) => {
    const text = expect.stringContaining(named) as string;
    expect(() => lmdbStore(options as { path: string })).toThrow(
      expect.objectContaining({ code: 'NYOTA_INVALID_OPTION', message: text }) as Error,
    );
  });
});

it('where the package lmdb is not installed, the first use says how to install it', async () => {
  const outcome = await processes.run(
    `const store = lmdbStore({ path: '/nowhere' });
     say(await codeOf(() => store.load('a')));
     say(await codeOf(() => store.create(rec('a'), 1)));
     say(await codeOf(() => store.close()));`,
    { bare: true },
  );
  const text =
    "NYOTA_STORE_FAILED nyota/stores/lmdb needs the package 'lmdb', which is not installed: npm install lmdb";
  expect(outcome).toMatchObject({ code: 0, lines: [text, text, 'done'] });
});

it('a copy that LMDB makes while the store is written to is a whole state of it', async () => {
  const path = await filled();
  const copy = processes.place();
  const writer = processes.start(`
    const store = lmdbStore({ path: ${JSON.stringify(path)} });
    const fence = await store.create(rec('busy'), 1);
    for (let seq = 1; ; seq++) {
      const inbound = { settled: seq, beyond: [] };
      await store.commit('busy', fence, { inbound, outbound: [frame(seq, 3_000)], lastSeq: seq, trim: seq - 50 });
      if (seq === 100) say('busy');
    }`);
  await whenSaid(writer, 'busy');
  const env = open({ path, noSubdir: false, readOnly: true });
  await env.backup(copy, false);
  await env.close();
  writer.kill('SIGKILL');
  expect(await use(copy)).toMatchObject({ lines: [`${SESSIONS}`, 'done'] });
  const store = lmdbStore({ path: copy });
  const busy = await store.load('busy');
  expect(busy?.inbound.settled).toBe(busy?.lastSeq);
  expect(busy?.outbound).toHaveLength(51 - 1);
  await store.close();
});
