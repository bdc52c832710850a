/** Every body of the protocol: what is written is read, and what is wrong is named. */
import { describe, expect, it } from 'vitest';
import { decodePayload, encodePrepared } from '../../../src/codec/payload.js';
import * as messages from '../../support/messages.js';

const LIMITS = { maxDepth: 64, maxValues: 65_536 };
const WIRE = { maxFrameBytes: 1_048_576, maxDepth: 64, maxValues: 65_536, pingIntervalMs: 15_000 };
const SECRET = Buffer.alloc(32, 7);

function decode(body: Buffer): unknown {
  return decodePayload(body, 0, body.length, LIMITS);
}

const open: messages.OpenMessage = {
  features: 5,
  secret: SECRET,
  resume: true,
  received: 2 ** 40,
  limits: WIRE,
  auth: { user: 'x', since: new Date(1), roles: new Set(['a']) },
  sent: 2 ** 41,
  attempt: 2 ** 41 + 1,
};
const close: messages.CloseMessage = {
  code: 'NYOTA_TAKEN_OVER',
  message: 'another took over',
  retry: 'never',
  retryAfterMs: undefined,
};

describe('a message arrives as it was sent', () => {
  it.each<[string, Buffer, (value: unknown) => unknown, unknown]>([
    ['OPEN', messages.encodeOpen(open), messages.parseOpen, open],
    [
      'OPEN without credentials',
      messages.encodeOpen({ ...open, auth: undefined }),
      messages.parseOpen,
      { ...open, auth: undefined },
    ],
    ...(
      [
        { features: 0, sessionId: 'abc', resumed: false, received: 0, limits: WIRE, sent: 0 },
      ] as messages.WelcomeMessage[]
    ).map((m): [string, Buffer, (value: unknown) => unknown, unknown] => [
      'WELCOME',
      messages.encodeWelcome(m),
      messages.parseWelcome,
      m,
    ]),
    ['CLOSE', messages.encodeClose(close), messages.parseClose, close],
    [
      'REJECT',
      messages.encodeReject({ ...close, retryAfterMs: 5, received: 3, sent: undefined }),
      messages.parseReject,
      { ...close, retryAfterMs: 5, received: 3, sent: undefined },
    ],
    [
      'GOAWAY',
      messages.encodeGoaway({ deadlineMs: 9, elsewhere: ['a:1'] }),
      messages.parseGoaway,
      { deadlineMs: 9, elsewhere: ['a:1'] },
    ],
    [
      'PING',
      messages.encodePing({ id: 2 ** 32 - 1, paused: true }),
      messages.parsePing,
      { id: 2 ** 32 - 1, paused: true },
    ],
    ['PONG', messages.encodePong({ id: 0 }), messages.parsePong, { id: 0 }],
    ...(
      [
        { kind: 'set', key: 'k', bytes: Buffer.from([1]), ttlMs: 2 ** 40, expectedRevision: undefined },
        { kind: 'delete', key: 'k', bytes: undefined, ttlMs: undefined, expectedRevision: undefined },
        {
          kind: 'compare-and-set',
          key: 'é'.repeat(128),
          bytes: Buffer.from([1]),
          ttlMs: undefined,
          expectedRevision: 0,
        },
        {
          kind: 'compare-and-set',
          key: '__proto__',
          bytes: undefined,
          ttlMs: undefined,
          expectedRevision: 2 ** 47,
        },
      ] as messages.KvOpMessage[]
    ).map((m): [string, Buffer, (value: unknown) => unknown, unknown] => [
      `KV_OP ${m.kind}`,
      Buffer.from(messages.encodeKvOp(m)),
      messages.parseKvOp,
      m,
    ]),
    [
      'KV_DELTA',
      Buffer.from(messages.encodeKvDelta({ key: 'k', revision: 4, bytes: undefined })),
      messages.parseKvDelta,
      { key: 'k', revision: 4, bytes: undefined },
    ],
    [
      'KV_RESULT',
      Buffer.from(
        messages.encodeKvResult({
          upToSeq: 1,
          revision: 2,
          refusedCode: 'NYOTA_STORE_LIMIT',
          currentRevision: 3,
          currentBytes: Buffer.from([4]),
        }),
      ),
      messages.parseKvResult,
      {
        upToSeq: 1,
        revision: 2,
        refusedCode: 'NYOTA_STORE_LIMIT',
        currentRevision: 3,
        currentBytes: Buffer.from([4]),
      },
    ],
    [
      'KV_RESULT without a refusal',
      Buffer.from(
        messages.encodeKvResult({
          upToSeq: 1,
          revision: 2,
          refusedCode: undefined,
          currentRevision: undefined,
          currentBytes: undefined,
        }),
      ),
      messages.parseKvResult,
      {
        upToSeq: 1,
        revision: 2,
        refusedCode: undefined,
        currentRevision: undefined,
        currentBytes: undefined,
      },
    ],
  ])('%s', (_name, body, parse, message) => {
    const value = decode(body);
    expect(parse(value)).toStrictEqual(message);
    expect(parse([...(value as unknown[]), 'of a later version', { more: true }])).toStrictEqual(message);
  });

  it('in memory of its own, which a later encode does not touch', () => {
    const first = messages.encodePing({ id: 1, paused: false });
    const hex = first.toString('hex');
    messages.encodePing({ id: 99, paused: true });
    expect(first.toString('hex')).toBe(hex);
    expect(first.buffer.byteLength).toBe(first.length);
  });
});

describe('OPEN', () => {
  it('refuses credentials that can not travel, naming their path', () => {
    expect(() => messages.encodeOpen({ ...open, auth: { token: () => 1 } })).toThrow(
      /auth\.token is a function/,
    );
    let deep: unknown = 1;
    for (let i = 0; i < 64; i++) deep = [deep];
    expect(() => messages.encodeOpen({ ...open, auth: deep })).toThrow(
      expect.objectContaining({ code: 'NYOTA_PAYLOAD_TOO_COMPLEX' }),
    );
  });
});

describe('REJECT and CLOSE from the wire', () => {
  it('keep the text of a code that we do not know, and the retry that came with it', () => {
    expect(messages.parseClose(['NYOTA_FROM_2031', 'why', 'elsewhere', 10])).toStrictEqual({
      code: 'NYOTA_CONNECTION_LOST',
      message: 'why',
      retry: 'elsewhere',
      retryAfterMs: 10,
    });
    expect(messages.parseClose(['constructor', 'why', 'sometimes', null]).retry).toBe('backoff');
    expect(messages.parseReject(['NYOTA_UNAUTHORIZED', 'why', 'nonsense', null, null, null]).retry).toBe(
      'never',
    );
  });

  it('come out escaped and cut, fit for a log', () => {
    const { message } = messages.parseClose([
      'NYOTA_CLOSED',
      `\u001b[31m\n${'x'.repeat(1000)}`,
      'never',
      null,
    ]);
    expect(message).toMatch(/^\\u001b\[31m\\nx+…$/);
    expect(message.length).toBeLessThan(200);
  });
});

describe('a wrong field is named', () => {
  const good: Record<string, [(value: unknown) => unknown, unknown[]]> = {
    OPEN: [messages.parseOpen, [0, SECRET, false, 0, [1024, 4, 64, 0], null, 0, 0]],
    WELCOME: [messages.parseWelcome, [0, 'id', false, 0, [1024, 4, 64, 0], 0]],
    REJECT: [messages.parseReject, ['NYOTA_CLOSED', 'm', 'never', null, null, null]],
    CLOSE: [messages.parseClose, ['NYOTA_CLOSED', 'm', 'never', null]],
    GOAWAY: [messages.parseGoaway, [0, []]],
    PING: [messages.parsePing, [0, false]],
    PONG: [messages.parsePong, [0]],
    KV_OP: [messages.parseKvOp, [0, 'k', SECRET, null, null]],
    KV_DELTA: [messages.parseKvDelta, ['k', 0, null]],
    KV_RESULT: [messages.parseKvResult, [0, 0, null, null, null]],
    EVENT: [messages.parseEventBody, ['e', []]],
    REQUEST: [messages.parseRequestBody, [0, 'e', [], null]],
    REPLY: [messages.parseReplyBody, [0, true, null]],
    CANCEL: [messages.parseCancelBody, [0, 'NYOTA_TIMEOUT']],
  };
  const named = expect.objectContaining({ code: 'NYOTA_PROTOCOL_ERROR' });

  it.each(Object.keys(good))('%s: every missing, mistyped and out-of-range one', (name) => {
    const [parse, body] = good[name] as [(value: unknown) => unknown, unknown[]];
    expect(() => parse(body)).not.toThrow();
    for (const notArray of [null, undefined, {}, 'x', 1, new Map()])
      expect(() => parse(notArray)).toThrow(named);
    for (let fields = 0; fields < body.length; fields++)
      expect(() => parse(body.slice(0, fields))).toThrow(named);
    for (let at = 0; at < body.length; at++) {
      // An object is the right thing for no field but the free ones.
      if ((name === 'OPEN' && at === 5) || (name === 'REPLY' && at === 2)) continue;
      const wrong = body.with(at, { wrong: true });
      expect(() => parse(wrong), `${name} field ${at}`).toThrow(named);
      expect(() => parse(wrong)).toThrow(new RegExp(`^${name}: `));
    }
  });

  it.each<[string, (value: unknown) => unknown, unknown[], RegExp]>([
    [
      'a short secret',
      messages.parseOpen,
      [0, Buffer.alloc(31), false, 0, [1024, 4, 64, 0], null, 0, 0],
      /OPEN: secret/,
    ],
    [
      'a secret that is no Buffer',
      messages.parseOpen,
      [0, new Uint8Array(32), false, 0, [1024, 4, 64, 0], null, 0, 0],
      /OPEN: secret/,
    ],
    [
      'features above 32 bits',
      messages.parseOpen,
      [2 ** 32, SECRET, false, 0, [1024, 4, 64, 0], null, 0, 0],
      /OPEN: features/,
    ],
    [
      'a negative count',
      messages.parseOpen,
      [0, SECRET, false, -1, [1024, 4, 64, 0], null, 0, 0],
      /OPEN: received/,
    ],
    [
      'a bigint count',
      messages.parseOpen,
      [0, SECRET, false, 1n, [1024, 4, 64, 0], null, 0, 0],
      /OPEN: received/,
    ],
    ['limits of three', messages.parseOpen, [0, SECRET, false, 0, [1024, 4, 64], null, 0, 0], /OPEN: limits/],
    [
      'a limit of 0',
      messages.parseOpen,
      [0, SECRET, false, 0, [0, 4, 64, 0], null, 0, 0],
      /OPEN: maxFrameBytes/,
    ],
    [
      'an empty session id',
      messages.parseWelcome,
      [0, '', false, 0, [1024, 4, 64, 0], 0],
      /WELCOME: sessionId/,
    ],
    [
      'a long session id',
      messages.parseWelcome,
      [0, 'x'.repeat(129), false, 0, [1024, 4, 64, 0], 0],
      /WELCOME: sessionId/,
    ],
    [
      'an ack above 48 bits',
      messages.parseWelcome,
      [0, 'x', false, 2 ** 48, [1024, 4, 64, 0], 0],
      /WELCOME: received/,
    ],
    ['a fraction', messages.parsePong, [1.5], /PONG: id/],
    ['NaN', messages.parsePong, [Number.NaN], /PONG: id/],
    ['too many addresses', messages.parseGoaway, [0, new Array(65).fill('a')], /GOAWAY: elsewhere/],
    ['an address that is none', messages.parseGoaway, [0, [1]], /GOAWAY: elsewhere/],
    ['an unknown kind of write', messages.parseKvOp, [3, 'k', SECRET, null, null], /KV_OP: kind/],
    ['a set without a value', messages.parseKvOp, [0, 'k', null, null, null], /KV_OP: value/],
    ['a delete with a value', messages.parseKvOp, [1, 'k', SECRET, null, null], /KV_OP: value/],
    [
      'a comparison with nothing',
      messages.parseKvOp,
      [2, 'k', SECRET, null, null],
      /KV_OP: expectedRevision/,
    ],
    ['a set that compares', messages.parseKvOp, [0, 'k', SECRET, null, 1], /KV_OP: expectedRevision/],
    ['an empty key', messages.parseKvDelta, ['', 0, null], /KV_DELTA: key/],
    ['a key of 257 bytes', messages.parseKvDelta, [`${'é'.repeat(128)}x`, 0, null], /KV_DELTA: key/],
    ['args that are an object', messages.parseEventBody, ['e', { 0: 1 }], /EVENT: args/],
    ['a failure that is no Error', messages.parseReplyBody, [0, false, 'oops'], /REPLY: value/],
    ['a timeout above 32 bits', messages.parseRequestBody, [0, 'e', [], 2 ** 32], /REQUEST: timeoutMs/],
    ['a request id above 48 bits', messages.parseRequestBody, [2 ** 48, 'e', [], null], /REQUEST: id/],
  ])('%s', (_what, parse, body, text) => {
    expect(() => parse(body)).toThrow(named);
    expect(() => parse(body)).toThrow(text);
  });

  it('and no bytes of the wire get into the text', () => {
    for (const [parse, body] of Object.values(good)) {
      for (let at = 0; at < body.length; at++) {
        try {
          parse(body.with(at, '\u001b]0;hacked\u0007'));
        } catch (error) {
          expect((error as Error).message).not.toMatch(/hacked/);
        }
      }
    }
  });
});

describe('the hot bodies', () => {
  it('are checked in place and returned as they are', () => {
    for (const [parse, body] of [
      [messages.parseEventBody, ['e', [1], 'later']],
      [messages.parseRequestBody, [2 ** 48 - 1, 'e', [], 0]],
      [messages.parseRequestBody, [1, 'e', [], null, 'later']],
      [messages.parseReplyBody, [1, true, undefined]],
      [messages.parseReplyBody, [1, false, new TypeError('x')]],
      [messages.parseCancelBody, [1, 'NYOTA_ABORTED']],
    ] as [(value: unknown) => unknown, unknown[]][]) {
      expect(parse(body)).toBe(body);
    }
  });

  it('give an unknown cancel code a known one', () => {
    expect(messages.parseCancelBody([1, 'NYOTA_FROM_2031'])[1]).toBe('NYOTA_CONNECTION_LOST');
  });

  it('read ids above 32 bits as they are written', () => {
    const bytes = Buffer.from(encodePrepared([2 ** 40, 'e', [], 2 ** 32 - 1]));
    expect(messages.parseRequestBody(decode(bytes))).toStrictEqual([2 ** 40, 'e', [], 2 ** 32 - 1]);
  });
});
