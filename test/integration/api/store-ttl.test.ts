/** docs/api.md, "Shared store": entries with a time to live. */
import { describe, expect, it } from 'vitest';
import { type AnyPeer, DIRECTIONS, nyotaErrorOf, useKit, within } from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('entries with a time to live of the %s', (writer, reader) => {
  it('ttlMs: the entry goes away on both sides by itself, and both are told', async () => {
    const { here, there } = await kit.sides(writer, reader);
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
    const { here, there } = await kit.sides(writer, reader);
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
    const { here } = await kit.sides(writer, reader);
    const error = nyotaErrorOf(() => here.set('token', 1, { ttlMs: ttlMs as number }));
    expect(error.code).toMatch(/^NYOTA_INVALID_(ARGUMENT|OPTION)$/);
    expect(error.message).toContain('ttlMs');
    expect(here.store.has('token')).toBe(false);
  });
});
