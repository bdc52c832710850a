/** docs/api.md, "Shared store": the shared store as both sides see it. */
import { describe, expect, it } from 'vitest';
import {
  type AnyPeer,
  cut,
  DIRECTIONS,
  deferred,
  once,
  type Pair,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('what the %s writes, the %s sees', (writer, reader) => {
  async function two(): Promise<Pair & { writes: AnyPeer; reads: AnyPeer }> {
    const pair = await kit.pair();
    return { writes: pair[writer], reads: pair[reader], ...pair };
  }

  it('set(key, value) shows here at once, and there', async () => {
    const { writes, reads } = await two();
    const changed = once(reads, 'change');
    expect(writes.set('name', 'Uhura')).toBe(writes);
    expect(writes.get('name')).toBe('Uhura');
    const [key, value, revision] = await changed;
    expect([key, value]).toEqual(['name', 'Uhura']);
    expect(revision).toBeGreaterThan(0);
    expect(reads.get('name')).toBe('Uhura');
  });

  it('set(object) sets each of its entries', async () => {
    const { writes, reads } = await two();
    writes.set({ a: 1, b: [2], c: { d: 3 } });
    await writes.store.synced();
    expect(reads.get()).toEqual({ a: 1, b: [2], c: { d: 3 } });
    expect(reads.store.size).toBe(3);
  });

  it('set(object) with one bad entry sets none of them', async () => {
    const { writes, reads } = await two();
    const bad: object[] = [
      { a: 1, b: Symbol('s') },
      { a: 1, sessionID: 'x' },
      { a: 1, '': 2 },
      { a: 1, b: 'x'.repeat(70_000) },
    ];
    for (const entries of bad) expect(() => writes.set(entries)).toThrow();
    expect(writes.get()).toEqual({});
    await writes.store.synced();
    expect(reads.get()).toEqual({});
  });

  it('a value is there when an event sent after it is heard', async () => {
    const { writes, reads } = await two();
    const seen = deferred<unknown>();
    reads.on('look', () => seen.resolve([reads.get('order'), reads.get('gone')]));
    writes.set('order', 42);
    writes.set('gone', 1);
    writes.delete('gone');
    writes.send('look');
    expect(await within(seen.promise, 'look')).toEqual([42, undefined]);
  });

  it('delete(key) takes it away on both sides, says whether there was one, and it stays away', async () => {
    const { writes, reads, session, client } = await two();
    writes.set('key', 1);
    await writes.store.synced();
    const changed = once(reads, 'change');
    expect(writes.delete('key')).toBe(true);
    expect(writes.delete('key')).toBe(false);
    expect(writes.get('key')).toBeUndefined();
    expect((await changed).slice(0, 2)).toEqual(['key', undefined]);
    await cut(session, client);
    await writes.store.synced();
    expect([writes.store.has('key'), reads.store.has('key')]).toEqual([false, false]);
  });

  it('a value of undefined is no entry', async () => {
    const { writes, reads } = await two();
    writes.set('key', 1);
    writes.set('key', undefined);
    writes.set({ other: undefined });
    await writes.store.synced();
    expect([writes.store.size, reads.store.size]).toEqual([0, 0]);
  });

  it('every kind of value', async () => {
    const { writes, reads } = await two();
    const values = {
      nothing: null,
      map: new Map([['a', new Set([1n])]]),
      bytes: Buffer.from('bytes'),
      date: new Date(5),
      floats: Float64Array.of(0.1),
      deep: { list: [{ yes: true }] },
    };
    writes.set(values);
    await writes.store.synced();
    expect({ ...reads.get() }).toStrictEqual(values);
  });

  it('values are copies: changing one that was set or got changes nothing', async () => {
    const { writes, reads } = await two();
    const cart = { items: ['a'] };
    writes.set('cart', cart);
    cart.items.push('b');
    (writes.get('cart') as typeof cart).items.push('c');
    await writes.store.synced();
    (reads.get('cart') as typeof cart).items.push('d');
    const all = reads.get() as { cart: typeof cart };
    all.cart.items.push('e');
    expect(writes.get('cart')).toEqual({ items: ['a'] });
    expect(reads.get('cart')).toEqual({ items: ['a'] });
  });

  it('get() is a copy of all of it, an object without a prototype', async () => {
    const { writes, reads } = await two();
    writes.set({ a: 1, __b: 2 });
    await writes.store.synced();
    for (const peer of [writes, reads]) {
      const all = peer.get() as Record<string, unknown>;
      expect(Object.getPrototypeOf(all)).toBeNull();
      expect({ ...all }).toEqual({ a: 1, __b: 2 });
      all.c = 3;
      expect(peer.store.has('c')).toBe(false);
    }
  });

  it('the change event tells of the other side alone, and of the last value of all', async () => {
    const { writes, reads } = await two();
    const own: unknown[] = [];
    const theirs: unknown[] = [];
    writes.on('change', (key, value) => own.push([key, value]));
    reads.on('change', (key, value) => theirs.push([key, value]));
    writes.set('a', 1);
    writes.set('a', 2);
    writes.delete('a');
    await writes.store.synced();
    await writes.sendWithAck('after');
    expect(own).toEqual([]);
    expect(theirs).toEqual([
      ['a', 1],
      ['a', 2],
      ['a', undefined],
    ]);
  });

  it('revisions rise with every change', async () => {
    const { writes, reads } = await two();
    const revisions: number[] = [];
    reads.on('change', (_, __, revision) => revisions.push(revision));
    for (let i = 0; i < 5; i++) writes.set('key', i);
    reads.set('other', 1);
    writes.delete('key');
    await writes.store.synced();
    await writes.sendWithAck('after');
    expect(revisions).toHaveLength(6);
    for (let i = 1; i < revisions.length; i++)
      expect(revisions[i]).toBeGreaterThan(revisions[i - 1] as number);
  });

  it('what is written while disconnected is there after the reconnect', async () => {
    const { writes, reads, session, client } = await two();
    const away = once(session, 'disconnect');
    client.disconnect();
    await away;
    if (client.connected) await once(client, 'disconnect');
    writes.set({ offline: true, twice: 1 });
    writes.set('twice', 2);
    expect(writes.get('offline')).toBe(true);
    expect(reads.get('offline')).toBeUndefined();
    client.connect();
    await within(writes.store.synced(), 'synced');
    expect(reads.get()).toEqual({ offline: true, twice: 2 });
  });

  it('the methods of store do the same, and iterate', async () => {
    const { writes, reads } = await two();
    writes.store.set('a', 1);
    writes.store.set('b', 2);
    writes.store.set('c', 3);
    expect(writes.store.delete('c')).toBe(true);
    await writes.store.synced();
    for (const { store } of [writes, reads]) {
      expect(store.get('a')).toBe(1);
      expect([store.has('a'), store.has('c')]).toEqual([true, false]);
      expect(store.size).toBe(2);
      expect([...store.keys()].sort()).toEqual(['a', 'b']);
      expect([...store.entries()].sort()).toEqual([
        ['a', 1],
        ['b', 2],
      ]);
      expect(new Map(store)).toEqual(new Map([...store.entries()]));
    }
  });

  it('synced() resolves once all writes are confirmed, at once where there are none', async () => {
    const { writes, reads } = await two();
    await within(writes.store.synced(), 'synced without writes');
    writes.set('a', 1);
    await within(writes.store.synced(), 'synced');
    expect(reads.get('a')).toBe(1);
  });

  it('synced() rejects where the session ends before', async () => {
    const { writes, client } = await two();
    client.socket?.destroy();
    writes.set('a', 1);
    const outcome = rejectionOf(writes.store.synced());
    writes.destroy();
    expect((await outcome).code).toMatch(/^NYOTA_(CLOSED|SESSION_LOST)$/);
    expect((await rejectionOf(writes.store.synced())).code).toBe('NYOTA_CLOSED');
  });
});

describe('when both sides write the same key', () => {
  it('both end with the same value, and nobody is told of a conflict', async () => {
    const { client, session } = await kit.pair();
    let conflicts = 0;
    for (const peer of [client, session] as AnyPeer[]) peer.on('conflict', () => conflicts++);
    for (let i = 0; i < 20; i++) {
      client.set('key', `client ${i}`);
      session.set('key', `session ${i}`);
    }
    await Promise.all([client.store.synced(), session.store.synced()]);
    await client.sendWithAck('settled');
    expect(client.get('key')).toBe(session.get('key'));
    expect(conflicts).toBe(0);
  });
});

describe("get('sessionID')", () => {
  it("is the session's id on both sides, the same after a reconnect", async () => {
    const { client, session } = await kit.pair();
    const { id } = client;
    expect(id).toMatch(/^.{16,}$/);
    expect([client.get('sessionID'), session.get('sessionID'), session.id]).toEqual([id, id, id]);
    expect(client.store.get('sessionID')).toBe(id);
    expect(client.store.has('sessionID')).toBe(true);
    await cut(session, client);
    expect([client.get('sessionID'), session.get('sessionID')]).toEqual([id, id]);
  });

  it('is read only: set, delete, update and create throw NYOTA_READ_ONLY_KEY', async () => {
    const { client, session } = await kit.pair();
    for (const peer of [client, session] as AnyPeer[]) {
      const { store } = peer;
      for (const write of [
        () => peer.set('sessionID', 'stolen'),
        () => peer.set({ sessionID: 'stolen' }),
        () => peer.delete('sessionID'),
        () => store.set('sessionID', 'stolen'),
        () => store.delete('sessionID'),
      ]) {
        expect(write).toThrow(expect.objectContaining({ code: 'NYOTA_READ_ONLY_KEY' }));
      }
      expect((await rejectionOf(store.update('sessionID', () => 'stolen'))).code).toBe('NYOTA_READ_ONLY_KEY');
      expect((await rejectionOf(store.create('sessionID', 'stolen'))).code).toBe('NYOTA_READ_ONLY_KEY');
      expect(peer.get('sessionID')).toBe(client.id);
    }
  });

  it('is no entry of get(), of size or of the iteration', async () => {
    const { client } = await kit.pair();
    client.set('a', 1);
    expect({ ...client.get() }).toEqual({ a: 1 });
    expect(client.store.size).toBe(1);
    expect([...client.store.keys()]).toEqual(['a']);
  });
});
