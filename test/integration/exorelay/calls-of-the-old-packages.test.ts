/** Every call of the packages exorelay 0 to 2, statement by statement as docs/exorelay.md has them, with the real ExoCom. */
import { createServer as createNetServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExoCom } from '../../../src/exocom/index.js';
import { ExoRelay } from '../../../src/exorelay/index.js';
import { createClient, type NyotaError } from '../../../src/index.js';
import { ExoArena } from '../../support/exo-arena.js';
import { next } from '../../support/scripted-hub.js';

const arena = new ExoArena();
beforeEach(async () => {
  arena.errors.length = 0;
  await arena.start();
});
afterEach(() => arena.stop());

describe('new ExoRelay({ exocomHost, exocomPort, serviceName })', () => {
  it('emits online with the port, offline and error', async () => {
    const exoRelay = arena.relay('users');
    const log: unknown[] = [];
    exoRelay.on('online', (port) => log.push(['online', port]));
    exoRelay.on('offline', () => log.push(['offline']));
    exoRelay.listen(0);
    await next(exoRelay, 'online');
    await exoRelay.close();
    expect(log).toEqual([['online', expect.any(Number)], ['offline']]);
    expect(log[0]).not.toEqual(['online', 0]);
  });

  it('with nothing works: the environment says where ExoCom is and who this is', async () => {
    const before = { ...process.env };
    Object.assign(process.env, {
      EXOCOM_HOST: '127.0.0.1',
      EXOCOM_PORT: String(arena.port),
      SERVICE_NAME: 'web',
    });
    Object.assign(process.env, { EXORELAY_PORT: '0' });
    try {
      const exoRelay = new ExoRelay();
      arena.relays.push(exoRelay);
      const registered = new Promise((resolve) => arena.hub.once('registered', resolve));
      exoRelay.listen();
      expect(await registered).toMatchObject({ role: 'web' });
      expect(await next(exoRelay, 'online')).toEqual(expect.any(Number));
    } finally {
      for (const name of ['EXOCOM_HOST', 'EXOCOM_PORT', 'SERVICE_NAME', 'EXORELAY_PORT']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  });
});

describe('listen([port])', () => {
  const direct = (port: number | undefined) => {
    const client = createClient({ host: '127.0.0.1', port: port as number });
    return client;
  };

  it('opens a nyota server at that port: __status is answered with __status-ok, as an event, a request and a message', async () => {
    const exoRelay = arena.relay('users').listen(0);
    const client = direct(await next<number>(exoRelay, 'online'));
    expect(await client.request('__status')).toBe('__status-ok');
    const event = new Promise<void>((resolve) => client.on('__status-ok', () => resolve()));
    client.send('__status');
    await event;
    const message = new Promise((resolve) => client.on('exo.deliver', resolve));
    client.send('exo.message', { id: 'm1', name: '__status' });
    expect(await message).toMatchObject({ name: '__status-ok', responseTo: 'm1', sender: 'users' });
    client.destroy();
  });

  it('takes messages that are sent to this service directly, from nobody that anybody verified', async () => {
    const exoRelay = arena.relay('users');
    let context: unknown;
    exoRelay.registerHandler('hello', (name, { reply, sender, isSecurity, auth }) => {
      context = { sender, isSecurity, auth };
      reply('hello back', `hello ${name}`);
    });
    exoRelay.listen(0);
    const client = direct(await next<number>(exoRelay, 'online'));
    const reply = new Promise((resolve) => client.on('exo.deliver', resolve));
    client.send('exo.message', {
      id: 'm1',
      name: 'hello',
      payload: 'Ada',
      sender: 'security',
      isSecurity: true,
      auth: 7,
    });
    expect(await reply).toMatchObject({
      name: 'hello back',
      payload: 'hello Ada',
      responseTo: 'm1',
      auth: 7,
    });
    expect(context).toEqual({ sender: undefined, isSecurity: false, auth: 7 });
    client.destroy();
  });

  it('a message without a handler: error "unknown message: \'zonk\'"; without an id: "missing message id"', async () => {
    const exoRelay = arena.relay('users').listen(0);
    const client = direct(await next<number>(exoRelay, 'online'));
    client.send('exo.message', { id: 'm1', name: 'zonk' });
    client.send('exo.message', { name: 'zonk' });
    await expect.poll(() => arena.texts).toEqual(["unknown message: 'zonk'", 'missing message id']);
    client.destroy();
  });

  it('a port that is taken is an error event, and another one may be tried', async () => {
    const taken = createNetServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const exoRelay = arena.relay('users');
    exoRelay.listen((taken.address() as { port: number }).port);
    await expect.poll(() => arena.texts).toEqual([expect.stringContaining('EADDRINUSE')]);
    taken.close();
    exoRelay.listen(0);
    expect(await next(exoRelay, 'online')).toEqual(expect.any(Number));
  });

  it('takes a port as text, as it stands in the environment', async () => {
    const exoRelay = arena.relay('users').listen('0');
    expect(await next(exoRelay, 'online')).toEqual(expect.any(Number));
  });
});

describe('connect()', () => {
  it('does it without a port of its own', async () => {
    const exoRelay = arena.relay('users').connect();
    expect(await next(exoRelay, 'online')).toBeUndefined();
    expect([exoRelay.connected, exoRelay.port]).toEqual([true, undefined]);
  });
});

describe('ExoCom', () => {
  it('not there yet: it keeps trying, and is online once it is there', async () => {
    arena.stop();
    const exoRelay = arena.relay('users', { reconnect: { minDelayMs: 5, maxDelayMs: 20 } });
    exoRelay.send('hello');
    exoRelay.connect();
    const online = next(exoRelay, 'online');
    await arena.start({}, arena.port);
    await online;
    expect(arena.errors).toEqual([]);
  });

  it('gone: it comes back by itself; what was sent meanwhile is delivered', async () => {
    const heard: unknown[] = [];
    await arena.service('todo', { 'todos.add': (todo) => void heard.push(todo) });
    const web = await arena.service('web');
    const gone = next(web, 'disconnect');
    const back = next(web, 'reconnect');
    const { port } = arena;
    arena.hub.destroy();
    await gone;
    web.send('todos.add', 'milk');
    await arena.start({}, port);
    await back;
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(['milk']);
    expect(web.connected).toBe(true);
  });

  it('that refuses the token is an error event', async () => {
    const strict = new ExoCom({ routes: { web: {} }, tokens: { web: 'secret' } });
    await new Promise<void>((resolve) => strict.listen(0, '127.0.0.1', () => resolve()));
    const { port } = strict.address() as { port: number };
    const wrong = arena.relay('web', { exocomPort: port, token: 'guess' }).connect();
    const error = await new Promise<Error>((resolve) => wrong.once('error', resolve));
    expect(error).toMatchObject({ code: 'NYOTA_UNAUTHORIZED' });
    const right = arena.relay('web', { exocomPort: port, token: 'secret' }).connect();
    await next(right, 'online');
    strict.destroy();
  });
});

describe('send(name [, payload] [, options] [, replyHandler])', () => {
  const payloads: [what: string, payload: unknown][] = [
    ['none', undefined],
    ['an empty string', ''],
    ['a string', 'hello'],
    ['an empty object', {}],
    ['an object', { name: 'Will Riker' }],
    ['an empty array', []],
    ['an array', [1, { a: 2 }]],
    ['null', null],
    ['false', false],
    ['zero', 0],
    ['a Buffer', Buffer.from('chunk')],
    ['a Date', new Date(1_000)],
  ];
  it.each(payloads)('the payload may be anything: %s', async (_, payload) => {
    const heard = new Promise((resolve) => {
      arena.relay('echo').registerHandler('echo', (value) => resolve({ value }));
    });
    arena.relays[0]?.connect();
    const web = await arena.service('web');
    web.send('echo', payload);
    expect(await heard).toEqual({ value: payload });
  });

  it('in all its forms', async () => {
    await arena.service('echo', {
      echo: (payload, { reply, auth }) => void reply('echoed', { payload, auth }),
    });
    const web = await arena.service('web');
    const replies = await Promise.all([
      new Promise((resolve) => web.send('echo', resolve)),
      new Promise((resolve) => web.send('echo', 1, resolve)),
      new Promise((resolve) => web.send('echo', 1, undefined, resolve)),
      new Promise((resolve) => web.send('echo', undefined, { auth: 'a' }, resolve)),
      new Promise((resolve) => web.send('echo', 1, { auth: 'a' }, resolve)),
    ]);
    expect(replies).toEqual([
      { payload: undefined, auth: undefined },
      { payload: 1, auth: undefined },
      { payload: 1, auth: undefined },
      { payload: undefined, auth: 'a' },
      { payload: 1, auth: 'a' },
    ]);
    expect(arena.errors).toEqual([]);
  });

  it('returns { id, activityId }, which the handler sees', async () => {
    const seen = new Promise((resolve) => {
      arena.relay('echo').registerHandler('echo', (_, { id, activityId }) => resolve({ id, activityId }));
    });
    arena.relays[0]?.connect();
    const web = await arena.service('web');
    const sent = web.send('echo');
    expect(sent).toEqual({ id: expect.any(String), activityId: expect.any(String) });
    expect(await seen).toEqual(sent);
  });

  it('options.auth travels with the message and with its replies', async () => {
    let auth: unknown;
    await arena.service('echo', {
      echo: (_, context) => {
        auth = context.auth;
        context.reply('echoed');
      },
    });
    const web = await arena.service('web');
    const context = await new Promise((resolve) =>
      web.send('echo', 1, { auth: { user: 5 } }, (_, context) => resolve(context)),
    );
    expect([auth, context]).toEqual([{ user: 5 }, expect.objectContaining({ auth: { user: 5 } })]);
  });

  it('sent before online: queued, in order', async () => {
    const heard: unknown[] = [];
    await arena.service('echo', { echo: (value) => void heard.push(value) });
    const web = arena.relay('web');
    for (let i = 0; i < 5; i++) web.send('echo', i);
    web.connect();
    await expect.poll(() => heard).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('a reply handler', () => {
  it("is given { outcome, id, activityId, sender, responseTime }; outcome is the reply's message name", async () => {
    await arena.service('users', {
      'users.create': (user, { reply }) => void reply('users.created', { id: 456, ...user }),
    });
    const web = await arena.service('web');
    let sent = { activityId: '' };
    const [user, context] = await new Promise<unknown[]>((resolve) => {
      sent = web.send('users.create', { name: 'Will Riker' }, (user, context) => resolve([user, context]));
    });
    expect(user).toEqual({ id: 456, name: 'Will Riker' });
    expect(context).toEqual({
      outcome: 'users.created',
      id: expect.any(String),
      activityId: sent.activityId,
      sender: 'users',
      auth: undefined,
      responseTime: expect.any(Number),
    });
  });

  it('may get many replies: each calls it', async () => {
    await arena.service('files', {
      'file.copy': (_, { reply }) => {
        for (const percent of [0, 50]) reply('file.copying', { percent });
        reply('file.copied');
      },
    });
    const web = await arena.service('web');
    const log: unknown[] = [];
    await new Promise<void>((resolve) =>
      web.send('file.copy', { from: 'a', to: 'b' }, (payload, { outcome }) => {
        log.push([outcome, payload]);
        if (outcome === 'file.copied') resolve();
      }),
    );
    expect(log).toEqual([
      ['file.copying', { percent: 0 }],
      ['file.copying', { percent: 50 }],
      ['file.copied', undefined],
    ]);
  });

  it('is let go after the last: when the service says so', async () => {
    const heard: unknown[] = [];
    await arena.service('files', {
      read: (_, { reply }) => {
        reply('chunk', 1);
        reply('done', 2, { last: true });
        reply('chunk', 3);
      },
    });
    const web = await arena.service('web');
    web.send('read', (payload) => void heard.push(payload));
    expect(web.stats().waitingForReplies).toBe(1);
    await expect.poll(() => web.stats().waitingForReplies).toBe(0);
    await web.request('read');
    expect(heard).toEqual([1, 2]);
  });

  it('is let go after an idle time', async () => {
    await arena.service('files', { read: (_, { reply }) => void reply('chunk', 1) });
    const web = await arena.service('web', {}, { replyIdleMs: 50 });
    const heard: unknown[] = [];
    web.send('read', (payload) => void heard.push(payload));
    await expect.poll(() => heard).toEqual([1]);
    await expect.poll(() => web.stats().waitingForReplies).toBe(0);
  });

  it('that throws is an error event; the relay lives on', async () => {
    await arena.service('echo', { echo: (value, { reply }) => void reply('echoed', value) });
    const web = await arena.service('web');
    web.send('echo', 1, () => {
      throw new Error('in the reply handler');
    });
    await expect.poll(() => arena.texts).toEqual(['in the reply handler']);
    expect(await web.request('echo', 2)).toEqual({ outcome: 'echoed', payload: 2 });
  });
});

describe("a handler's second argument", () => {
  it('is { reply, send, request, id, activityId, sender, auth, isSecurity, redelivered, signal }', async () => {
    const context = new Promise<Record<string, unknown>>((resolve) => {
      arena.relay('echo').registerHandler('echo', (_, context) => resolve(context as never));
    });
    arena.relays[0]?.connect();
    const web = await arena.service('web');
    web.send('echo', 1, { auth: 'a' });
    expect(await context).toMatchObject({
      reply: expect.any(Function),
      send: expect.any(Function),
      request: expect.any(Function),
      id: expect.any(String),
      activityId: expect.any(String),
      sender: 'web',
      auth: 'a',
      isSecurity: false,
      redelivered: false,
      signal: expect.any(AbortSignal),
    });
  });

  it("send is the relay's own, and what it sends carries which message caused it", async () => {
    const seen: Record<string, unknown>[] = [];
    arena.hub.on('message', (report) => seen.push(report as never));
    let activity = '';
    await arena.service('passwords', {
      'passwords.encrypt': (password, { reply, activityId }) => {
        activity = activityId;
        reply('passwords.encrypted', `**${password}**`);
      },
    });
    await arena.service('users', {
      'users.create': (user, { send, reply }) => {
        send('passwords.encrypt', user.password, (encrypted) => {
          reply('users.created', { name: user.name, encrypted });
        });
      },
    });
    const web = await arena.service('web');
    const sent = { activityId: '' };
    const created = await new Promise((resolve) => {
      sent.activityId = web.send('users.create', { name: 'Ada', password: 'x' }, resolve).activityId;
    });
    expect(created).toEqual({ name: 'Ada', encrypted: '**x**' });
    expect(activity).toBe(sent.activityId);
  });

  it('request within a handler', async () => {
    await arena.service('double', { double: (n, { reply }) => void reply('doubled', n * 2) });
    await arena.service('quad', {
      quadruple: async (n, { request, reply }) => {
        const { payload } = await request('double', n);
        reply('quadrupled', payload * 2);
      },
    });
    const web = await arena.service('web');
    expect(await web.request('quadruple', 3)).toEqual({ outcome: 'quadrupled', payload: 12 });
  });

  it('that throws: error with that error; the relay lives on', async () => {
    const users = await arena.service('users', {
      bad: () => {
        throw new RangeError('out of range');
      },
      later: async () => {
        throw new Error('later');
      },
      good: (_, { reply }) => void reply('fine'),
    });
    const web = await arena.service('web');
    web.send('bad');
    web.send('later');
    await expect.poll(() => arena.texts).toEqual(['out of range', 'later']);
    expect(arena.errors[0]).toBeInstanceOf(RangeError);
    expect(await web.request('good')).toEqual({ outcome: 'fine', payload: undefined });
    expect(users.connected).toBe(true);
  });
});

describe('request(name, payload)', () => {
  beforeEach(async () => {
    await arena.service('bank', {
      transfer: ({ amount }, { reply }) =>
        void (amount > 100 ? reply('insufficient funds', { missing: amount - 100 }) : reply('transferred')),
      silence: () => {},
    });
  });

  it('is a promise of { outcome, payload }', async () => {
    const web = await arena.service('web');
    expect(await web.request('transfer', { amount: 150 })).toEqual({
      outcome: 'insufficient funds',
      payload: { missing: 50 },
    });
    expect(await web.request('transfer', { amount: 1 })).toEqual({
      outcome: 'transferred',
      payload: undefined,
    });
  });

  it('rejects with NYOTA_TIMEOUT after timeoutMs, or the requestTimeoutMs of the relay', async () => {
    const web = await arena.service('web', {}, { requestTimeoutMs: 30 });
    await expect(web.request('silence')).rejects.toMatchObject({ code: 'NYOTA_TIMEOUT' });
    await expect(web.request('silence', null, { timeoutMs: 10 })).rejects.toMatchObject({
      code: 'NYOTA_TIMEOUT',
    });
    expect(web.stats().waitingForReplies).toBe(0);
  });

  it('rejects with NYOTA_ABORTED when its signal is aborted, before and after', async () => {
    const web = await arena.service('web');
    const abort = new AbortController();
    const request = web.request('silence', null, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(request).rejects.toMatchObject({ code: 'NYOTA_ABORTED', cause: abort.signal.reason });
    await expect(web.request('silence', null, { signal: abort.signal })).rejects.toMatchObject({
      code: 'NYOTA_ABORTED',
    });
    expect(web.stats().waitingForReplies).toBe(0);
  });

  it('rejects with what is wrong with the call', async () => {
    const web = await arena.service('web');
    const text = 'ExoRelay#request cannot send empty messages';
    await expect(web.request('')).rejects.toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT', message: text });
    await expect(web.request('x', () => {})).rejects.toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT' });
    await expect(web.request('x', { f() {} })).rejects.toMatchObject({ code: 'NYOTA_UNSERIALIZABLE' });
    expect(web.stats().waitingForReplies).toBe(0);
  });

  it('rejects with NYOTA_CLOSED when the relay is destroyed', async () => {
    const web = await arena.service('web');
    const request = web.request('silence');
    web.destroy();
    await expect(request).rejects.toMatchObject({ code: 'NYOTA_CLOSED' });
  });
});

describe('stream(name, payload, { until })', () => {
  const chunks = {
    'file.read': (n: number, { reply }: { reply: (name: string, payload?: unknown) => unknown }) => {
      for (let i = 0; i < n; i++) reply('file.read-chunk', i);
      reply('file.read-done', { chunks: n });
    },
  };

  it('yields every reply, ends after the named outcome, and nothing is left', async () => {
    await arena.service('files', chunks);
    const web = await arena.service('web');
    const got: unknown[] = [];
    for await (const { outcome, payload } of web.stream('file.read', 600, { until: 'file.read-done' })) {
      got.push(outcome === 'file.read-chunk' ? payload : outcome);
    }
    expect(got).toEqual([...Array.from({ length: 600 }, (_, i) => i), 'file.read-done']);
    expect(web.stats().waitingForReplies).toBe(0);
  });

  it('ends at any of several outcomes, and at the reply that says that it is the last', async () => {
    await arena.service('files', {
      fail: (_, { reply }) => void reply('failed'),
      last: (_, { reply }) => void reply('whatever', 1, { last: true }),
    });
    const web = await arena.service('web');
    const read = async (name: string): Promise<unknown[]> => {
      const got: unknown[] = [];
      for await (const reply of web.stream(name, undefined, { until: ['done', 'failed'] })) got.push(reply);
      return got;
    };
    expect(await read('fail')).toEqual([{ outcome: 'failed', payload: undefined }]);
    expect(await read('last')).toEqual([{ outcome: 'whatever', payload: 1 }]);
  });

  it('left early, it cleans up, and the handler that serves it sees its signal aborted', async () => {
    let reason: unknown;
    await arena.service('files', {
      'file.read': async (_, { reply, signal }) => {
        const aborted = new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => {
            reason = signal.reason;
            resolve();
          }),
        );
        reply('file.read-chunk', 1);
        await aborted;
        reply('file.read-chunk', 2);
      },
    });
    const web = await arena.service('web');
    for await (const { payload } of web.stream('file.read')) {
      expect(payload).toBe(1);
      break;
    }
    expect(web.stats().waitingForReplies).toBe(0);
    await expect.poll(() => (reason as NyotaError | undefined)?.code).toBe('NYOTA_ABORTED');
    expect(arena.errors).toEqual([]);
  });

  it('throws NYOTA_TIMEOUT after timeoutMs without a reply', async () => {
    await arena.service('files', { 'file.read': (_, { reply }) => void reply('file.read-chunk', 1) });
    const web = await arena.service('web');
    const got: unknown[] = [];
    const read = (async () => {
      for await (const { payload } of web.stream('file.read', undefined, { timeoutMs: 40 }))
        got.push(payload);
    })();
    await expect(read).rejects.toMatchObject({ code: 'NYOTA_TIMEOUT' });
    expect(got).toEqual([1]);
  });
});

describe('close and destroy', () => {
  it('close is graceful: what runs finishes and its reply arrives', async () => {
    let finish = (): void => {};
    const begun = new Promise<void>((begin) => {
      arena.relay('users').registerHandler('work', async (_, { reply }) => {
        begin();
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        reply('done');
      });
    });
    const users = arena.relays[0]?.connect() as ExoRelay;
    const web = await arena.service('web');
    const request = web.request('work');
    await begun;
    const closed = users.close();
    finish();
    expect((await request).outcome).toBe('done');
    await closed;
    expect(arena.hub.config().clients.users?.instances ?? []).toEqual([]);
  });

  it('destroy is a crash: nothing is finished, and another instance gets the message, flagged redelivered', async () => {
    const log: string[] = [];
    const work = (instance: string) => ({
      work: (
        _: unknown,
        { reply, redelivered }: { reply: (name: string) => unknown; redelivered: boolean },
      ) => {
        log.push(`${instance} ${redelivered}`);
        if (log.length > 1) reply('done');
        return log.length > 1 ? undefined : new Promise<void>(() => {});
      },
    });
    const first = await arena.service('users', work('first'));
    const web = await arena.service('web');
    const request = web.request('work');
    await expect.poll(() => log).toEqual(['first false']);
    await arena.service('users', work('second'));
    first.destroy();
    expect((await request).outcome).toBe('done');
    expect(log).toEqual(['first false', 'second true']);
  });
});

describe('the rejected event', () => {
  it('tells what ExoCom has refused; it is no error', async () => {
    arena.stop();
    await arena.start({ routes: { web: { sends: ['hello'] }, todo: { receives: ['hello'] } } });
    const web = await arena.service('web');
    const rejected = next(web, 'rejected');
    const { id } = web.send('users get-SSN');
    expect(await rejected).toMatchObject({ id, name: 'users get-SSN', code: 'EXO_NOT_ALLOWED' });
    expect(arena.warnings).toContain("Service 'web' is not allowed to broadcast the message 'users get-SSN'");
    expect(arena.errors).toEqual([]);
  });
});
