/** docs/api.md, "Shared store": who hears of which changes. */
import { describe, expect, it } from 'vitest';
import { DIRECTIONS, nyotaErrorOf, once, useKit } from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('watchers of the %s', (writer, reader) => {
  it('watch hears changes of one key, whoever made them, until it is stopped', async () => {
    const { here, there } = await kit.sides(writer, reader);
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
    const { here, there } = await kit.sides(writer, reader);
    const heard: string[] = [];
    there.store.watch(pattern, (key) => heard.push(key));
    for (const key of ['user.1', 'user.22', 'users', 'a.b.name', 'a+b']) here.set(key, 1);
    await here.store.synced();
    expect(heard).toEqual(expected);
  });

  it('a watcher that throws is reported, and the others still hear', async () => {
    const { here, there } = await kit.sides(writer, reader);
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
    const { here } = await kit.sides(writer, reader);
    expect(nyotaErrorOf(() => here.store.watch(5 as never, () => {})).code).toBe('NYOTA_INVALID_ARGUMENT');
    expect(nyotaErrorOf(() => here.store.watch('a', 'b' as never)).code).toBe('NYOTA_INVALID_ARGUMENT');
  });
});
