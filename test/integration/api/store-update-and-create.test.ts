/** docs/api.md, "Shared store": `update` and `create`, also of both sides at once. */
import { describe, expect, it } from 'vitest';
import { type AnyPeer, cut, DIRECTIONS, rejectionOf, useKit, within } from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('update and create of the %s', (writer, reader) => {
  it('update sets what the function makes of the current value, and resolves to it', async () => {
    const { here, there } = await kit.sides(writer, reader);
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
    const { here } = await kit.sides(writer, reader);
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
    const { here } = await kit.sides(writer, reader);
    here.set('count', 10);
    expect(await here.store.update('count', (value: number) => value + 1)).toBe(11);
  });

  it('create sets only what is not there: true once, then false', async () => {
    const { here, there } = await kit.sides(writer, reader);
    expect(await here.store.create('lock', 'mine')).toBe(true);
    expect(await here.store.create('lock', 'again')).toBe(false);
    await here.store.synced();
    expect(await there.store.create('lock', 'theirs')).toBe(false);
    expect(there.get('lock')).toBe('mine');
    here.delete('lock');
    await here.store.synced();
    expect(await there.store.create('lock', 'theirs')).toBe(true);
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
});
