/**
 * Frames and payloads that are malformed, oversized, unknown or out of place, after a good handshake: at the server and
 * at the client. The connection ends with its code, the frame counts as never received, and nothing of it is done.
 */
import { describe, expect, it } from 'vitest';
import { LIFECYCLE_EVENTS } from '../../../src/lifecycle.js';
import { FrameType } from '../../support/frame-type.js';
import { useStage } from '../../support/hostile-arena.js';
import { ack, body, event, frame, lengthOnly, open, reject, request } from '../../support/raw-peer.js';

const MAX_FRAME_BYTES = 64 * 1024;
const MAX_VALUES = 2_000;
const OPTIONAL = 0x40;

/** An EVENT with these bytes, by hex, in the place of its only argument. */
function eventWith(hex: string, after = ''): Buffer {
  return frame(FrameType.EVENT, { seq: 1 }, Buffer.from(`92a46576696c91${hex}${after}`, 'hex'));
}

function repeated(hex: string, times: number): string {
  return hex.repeat(times);
}

type Bad = readonly [name: string, bytes: Buffer];

const BAD_STREAM: readonly Bad[] = [
  ['a length of 4 GiB', lengthOnly(0xffff_ffff)],
  ['a length above maxFrameBytes', lengthOnly(MAX_FRAME_BYTES + 1)],
  ['a length of 0', lengthOnly(0)],
  ['a length of 1', lengthOnly(1)],
  ['a frame too short for its sequence number', Buffer.from('000000021001', 'hex')],
  ['a frame too short for its ack', Buffer.from('000000080803000000000001', 'hex')],
  ['an event with no body', frame(FrameType.EVENT, { seq: 1 })],
];

const BAD_PAYLOADS: readonly Bad[] = [
  ['a depth bomb', eventWith(repeated('91', 5_000), 'c0')],
  ['a depth bomb of maps', eventWith(repeated('81a161', 500), 'c0')],
  ['a depth bomb of Sets', eventWith(nestedSets(100))],
  ['a count bomb that only claims', eventWith('ddffffffff')],
  ['a count bomb of a map that only claims', eventWith('dfffffffff')],
  ['a count bomb that is there', eventWith(`dc0800${repeated('c0', 0x800)}`)],
  ['a string that is longer than the frame', eventWith('dbffffffff')],
  ['an unknown extension', eventWith('d40100')],
  ['an unknown extension of 32 bits', eventWith('c90000000001', '2a00')],
  ['a record definition of msgpackr', eventWith('d4724091a161', '4001')],
  ['a record definition of msgpackr, 2 bytes', eventWith('d572404091a161', '4001')],
  ['a cyclic reference, its target', eventWith('d6690000000190')],
  ['a cyclic reference, its pointer', eventWith('d67000000001')],
  ['a RegExp of msgpackr', eventWith('d4789161')],
  ['an Error of msgpackr', eventWith('d4650093a161a162c0')],
  ['a __proto__ key', eventWith('81a95f5f70726f746f5f5f', '81a161c3')],
  ['a __proto__ key in an Error', protoError()],
  ['a map key that is a number', eventWith('8101c3')],
  ['a map key that is nil', eventWith('81c0c3')],
  ['the byte that msgpack never uses', eventWith('c1')],
  ['a Date that no Date can hold', eventWith('c70cff000000007fffffffffffffff')],
  ['bytes behind the payload', eventWith('c0', 'c0')],
  ['a payload that is cut short', eventWith('92c0')],
];

const BAD_BODIES: readonly Bad[] = [
  ['an event whose name is a number', event(1, 7)],
  ['an event whose name is nil', event(1, null)],
  ['an event whose name is an array', event(1, ['evil'])],
  ['an event whose name is bytes', event(1, Buffer.from('evil'))],
  ['an event whose arguments are no array', frame(FrameType.EVENT, { seq: 1 }, body('evil', 'args'))],
  ['an event whose body is a string', frame(FrameType.EVENT, { seq: 1 }, Buffer.from('a46576696c', 'hex'))],
  ['an event with an element too few', frame(FrameType.EVENT, { seq: 1 }, body('evil'))],
  ['a volatile event whose name is a number', frame(FrameType.VOLATILE, { flags: OPTIONAL }, body(1, []))],
  ['a request whose name is a number', request(1, 1, 7)],
  ['a request whose id is a string', frame(FrameType.REQUEST, { seq: 1 }, body('1', 'echo', [], null))],
  ['a request whose id is negative', request(1, -1, 'echo')],
  ['a request whose timeout is text', frame(FrameType.REQUEST, { seq: 1 }, body(1, 'echo', [], 'soon'))],
  ['a reply that is neither good nor bad', frame(FrameType.REPLY, { seq: 1 }, body(1, null, 1))],
  ['a bad reply without an Error', frame(FrameType.REPLY, { seq: 1 }, body(1, false, 'no'))],
  ['a cancel whose id is a string', frame(FrameType.CANCEL, { seq: 1 }, body('1', 'NYOTA_ABORTED'))],
  ['a ping without its fields', frame(FrameType.PING, {}, body())],
  ['a ping whose id is a string', frame(FrameType.PING, {}, body('1', false))],
  ['a pong whose id is -1', frame(FrameType.PONG, {}, body(-1))],
  ['a close that is no array', frame(FrameType.CLOSE, {}, Buffer.from([0xc0]))],
  ['a close whose code is a number', frame(FrameType.CLOSE, {}, body(1, '', 'never', null))],
];

const OUT_OF_PLACE: readonly Bad[] = [
  ['an unknown critical frame', frame(0x7d, {}, body('later'))],
  ['an unknown critical frame with a number', frame(0x7d, { seq: 1 }, body('later'))],
  ['an event without a number', frame(FrameType.EVENT, {}, body('evil', []))],
  ['a request without a number', frame(FrameType.REQUEST, {}, body(1, 'echo', [], null))],
  ['a second OPEN', open()],
  ['a second OPEN with a number', frame(FrameType.OPEN, { seq: 1 }, body(0))],
  ['a REJECT in the middle', reject({ code: 'NYOTA_INTERNAL', retry: 'never' })],
  ['a WELCOME in the middle', frame(FrameType.WELCOME, {}, body(0, 'x', false, 0, [1, 1, 1, 1]))],
];

const CODES: ReadonlyArray<readonly [code: string, cases: readonly Bad[]]> = [
  ['NYOTA_PROTOCOL_ERROR', BAD_STREAM.slice(0, -1)],
  ['NYOTA_PAYLOAD_REFUSED', [...BAD_STREAM.slice(-1), ...BAD_PAYLOADS]],
  ['NYOTA_PROTOCOL_ERROR', BAD_BODIES],
  ['NYOTA_UNKNOWN_FRAME', OUT_OF_PLACE],
];

function nestedSets(levels: number): string {
  let hex = '90';
  for (let i = 0; i < levels; i++) {
    const bytes = hex.length / 2 + 1;
    const array = i === 0 ? hex : `91${hex}`;
    hex = `c9${(bytes + (i === 0 ? 0 : 1)).toString(16).padStart(8, '0')}4e02${array}`;
  }
  return hex;
}

function protoError(): Buffer {
  // ext 0x4e, kind 3: ["E", "m", {"__proto__": {}}]
  const content = '0393a145a16d81a95f5f70726f746f5f5f80';
  return eventWith(`c7${(content.length / 2).toString(16).padStart(2, '0')}4e${content}`);
}

const stage = useStage();

describe('a server', () => {
  /** Sends it, and a good event behind it, and sees that neither had any effect. */
  async function refuses(bytes: Buffer, code: string): Promise<void> {
    const arena = await stage.arena({ maxFrameBytes: MAX_FRAME_BYTES, maxValues: MAX_VALUES });
    const secret = Buffer.alloc(32, 3);
    const peer = await arena.peer();
    const { sessionId } = await peer.open({ secret });
    peer.write(bytes, event(1, 'behind'));
    await arena.disconnectedWith(sessionId, code);
    expect((await peer.lastWords()).code).toBe(code);
    await peer.closed();
    await arena.unharmed();
    arena.nothingDone();
    // The session is there as it was before, for a client that has come to its senses.
    const again = await arena.peer();
    expect(await again.open({ secret, resume: true })).toMatchObject({
      sessionId,
      resumed: true,
      received: 0,
    });
    again.write(event(1, 'good'));
    expect(await arena.dispatched.next()).toEqual(['good']);
    await arena.unharmed();
  }

  for (const [code, cases] of CODES) {
    for (const [name, bytes] of cases) {
      it(`refuses ${name} with ${code}`, () => refuses(bytes, code));
    }
  }

  for (const name of LIFECYCLE_EVENTS) {
    it(`refuses '${name}' from the wire: as an event, a volatile event and a request`, async () => {
      await refuses(event(1, name, { resumed: true }), 'NYOTA_RESERVED_EVENT');
      await refuses(frame(FrameType.VOLATILE, { flags: OPTIONAL }, body(name, [])), 'NYOTA_RESERVED_EVENT');
      await refuses(request(1, 1, name), 'NYOTA_RESERVED_EVENT');
    });
  }

  it('refuses a GOAWAY, which is for servers to say', () =>
    refuses(frame(FrameType.GOAWAY, {}, body(0, [])), 'NYOTA_UNKNOWN_FRAME'));

  it('skips unknown optional frames, with and without a number, and ignores what a later version adds', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    await peer.open();
    peer.write(
      frame(0x7e, { flags: OPTIONAL }, body('later')),
      frame(0x7e, { flags: OPTIONAL, seq: 1 }, Buffer.from('c1c1', 'hex')),
      frame(FrameType.PING, {}, body(5, false, 'later')),
      frame(FrameType.EVENT, { seq: 2 }, body('with-more', [1], 'later', { and: 'more' })),
      frame(FrameType.REQUEST, { seq: 3 }, body(1, 'echo', ['x'], null, 'later')),
      frame(FrameType.CANCEL, { seq: 4 }, body(99, 'NYOTA_OF_TOMORROW', 'later')),
    );
    expect((await peer.next(FrameType.PONG)).body).toEqual([5]);
    expect(await arena.dispatched.next()).toEqual(['with-more', 1]);
    expect((await peer.next(FrameType.REPLY)).body).toEqual([1, true, 'x']);
    await peer.next(FrameType.ACK, ({ ack: upTo }) => upTo === 4);
    await arena.unharmed();
  });

  it('takes names that are traps for careless objects as the plain names that they are', async () => {
    const arena = await stage.arena();
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', 'then', '~', ''];
    peer.write(...names.map((name, i) => event(i + 1, name)));
    for (const name of names) expect(await arena.dispatched.next()).toEqual([name]);
    peer.write(...names.map((name, i) => request(names.length + i + 1, i, name)));
    for (let i = 0; i < names.length; i++) {
      const { body: reply } = await peer.next(FrameType.REPLY);
      expect(reply).toMatchObject([i, false, { code: 'NYOTA_NO_HANDLER' }]);
    }
    expect(arena.session(sessionId).connected).toBe(true);
    await arena.unharmed();
  });

  it('is left alone by cancels of ids it never heard of, replies that nobody waits for, and ids used twice', async () => {
    const arena = await stage.arena({
      onSession: (session) => session.handle('slow', () => new Promise(() => {})),
    });
    const peer = await arena.peer();
    const { sessionId } = await peer.open();
    peer.write(
      frame(FrameType.CANCEL, { seq: 1 }, body(4711, 'NYOTA_ABORTED')),
      frame(FrameType.REPLY, { seq: 2 }, body(4711, true, 'unasked')),
      request(3, 1, 'slow'),
      request(4, 1, 'slow'),
      request(5, 1, 'echo', 'third'),
      frame(FrameType.CANCEL, { seq: 6 }, body(1, 'NYOTA_ABORTED')),
      frame(FrameType.CANCEL, { seq: 7 }, body(1, 'NYOTA_ABORTED')),
      request(8, 2, 'echo', 'fine'),
      ack(0),
    );
    expect(
      (await peer.next(FrameType.REPLY, ({ body: reply }) => (reply as unknown[])[0] === 2)).body,
    ).toEqual([2, true, 'fine']);
    expect(arena.session(sessionId).connected).toBe(true);
    await arena.unharmed();
  });
});

describe('a client', () => {
  for (const [code, cases] of CODES) {
    for (const [name, bytes] of cases) {
      it(`refuses ${name} with ${code}, and comes back`, async () => {
        const { raw, patient } = await stage.patient({
          maxFrameBytes: MAX_FRAME_BYTES,
          maxValues: MAX_VALUES,
        });
        const { peer } = await raw.welcomed();
        await patient.hears('connect');
        peer.write(bytes, event(1, 'behind'));
        await patient.hears('disconnect', code);
        expect((await peer.lastWords()).code).toBe(code);
        const { peer: again, open: opened } = await raw.welcomed();
        expect(opened).toMatchObject({ resume: true, received: 0 });
        expect(patient.dispatched).toEqual([]);
        await patient.hears('connect');
        again.write(event(1, 'good'));
        await again.next(FrameType.ACK, ({ ack: upTo }) => upTo === 1);
        expect(patient.dispatched).toEqual([['good']]);
      });
    }
  }

  for (const name of LIFECYCLE_EVENTS) {
    it(`refuses '${name}' from the wire, and stops loudly`, async () => {
      const { raw, patient } = await stage.patient();
      const { peer } = await raw.welcomed();
      await patient.hears('connect');
      peer.write(event(1, name, { resumed: true }), event(2, 'behind'));
      await patient.hears('disconnect', 'NYOTA_RESERVED_EVENT');
      await patient.hears('error', 'NYOTA_RESERVED_EVENT');
      expect(patient.client.state).toBe('idle');
      expect(patient.dispatched).toEqual([]);
      expect(patient.told.all.map(({ what }) => what)).toEqual(['session', 'connect', 'disconnect', 'error']);
    });
  }
});
