/** docs/api.md, "Shared store": which keys and values it takes, how many, and who hears of a refusal. */
import { describe, expect, it } from 'vitest';
import type { StoreConflict } from '../../../src/index.js';
import {
  DIRECTIONS,
  deferred,
  nyotaErrorOf,
  once,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('keys of the %s', (writer, reader) => {
  it('may be __proto__, constructor and prototype: ordinary keys', async () => {
    const { here, there } = await kit.sides(writer, reader);
    const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString'];
    for (const name of names) expect(here.get(name)).toBeUndefined();
    for (const name of names) here.set(name, `value of ${name}`);
    here.set(JSON.parse('{"__proto__": "by object"}') as object);
    await here.store.synced();
    for (const peer of [here, there]) {
      expect(peer.get('constructor')).toBe('value of constructor');
      expect(peer.get('__proto__')).toBe('by object');
      expect(Object.keys(peer.get() as object).sort()).toEqual([...names].sort());
      expect(peer.delete('__proto__')).toBe(true);
      expect(peer.store.has('__proto__')).toBe(false);
      await peer.store.synced();
      peer.set('__proto__', 'by object');
      await peer.store.synced();
    }
    expect(({} as { by?: unknown }).by).toBeUndefined();
  });

  it('are 1 to 256 bytes long, counted in UTF-8', async () => {
    const { here, there } = await kit.sides(writer, reader);
    here.set('k'.repeat(256), 1);
    here.set('ñ'.repeat(128), 2);
    here.set('🖖', 3);
    await here.store.synced();
    expect(there.store.size).toBe(3);
    for (const key of ['', 'k'.repeat(257), 'ñ'.repeat(129)]) {
      const error = nyotaErrorOf(() => here.set(key, 1));
      expect(error.code).toMatch(/^NYOTA_(INVALID_ARGUMENT|STORE_LIMIT)$/);
      expect(error.message).toContain('256');
      expect((await rejectionOf(here.store.update(key, () => 1))).code).toBe(error.code);
      expect((await rejectionOf(here.store.create(key, 1))).code).toBe(error.code);
    }
    expect(here.store.size).toBe(3);
  });

  it.each([
    ['a number', 5],
    ['null', null],
    ['a symbol', Symbol('key')],
  ])('must be strings, not %s', async (_, key) => {
    const { here } = await kit.sides(writer, reader);
    expect(nyotaErrorOf(() => here.store.set(key as never, 1)).code).toBe('NYOTA_INVALID_ARGUMENT');
    expect(nyotaErrorOf(() => here.store.get(key as never)).code).toBe('NYOTA_INVALID_ARGUMENT');
  });
});

describe.each(DIRECTIONS)('limits of the store, at the %s', (writer, reader) => {
  it('a value is at most 64 KiB: NYOTA_STORE_LIMIT, at once', async () => {
    const { here, there } = await kit.sides(writer, reader);
    here.set('fits', Buffer.alloc(65_000));
    const error = nyotaErrorOf(() => here.set('large', Buffer.alloc(66_000)));
    expect(error.code).toBe('NYOTA_STORE_LIMIT');
    expect(error.message).toContain('large');
    expect((await rejectionOf(here.store.create('large', Buffer.alloc(66_000)))).code).toBe(
      'NYOTA_STORE_LIMIT',
    );
    await here.store.synced();
    expect([...there.store.keys()]).toEqual(['fits']);
  });

  it('a value that can not travel is refused, naming the key', async () => {
    const { here } = await kit.sides(writer, reader);
    const error = nyotaErrorOf(() => here.set('job', { run: () => {} }));
    expect(error.code).toBe('NYOTA_UNSERIALIZABLE');
    expect(error.message).toMatch(/'job'.*\.run/);
    expect(here.store.has('job')).toBe(false);
  });

  it('there are at most 10 000 keys: the next is refused, the others can still be changed', async () => {
    const { here, there } = await kit.sides(writer, reader);
    for (let i = 0; i < 10_000; i++) here.set(`key ${i}`, i);
    expect(nyotaErrorOf(() => here.set('one more', 1)).code).toBe('NYOTA_STORE_LIMIT');
    here.set('key 5', 'changed');
    here.delete('key 6');
    here.set('one more', 1);
    await here.store.synced();
    expect(there.store.size).toBe(10_000);
    expect(there.get('key 5')).toBe('changed');
  });
});

describe('limits of all values together', () => {
  const limits = { maxOutboxBytes: 64 * 1024 * 1024 };
  const value = Buffer.alloc(65_000);
  const many = 258; // times 65 000 bytes: just below 16 MiB

  it('16 MiB: the server refuses its own write at once, and there is room again after a delete', async () => {
    const { session } = await kit.pair({ server: limits, client: limits });
    for (let i = 0; i < many; i++) session.set(`key ${i}`, value);
    expect(nyotaErrorOf(() => session.set('too much', value)).code).toBe('NYOTA_STORE_LIMIT');
    session.delete('key 0');
    session.set('fits', value);
  });

  it("16 MiB: a client's write is rolled back, and a create is refused", async () => {
    const { client } = await kit.pair({ server: limits, client: limits });
    for (let i = 0; i < many; i++) client.set(`key ${i}`, value);
    const conflict = once<[StoreConflict]>(client, 'conflict');
    client.set('too much', value);
    expect((await conflict)[0]).toMatchObject({ key: 'too much', error: { code: 'NYOTA_STORE_LIMIT' } });
    expect(client.store.has('too much')).toBe(false);
    expect((await rejectionOf(client.store.create('too much', value))).code).toBe('NYOTA_STORE_LIMIT');
  });
});

describe('a conflict', () => {
  it('a write that the server refuses is rolled back, and conflict says what and why', async () => {
    const { client, session } = await kit.pair();
    const told = deferred<StoreConflict>();
    client.on('conflict', (conflict) => told.resolve(conflict));
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    if (client.connected) await once(client, 'disconnect');
    // The server's store is filled to its last key, so that the client's new one finds no room.
    for (let i = 0; i < 10_000; i++) session.set(`key ${i}`, 1);
    client.set('one more', 'mine');
    expect(client.get('one more')).toBe('mine');
    client.connect();
    const conflict = await within(told.promise, 'the conflict');
    expect(conflict).toMatchObject({ key: 'one more', attempted: 'mine', current: undefined });
    expect(conflict.error.code).toBe('NYOTA_STORE_LIMIT');
    expect(client.get('one more')).toBeUndefined();
    expect(session.store.has('one more')).toBe(false);
    await within(client.store.synced(), 'synced');
  });
});
