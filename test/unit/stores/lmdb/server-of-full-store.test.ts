/** A server whose store is full: it lives, and so do the sessions that add nothing; the one that does is there again with room. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  type Client,
  createClient,
  createServer,
  type NyotaError,
  type Session,
} from '../../../../src/index.js';
import { lmdbStore } from '../../../../src/stores/lmdb/index.js';

const PIECE = 'x'.repeat(100_000);

it('goes on: other sessions stay connected, and what was accepted before arrives', async () => {
  const path = mkdtempSync(join(tmpdir(), 'nyota-full-'));
  const sessions = new Map<string, Session>();
  const errors: NyotaError[] = [];
  const store = lmdbStore({ path, maxBytes: 2 ** 21 });
  const server = createServer({ store, authenticate: (name) => name }, (session) => {
    const name = String(session.identity);
    sessions.set(name, session);
    session.on('error', (error: NyotaError) => errors.push(error));
    session.handle('who', () => name);
  });
  server.listen(0, '127.0.0.1');
  await new Promise<void>((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  const connect = (auth: string): Client => createClient({ host: '127.0.0.1', port, auth });
  const [big, small] = [connect('big'), connect('small')];
  let cuts = 0;
  small.on('disconnect', () => cuts++);
  const got: number[] = [];
  big.on('piece', (index: number) => void got.push(index));
  expect(await Promise.all([big.request('who'), small.request('who')])).toEqual(['big', 'small']);

  // Nobody takes them: they stay in the store.
  big.disconnect();
  const session = sessions.get('big') as Session;
  if (session.connected) await new Promise<void>((resolve) => session.once('disconnect', () => resolve()));
  let over = false;
  session.once('close', () => {
    over = true;
  });
  let sent = 0;
  for (; !over && sent < 40; sent++) {
    session.send('piece', sent, PIECE);
    await small.request('who');
  }
  expect(over).toBe(true);
  expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining("'maxBytes' allows")]);

  for (let i = 0; i < 20; i++) expect(await small.request('who')).toBe('small');
  expect(cuts).toBe(0);

  // What was on disk is there, whole and in order; what was not has never been promised.
  big.connect();
  expect(await big.request('who')).toBe('big');
  const again = sessions.get('big') as Session;
  expect(again).not.toBe(session);
  expect(got).toEqual(Array.from(got, (_, i) => i));
  expect(got.length).toBeGreaterThan(5);
  expect(got.length).toBeLessThan(sent);
  // There is room again.
  const kept = got.length;
  again.send('piece', kept, PIECE);
  expect(await big.request('who')).toBe('big');
  expect(got.length).toBe(kept + 1);
  expect(got).toEqual(Array.from(got, (_, i) => i));
  await Promise.all([big.close(), small.close()]);
  await server.close();
  rmSync(path, { recursive: true, force: true });
});
