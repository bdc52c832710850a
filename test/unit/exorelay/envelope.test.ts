/** What is written into a message arrives: payload and auth are encoded once and decoded once, and checked on the way. */
import { describe, expect, it } from 'vitest';
import {
  decodeBody,
  encodeBody,
  type Message,
  nestBody,
  openEnvelope,
  readEnvelope,
  readMessage,
  sealMessage,
  sizeOf,
} from '../../../src/exorelay/message.js';

const MESSAGE = { id: 'm1', name: 'hello', activityId: 'a1' };
const travelled = (message: Message): Message => {
  const envelope = readEnvelope(sealMessage(message));
  if (typeof envelope === 'string') throw new Error(envelope);
  return openEnvelope(envelope);
};

describe('payload and auth', () => {
  const same: [what: string, value: unknown][] = [
    ['null', null],
    ['an empty string', ''],
    ['false', false],
    ['an empty object', {}],
    ['an empty array', []],
    ['a bigint', 5n],
    ['a Date', new Date(5)],
    ['a Buffer', Buffer.from('abc')],
    ['a typed array', new Float64Array([1.5, 2])],
    ['an ArrayBuffer', new Uint8Array([1, 2]).buffer],
    ['a Map', new Map<unknown, unknown>([['a', { b: [1] }]])],
    ['a Set', new Set([1, 'x'])],
    ['nested data', { list: [{ a: [null, undefined] }] }],
  ];
  it.each(same)('arrive as they were: %s', (_, value) => {
    const message = { ...MESSAGE, payload: value, auth: value };
    expect(travelled(message)).toStrictEqual(message);
  });

  it('that are not there stay away', () => {
    expect(travelled(MESSAGE)).toStrictEqual(MESSAGE);
    expect(travelled({ ...MESSAGE, payload: undefined, auth: undefined })).toStrictEqual(MESSAGE);
  });

  it('keep name, message, code and cause of an Error', () => {
    const error = Object.assign(new RangeError('no', { cause: new Error('why') }), { code: 'E' });
    const { name, message, code, cause } = travelled({ ...MESSAGE, payload: error }).payload as typeof error;
    expect([name, message, code, (cause as Error).message]).toEqual(['RangeError', 'no', 'E', 'why']);
  });

  it('are plain objects of instances, and what toJSON says', () => {
    class Point {
      x = 1;
      double(): number {
        return this.x * 2;
      }
    }
    expect(travelled({ ...MESSAGE, payload: new Point() }).payload).toEqual({ x: 1 });
    expect(travelled({ ...MESSAGE, payload: { a: { toJSON: () => ({ b: 1 }) } } }).payload).toEqual({
      a: { b: 1 },
    });
    expect(travelled({ ...MESSAGE, payload: new URL('http://a/') }).payload).toBe('http://a/');
  });

  it('may nest a whole message, with payload and auth as deep as a relay sends them', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 64; i++) deep = [deep];
    const sent = sealMessage({ ...MESSAGE, payload: deep, auth: deep });
    const whole = {
      ...sent,
      payload: nestBody(sent.payload as Uint8Array),
      auth: nestBody(sent.auth as Uint8Array),
    };
    expect(decodeBody(encodeBody(whole))).toEqual({ ...MESSAGE, payload: deep, auth: deep });
  });

  it('that can not be read are refused', () => {
    const envelope = readEnvelope({ ...MESSAGE, payload: Buffer.from([0xc1]) });
    if (typeof envelope === 'string') throw new Error(envelope);
    expect(() => openEnvelope(envelope)).toThrow(expect.objectContaining({ code: 'NYOTA_PAYLOAD_REFUSED' }));
  });
});

describe('an envelope from the wire', () => {
  const bad: [what: string, more: Record<string, unknown>, text: string][] = [
    ['a payload that is a value', { payload: 'hello' }, 'a payload travels encoded'],
    ['a payload that is null', { payload: null }, 'a payload travels encoded'],
    ['a payload of other numbers', { payload: new Uint16Array(1) }, 'a payload travels encoded'],
    ['an auth that is a value', { auth: { token: 1 } }, 'an auth travels encoded'],
    ['no id', { id: undefined }, 'missing message id'],
    ['a name that is none', { name: 'a\nb' }, 'a message name is a string of 1 to 256 characters'],
    ['an answer to nothing', { responseTo: '' }, 'responseTo is a message id'],
  ];
  it.each(bad)('with %s is refused', (_, more, text) => {
    expect(readEnvelope({ ...MESSAGE, ...more })).toBe(text);
  });

  it('loses what its sender may not say', () => {
    const claims = { sender: 'security', isSecurity: true, responseTime: 1, more: 1 };
    expect(readEnvelope({ ...MESSAGE, ...claims })).toStrictEqual(MESSAGE);
  });

  it('without an activity is one of its own', () => {
    expect(readEnvelope({ id: 'm1', name: 'hello' })).toStrictEqual({ ...MESSAGE, activityId: 'm1' });
  });

  it('takes values as they are at the port of a relay', () => {
    const message = { ...MESSAGE, payload: Buffer.from([0xc1]), auth: { token: 1 } };
    expect(readMessage(message)).toStrictEqual(message);
  });
});

describe('the size of a message', () => {
  it('is that of its bytes, and something for the envelope', () => {
    const empty = sizeOf(MESSAGE);
    expect(empty).toBe(125);
    expect(sizeOf(sealMessage({ ...MESSAGE, payload: 'abcd', auth: Buffer.alloc(100) }))).toBe(
      empty + 5 + 102,
    );
  });
});
