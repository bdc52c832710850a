/** What a relay's calls take, with the texts that users of the old packages know. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExoRelay } from '../../../src/exorelay/index.js';
import { NyotaError } from '../../../src/index.js';

type Anything = (...args: unknown[]) => unknown;

let relay: ExoRelay;
let errors: NyotaError[];
beforeEach(() => {
  relay = new ExoRelay({ serviceName: 'users' });
  errors = [];
  relay.on('error', (error) => errors.push(error as NyotaError));
});
afterEach(() => relay.destroy());

const call = (name: 'send' | 'registerHandler' | 'listen', ...args: unknown[]): unknown =>
  (relay[name] as Anything).apply(relay, args);

describe('registerHandler', () => {
  const faults: [what: string, args: unknown[], text: string][] = [
    ['no message id', [undefined, () => {}], 'No message id provided'],
    ['an empty message id', ['', () => {}], 'No message id provided'],
    ['a message id that is no string', [{}, () => {}], 'Message ids must be strings'],
    ['a number as message id', [5, () => {}], 'Message ids must be strings'],
    ['no handler', ['hello'], 'No message handler provided'],
    ['a handler that is no function', ['hello', 'zonk'], 'Message handler must be a function'],
  ];
  it.each(faults)('%s is an error event', (_, args, text) => {
    call('registerHandler', ...args);
    expect(errors.map(({ message }) => message)).toEqual([text]);
    expect(relay.hasHandler('hello')).toBe(false);
  });

  it("says There is already a handler for message 'hello', and keeps the first", () => {
    relay.registerHandler('hello', () => {});
    relay.registerHandler('hello', () => {});
    expect(errors.map(({ message, code }) => [message, code])).toEqual([
      ["There is already a handler for message 'hello'", 'NYOTA_HANDLER_EXISTS'],
    ]);
  });

  it('takes names with blanks', () => {
    relay.registerHandler('mongo create', () => {});
    expect(relay.hasHandler('mongo create')).toBe(true);
    expect(relay.hasHandler('mongo')).toBe(false);
    expect(errors).toEqual([]);
  });

  it('refuses a name that ExoCom would not take, instead of failing to register at all', () => {
    relay.registerHandler('x'.repeat(257), () => {});
    relay.registerHandler('a\nb', () => {});
    expect(errors).toHaveLength(2);
  });

  it('registerHandlers takes many at once, and reports each that is wrong', () => {
    relay.registerHandlers({ 'users.create': () => {}, 'users.list': () => {}, bad: 5 as never });
    expect([relay.hasHandler('users.create'), relay.hasHandler('users.list')]).toEqual([true, true]);
    expect(errors.map(({ message }) => message)).toEqual(['Message handler must be a function']);
  });
});

describe('send', () => {
  const faults: [what: string, args: unknown[], text: string][] = [
    ['no message name', [], 'ExoRelay#send cannot send empty messages'],
    ['an empty message name', [''], 'ExoRelay#send cannot send empty messages'],
    ['a name that is no string', [[]], 'ExoRelay#send can only send string messages'],
    [
      'a function as payload',
      ['hello', () => {}, () => {}],
      'ExoRelay#send cannot send functions as payload',
    ],
    [
      'a function as payload, before options',
      ['hello', () => {}, {}],
      'ExoRelay#send cannot send functions as payload',
    ],
    [
      'a reply handler that is no function',
      ['hello', {}, 'zonk'],
      'The reply handler given to ExoRelay#send must be a function',
    ],
    [
      'the same after options',
      ['hello', {}, {}, 'zonk'],
      'The reply handler given to ExoRelay#send must be a function',
    ],
    [
      'a misspelt option',
      ['hello', {}, { atuh: 1 }],
      "ExoRelay#send has no option 'atuh'; it takes auth, activityId",
    ],
  ];
  it.each(faults)('%s is an error event', (_, args, text) => {
    const sent = call('send', ...args) as { id: string; activityId: string };
    expect(errors.map(({ message }) => message)).toEqual([text]);
    expect(errors[0]).toBeInstanceOf(NyotaError);
    expect(sent.id).toEqual(expect.any(String));
    expect(relay.stats().unaccepted).toBe(0);
  });

  it('a function inside the payload is an error event that names its path', () => {
    relay.send('hello', { user: { save: () => {} } });
    expect(errors.map(({ code, message }) => [code, message])).toEqual([
      ['NYOTA_UNSERIALIZABLE', 'payload.user.save is a function'],
    ]);
    expect(relay.stats().unaccepted).toBe(0);
  });

  it('returns the id and the activity id', () => {
    const first = relay.send('hello');
    const second = relay.send('hello', 'x', { activityId: first.activityId });
    expect(first.id).not.toBe(second.id);
    expect(second.activityId).toBe(first.activityId);
    expect(errors).toEqual([]);
  });

  it('reports NYOTA_OUTBOX_FULL above maxOutboxMessages, and takes nothing', () => {
    const small = new ExoRelay({ serviceName: 'users', maxOutboxMessages: 2 });
    const codes: string[] = [];
    small.on('error', (error) => codes.push((error as NyotaError).code));
    for (let i = 0; i < 3; i++) small.send('hello', i);
    expect(codes).toEqual(['NYOTA_OUTBOX_FULL']);
    expect(small.stats().unaccepted).toBe(2);
    small.destroy();
  });

  it('reports NYOTA_OUTBOX_FULL above maxReplyHandlers, and takes nothing', () => {
    const small = new ExoRelay({ serviceName: 'users', maxReplyHandlers: 1 });
    const codes: string[] = [];
    small.on('error', (error) => codes.push((error as NyotaError).code));
    small.send('hello', () => {});
    small.send('hello', () => {});
    expect(codes).toEqual(['NYOTA_OUTBOX_FULL']);
    expect(small.stats()).toMatchObject({ unaccepted: 1, waitingForReplies: 1 });
    small.destroy();
  });

  it('after close is an error event', async () => {
    await relay.close();
    relay.send('hello');
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_CLOSED']);
  });
});

describe('listen', () => {
  it.each(['zonk', Number.NaN, {}, 70_000, ''])(
    'says Non-numerical port provided to ExoRelay#listen for %s',
    (port) => {
      call('listen', port);
      expect(errors.map(({ message }) => message)).toEqual([
        'Non-numerical port provided to ExoRelay#listen',
      ]);
    },
  );

  it('a second call is an error event', () => {
    relay.connect();
    relay.connect();
    expect(errors.map(({ message }) => message)).toEqual(['ExoRelay#connect: this relay was started before']);
  });
});

describe('an error that nobody listens to', () => {
  it('is a process warning, never a crash', async () => {
    const silent = new ExoRelay({ serviceName: 'silent' });
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    (silent.send as Anything)('');
    expect((await warned).message).toBe('ExoRelay#send cannot send empty messages');
    silent.destroy();
  });
});
