/**
 * Store frames that are malformed, too large, from the wrong side or senseless: refused with a code, and no entry of
 * either side changes.
 */
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { body, event, frame } from '../../support/raw-peer.js';

const VALUE = Buffer.from([0x2a]);

function kvOp(...fields: readonly unknown[]): Buffer {
  return frame(FrameType.KV_OP, { seq: 1 }, body(...fields));
}

function delta(seq: number, ...fields: readonly unknown[]): Buffer {
  return frame(FrameType.KV_DELTA, { seq }, body(...fields));
}

function result(seq: number, ...fields: readonly unknown[]): Buffer {
  return frame(FrameType.KV_RESULT, { seq }, body(...fields));
}

/** A string that is longer than a value may be. */
function hugeValue(): Buffer {
  const value = Buffer.alloc(70_000, 0x61);
  value.writeUInt8(0xdb, 0);
  value.writeUInt32BE(value.length - 5, 1);
  return value;
}

const stage = useStage();

describe('a server', () => {
  const { PROTOCOL, PAYLOAD } = { PROTOCOL: 'NYOTA_PROTOCOL_ERROR', PAYLOAD: 'NYOTA_PAYLOAD_REFUSED' };
  const BAD: Array<readonly [name: string, bytes: Buffer, code: string]> = [
    ['a delta, which is for the server to say', delta(1, 'key', 1, VALUE), PROTOCOL],
    ['a result, which is for the server to say', result(1, 1, 1, null, null, null), PROTOCOL],
    ['an unknown kind of write', kvOp(3, 'key', VALUE, null, null), PROTOCOL],
    ['a key that is a number', kvOp(0, 7, VALUE, null, null), PROTOCOL],
    ['an empty key', kvOp(0, '', VALUE, null, null), PROTOCOL],
    ['a key of 257 bytes', kvOp(0, 'k'.repeat(257), VALUE, null, null), PROTOCOL],
    ['a value that is no bin', kvOp(0, 'key', 'value', null, null), PROTOCOL],
    ['a set without a value', kvOp(0, 'key', null, null, null), PROTOCOL],
    ['a delete with a value', kvOp(1, 'key', VALUE, null, null), PROTOCOL],
    ['a compare-and-set that compares nothing', kvOp(2, 'key', VALUE, null, null), PROTOCOL],
    ['a time to live that is negative', kvOp(0, 'key', VALUE, -1, null), PROTOCOL],
    ['a value that is empty', kvOp(0, 'key', Buffer.alloc(0), null, null), PAYLOAD],
    ['a value that is a depth bomb', kvOp(0, 'key', Buffer.alloc(4_000, 0x91), null, null), PAYLOAD],
    [
      'a value with a __proto__ key',
      kvOp(0, 'key', Buffer.from('81a95f5f70726f746f5f5f80', 'hex'), null, null),
      PAYLOAD,
    ],
    [
      'a value with a record definition',
      kvOp(0, 'key', Buffer.from('d4724091a161', 'hex'), null, null),
      PAYLOAD,
    ],
  ];

  for (const [name, bytes, code] of BAD) {
    it(`closes on ${name}, and the frame counts as never received`, async () => {
      const arena = await stage.arena();
      const secret = Buffer.alloc(32, 5);
      const peer = await arena.peer();
      const { sessionId } = await peer.open({ secret });
      peer.write(bytes, event(2, 'behind'));
      await arena.disconnectedWith(sessionId, code);
      expect((await peer.lastWords()).code).toBe(code);
      await arena.unharmed();
      arena.nothingDone();
      expect(arena.session(sessionId).store.size).toBe(0);
      expect(await (await arena.peer()).open({ secret, resume: true })).toMatchObject({ received: 0 });
      await arena.unharmed();
    });
  }

  const REFUSED: Array<readonly [name: string, bytes: Buffer, code: string]> = [
    ['the key that is the session id', kvOp(0, 'sessionID', VALUE, null, null), 'NYOTA_READ_ONLY_KEY'],
    ['a value above 64 KiB', kvOp(0, 'key', hugeValue(), null, null), 'NYOTA_STORE_LIMIT'],
    ['a revision that the entry does not have', kvOp(2, 'key', VALUE, null, 12), 'NYOTA_STORE_CONFLICT'],
    ['a time to live of 0', kvOp(0, 'key', VALUE, 0, null), 'NYOTA_INVALID_ARGUMENT'],
  ];

  for (const [name, bytes, code] of REFUSED) {
    it(`refuses to write ${name}, and the connection lives`, async () => {
      const arena = await stage.arena();
      const peer = await arena.peer();
      const { sessionId } = await peer.open();
      peer.write(bytes, event(2, 'behind'));
      expect((await peer.next(FrameType.KV_RESULT)).body).toEqual([1, 0, code, null, null]);
      expect(await arena.dispatched.next()).toEqual(['behind']);
      expect(arena.changes).toEqual([]);
      expect(arena.session(sessionId).store.size).toBe(0);
      expect(arena.session(sessionId).get('sessionID')).toBe(sessionId);
      await arena.unharmed();
    });
  }

  it('keeps a store within 10 000 keys, whoever writes', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    for (let i = 1; i <= 10_001; i++) {
      peer.write(frame(FrameType.KV_OP, { seq: i }, body(0, `key ${i}`, VALUE, null, null)));
    }
    const refusal = await peer.next(FrameType.KV_RESULT, ({ body: said }) => (said as unknown[])[2] !== null);
    expect(refusal.body).toEqual([10_001, 10_000, 'NYOTA_STORE_LIMIT', null, null]);
    expect(arena.session(sessionId).store.size).toBe(10_000);
    await arena.unharmed();
  });

  it('takes keys that are traps for careless objects as the plain keys that they are', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const keys = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'];
    keys.forEach((key, i) => {
      peer.write(frame(FrameType.KV_OP, { seq: i + 1 }, body(0, key, VALUE, null, null)));
    });
    peer.write(event(keys.length + 1, 'done'));
    await arena.dispatched.next();
    const { store } = arena.session(sessionId);
    expect([...store.keys()].sort()).toEqual([...keys].sort());
    for (const key of keys) expect(store.get(key)).toBe(42);
    expect(Object.getPrototypeOf(arena.session(sessionId).get())).toBeNull();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    await arena.unharmed();
  });
});

describe('a client', () => {
  const BAD: Array<readonly [name: string, bytes: Buffer]> = [
    ['a write, which is for clients to say', kvOp(0, 'key', VALUE, null, null)],
    ['a result for a write that waits for none', result(1, 7, 1, null, null, null)],
    ['a result for a frame that was never sent', result(1, 1_000, 5, null, null, null)],
    ['a result whose revisions begin below 1', result(1, 1, 0, null, null, null)],
    ['a refusal of a write that waits for none', result(1, 9, 0, 'NYOTA_STORE_LIMIT', null, null)],
    ['a result whose code is a number', result(1, 1, 1, 5, null, null)],
    ['a delta with a key that is a number', delta(1, 5, 1, VALUE)],
    ['a delta with a revision that is negative', delta(1, 'key', -1, VALUE)],
    ['a delta whose value is no bin', delta(1, 'key', 1, 'value')],
    ['a delta with an element too few', delta(1, 'key', 1)],
  ];

  for (const [name, bytes] of BAD) {
    it(`drops a server that sends ${name}, and its store stays as it was`, async () => {
      const { raw, patient, client } = await stage.patient();
      client.set('mine', 'pending');
      const { peer } = await raw.welcomed();
      await peer.next(FrameType.KV_OP);
      peer.write(bytes, event(2, 'behind'));
      await patient.hears('disconnect', 'NYOTA_PROTOCOL_ERROR');
      expect((await peer.lastWords()).code).toBe('NYOTA_PROTOCOL_ERROR');
      expect(patient.dispatched).toEqual([]);
      expect(client.get()).toEqual({ mine: 'pending' });
      // The frame was never received, so an honest server would say it again, and it comes out right.
      const { peer: again, open } = await raw.welcomed({ received: 1 });
      expect(open).toMatchObject({ resume: true, received: 0 });
      again.write(result(1, 1, 1, null, null, null));
      await client.store.synced();
    });
  }

  it('refuses the payload of a value as it refuses any other', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(delta(1, 'key', 1, Buffer.alloc(4_000, 0x91)));
    await patient.hears('disconnect', 'NYOTA_PAYLOAD_REFUSED');
    expect(patient.client.store.has('key')).toBe(false);
    expect((await raw.opened()).open.received).toBe(0);
  });

  it('does not let a server fill its memory through the store: at most 10 000 keys', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    for (let i = 1; i <= 10_001; i++) peer.write(delta(i, `key ${i}`, i, VALUE));
    await patient.hears('disconnect');
    expect(patient.client.store.size).toBeLessThanOrEqual(10_000);
  });

  it('does not take a value above 64 KiB from a server', async () => {
    const { raw, patient } = await stage.patient();
    const { peer } = await raw.welcomed();
    await patient.hears('connect');
    peer.write(delta(1, 'key', 1, hugeValue()));
    await patient.hears('disconnect');
    expect(patient.client.store.has('key')).toBe(false);
  });
});
