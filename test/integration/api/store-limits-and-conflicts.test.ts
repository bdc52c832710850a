/** docs/api.md, "Shared store": keys, limits, compare-and-set, watching, times to live, conflicts. */
import { describe, expect, it } from 'vitest';
import type { StoreConflict } from '../../../src/index.js';
import {
  type AnyPeer,
  cut,
  DIRECTIONS,
  deferred,
  nyotaErrorOf,
  once,
  type Pair,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

async function two(
  writer: 'client' | 'session',
  reader: 'client' | 'session',
): Promise<Pair & { here: AnyPeer; there: AnyPeer }> {
  const pair = await kit.pair();
  return { here: pair[writer], there: pair[reader], ...pair };
}

describe.each(DIRECTIONS)('keys of the %s', (writer, reader) => {
  it('may be __proto__, constructor and prototype: ordinary keys', async () => {
    const { here, there } = await two(writer, reader);
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
    const { here, there } = await two(writer, reader);
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
    const { here } = await two(writer, reader);
    expect(nyotaErrorOf(() => here.store.set(key as never, 1)).code).toBe('NYOTA_INVALID_ARGUMENT');
    expect(nyotaErrorOf(() => here.store.get(key as never)).code).toBe('NYOTA_INVALID_ARGUMENT');
  });
});

describe.each(DIRECTIONS)('limits of the store, at the %s', (writer, reader) => {
  it('a value is at most 64 KiB: NYOTA_STORE_LIMIT, at once', async () => {
    const { here, there } = await two(writer, reader);
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
    const { here } = await two(writer, reader);
    const error = nyotaErrorOf(() => here.set('job', { run: () => {} }));
    expect(error.code).toBe('NYOTA_UNSERIALIZABLE');
    expect(error.message).toMatch(/'job'.*\.run/);
    expect(here.store.has('job')).toBe(false);
  });

  it('there are at most 10 000 keys: the next is refused, the others can still be changed', async () => {
    const { here, there } = await two(writer, reader);
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

describe.each(DIRECTIONS)('update and create of the %s', (writer, reader) => {
  it('update sets what the function makes of the current value, and resolves to it', async () => {
    const { here, there } = await two(writer, reader);
    const seen: unknown[] = [];
    const add = async (value: unknown) => {
      seen.push(value);
      return Number(value ?? 0) + 1;
    };
    expect(await here.store.update('count', add)).toBe(1);
    expect(await here.store.update('count', (value: number) => value + 1)).toBe(2);
    expect(seen).toEqual([undefined]);
    await here.store.synced();
    expect(there.get('count')).toBe(2);
    expect(await here.store.update('count', () => undefined)).toBeUndefined();
    expect(here.store.has('count')).toBe(false);
  });

  it('update rejects with what the function throws, and changes nothing', async () => {
    const { here } = await two(writer, reader);
    here.set('count', 1);
    const error = await rejectionOf(
      here.store.update('count', () => {
        throw new Error('no');
      }),
    );
    expect(error.message).toBe('no');
    expect(here.get('count')).toBe(1);
  });

  it('update sees own writes that are not confirmed yet', async () => {
    const { here } = await two(writer, reader);
    here.set('count', 10);
    expect(await here.store.update('count', (value: number) => value + 1)).toBe(11);
  });

  it('create sets only what is not there: true once, then false', async () => {
    const { here, there } = await two(writer, reader);
    expect(await here.store.create('lock', 'mine')).toBe(true);
    expect(await here.store.create('lock', 'again')).toBe(false);
    await here.store.synced();
    expect(await there.store.create('lock', 'theirs')).toBe(false);
    expect(there.get('lock')).toBe('mine');
    here.delete('lock');
    await here.store.synced();
    expect(await there.store.create('lock', 'theirs')).toBe(true);
  });

  it('watch hears changes of one key, whoever made them, until it is stopped', async () => {
    const { here, there } = await two(writer, reader);
    const heard: unknown[][] = [];
    const stop = here.store.watch('cart', (...change) => heard.push(change));
    here.set('cart', ['own']);
    here.set('other', 1);
    await here.store.synced();
    there.set('cart', ['theirs']);
    await there.store.synced();
    there.delete('cart');
    await there.store.synced();
    expect(heard.map(([key, value]) => [key, value])).toEqual([
      ['cart', ['own']],
      ['cart', ['theirs']],
      ['cart', undefined],
    ]);
    for (const [, , revision] of heard) expect(typeof revision).toBe('number');
    stop();
    here.set('cart', ['unheard']);
    await here.store.synced();
    expect(heard).toHaveLength(3);
  });

  it.each<[string, string | RegExp, string[]]>([
    ['a pattern', 'user.*', ['user.1', 'user.22']],
    ['a pattern with several stars', '*.*.name', ['a.b.name']],
    ['a pattern of a star alone', '*', ['user.1', 'user.22', 'users', 'a.b.name', 'a+b']],
    ['a RegExp', /^user/, ['user.1', 'user.22', 'users']],
    ['a RegExp with the g flag', /s/g, ['user.1', 'user.22', 'users']],
    ['a key with letters that a RegExp would read', 'a+b', ['a+b']],
  ])('watch takes %s', async (_, pattern, expected) => {
    const { here, there } = await two(writer, reader);
    const heard: string[] = [];
    there.store.watch(pattern, (key) => heard.push(key));
    for (const key of ['user.1', 'user.22', 'users', 'a.b.name', 'a+b']) here.set(key, 1);
    await here.store.synced();
    expect(heard).toEqual(expected);
  });

  it('a watcher that throws is reported, and the others still hear', async () => {
    const { here, there } = await two(writer, reader);
    const reported = once(there, 'error');
    const heard: string[] = [];
    there.store.watch('*', () => {
      throw new Error('in a watcher');
    });
    there.store.watch('*', (key) => heard.push(key));
    here.set('a', 1);
    await here.store.synced();
    expect(((await reported)[0] as Error).cause).toMatchObject({ message: 'in a watcher' });
    expect(heard).toEqual(['a']);
  });

  it('watch refuses what is no pattern and no function', async () => {
    const { here } = await two(writer, reader);
    expect(nyotaErrorOf(() => here.store.watch(5 as never, () => {})).code).toBe('NYOTA_INVALID_ARGUMENT');
    expect(nyotaErrorOf(() => here.store.watch('a', 'b' as never)).code).toBe('NYOTA_INVALID_ARGUMENT');
  });

  it('ttlMs: the entry goes away on both sides by itself, and both are told', async () => {
    const { here, there } = await two(writer, reader);
    const gone = (peer: AnyPeer) =>
      new Promise<void>((resolve) => {
        peer.store.watch('token', (_, value) => value === undefined && resolve());
      });
    const both = Promise.all([gone(here), gone(there)]);
    here.set('token', 'short', { ttlMs: 30 });
    here.store.set('kept', 1, { ttlMs: 60_000 });
    expect(here.get('token')).toBe('short');
    await here.store.synced();
    expect(there.store.has('kept')).toBe(true);
    await within(both, 'the expiry');
    expect([here.get('token'), there.get('token')]).toEqual([undefined, undefined]);
    expect([here.store.has('kept'), there.store.has('kept')]).toEqual([true, true]);
  });

  it('ttlMs: a later set without one keeps the entry', async () => {
    const { here, there } = await two(writer, reader);
    const other = new Promise<void>((resolve) => {
      there.store.watch('other', (_, value) => value === undefined && resolve());
    });
    here.set('token', 1, { ttlMs: 20 });
    here.set('token', 2);
    here.set('other', 1, { ttlMs: 40 });
    await within(other, 'the expiry of the other');
    expect([here.get('token'), there.get('token')]).toEqual([2, 2]);
  });

  it.each([0, -1, 1.5, Number.NaN, '1s'])('ttlMs %s is refused', async (ttlMs) => {
    const { here } = await two(writer, reader);
    const error = nyotaErrorOf(() => here.set('token', 1, { ttlMs: ttlMs as number }));
    expect(error.code).toMatch(/^NYOTA_INVALID_(ARGUMENT|OPTION)$/);
    expect(error.message).toContain('ttlMs');
    expect(here.store.has('token')).toBe(false);
  });
});

describe('under contention', () => {
  it('updates of both sides at once are all counted, through cuts too', async () => {
    const { client, session } = await kit.pair();
    const add = (value: number | undefined) => (value ?? 0) + 1;
    const rounds = 25;
    const from = async (peer: AnyPeer) => {
      for (let i = 0; i < rounds; i++) await peer.store.update('count', add);
    };
    const all = Promise.all([from(client), from(client), from(session), from(session)]);
    await cut(session, client);
    await within(all, 'the updates', 10_000);
    await Promise.all([client.store.synced(), session.store.synced()]);
    expect(session.get('count')).toBe(4 * rounds);
    await session.sendWithAck('settled');
    expect(client.get('count')).toBe(4 * rounds);
  });

  it('of many creates of one key, on both sides, exactly one wins', async () => {
    const { client, session } = await kit.pair();
    const outcomes = await Promise.all(
      [client, session, client, session, client].map((peer, i) => peer.store.create('leader', i)),
    );
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    await session.sendWithAck('settled');
    expect(client.get('leader')).toBe(outcomes.indexOf(true));
    expect(session.get('leader')).toBe(outcomes.indexOf(true));
  });

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
