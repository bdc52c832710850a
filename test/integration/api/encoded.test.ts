/** What is encoded once goes wherever a value goes, and the other side hears the plain value. */
import { describe, expect, it } from 'vitest';
import { Encoded, encode } from '../../../src/index.js';
import {
  type AnyPeer,
  DIRECTIONS,
  nyotaErrorOf,
  once,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();
const USER = { name: 'Will', tags: ['a', 'b'], born: { year: 2335 } };

describe.each(DIRECTIONS)('from the %s to the %s', (from, to) => {
  async function two(): Promise<{ sends: AnyPeer; hears: AnyPeer }> {
    const pair = await kit.pair();
    return { sends: pair[from], hears: pair[to] };
  }

  it('an event carries it in any place, next to anything', async () => {
    const { sends, hears } = await two();
    const user = encode(USER);
    const heard: unknown[][] = [];
    const third = new Promise<void>((resolve) => {
      hears.on('user', (...args: unknown[]) => {
        heard.push(args);
        if (heard.length === 3) resolve();
      });
    });
    sends.send('user', user, 1, user);
    sends.send('user', 'first', { in: [user] });
    sends.send('user', new Map([['a', 1]]), user);
    await within(third, 'three events');
    expect(heard).toEqual([
      [USER, 1, USER],
      ['first', { in: [USER] }],
      [new Map([['a', 1]]), USER],
    ]);
  });

  it('a request carries it, and so does its reply', async () => {
    const { sends, hears } = await two();
    hears.handle('swap', (...args: unknown[]) => encode([args[1], args[0]]));
    hears.handle('later', async () => ({ found: encode(new Set([1])) }));
    expect(await sends.request('swap', encode('a'), 'b')).toEqual(['b', 'a']);
    expect(await sends.request('later')).toEqual({ found: new Set([1]) });
  });

  it('bytes that are no value fail the call alone', async () => {
    const { sends, hears } = await two();
    const broken = Encoded.from(Uint8Array.from([0x92, 1]));
    hears.handle('broken', () => broken);
    hears.handle('well', () => 'well');
    expect(nyotaErrorOf(() => sends.send('user', broken)).code).toBe('NYOTA_UNSERIALIZABLE');
    expect(await rejectionOf(sends.request('broken'))).toMatchObject({ code: 'NYOTA_UNSERIALIZABLE' });
    expect(await sends.request('well')).toBe('well');
  });

  it('the shared store takes it as a value', async () => {
    const { sends, hears } = await two();
    const { store } = sends;
    const user = encode(USER);
    store.set('user', user);
    store.setAll({ second: user });
    expect(await store.create('third', user)).toBe(true);
    expect(await store.update('count', () => encode(5))).toBe(5);
    await store.synced();
    expect(store.toObject()).toEqual({ user: USER, second: USER, third: USER, count: 5 });
    expect(hears.store.toObject()).toEqual(store.toObject());
    store.set('user', encode(undefined));
    expect(store.has('user')).toBe(false);
  });
});

describe('to every session', () => {
  it('server.send carries it', async () => {
    const { server, client } = await kit.pair();
    const heard = once(client, 'user');
    server.send('user', encode(USER), 5);
    expect(await heard).toEqual([USER, 5]);
  });
});

describe('a message that is larger than a frame', () => {
  it('is refused whether or not it is encoded already', async () => {
    const { client } = await kit.pair({ server: { maxFrameBytes: 2_000 } });
    const large = encode(Buffer.alloc(2_000));
    expect(nyotaErrorOf(() => client.send('large', large)).code).toBe('NYOTA_FRAME_TOO_LARGE');
  });
});
