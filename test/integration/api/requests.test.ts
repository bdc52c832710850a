/** docs/api.md, "Peer": `handle`, `unhandle` and `request` with each of its outcomes. */
import { describe, expect, it } from 'vitest';
import { type HandlerContext, NyotaError } from '../../../src/index.js';
import {
  type AnyPeer,
  cut,
  DIRECTIONS,
  deferred,
  nyotaErrorOf,
  once,
  type Pair,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('a request of the %s to the %s', (asker, answerer) => {
  async function two(): Promise<Pair & { asks: AnyPeer; answers: AnyPeer }> {
    const pair = await kit.pair();
    return { asks: pair[asker], answers: pair[answerer], ...pair };
  }

  it('resolves to what the handler returns, or what its promise resolves to', async () => {
    const { asks, answers } = await two();
    answers.handle('add', (...args: unknown[]) => Number(args[0]) + Number(args[1]));
    answers.handle('later', async () => ({ at: new Date(0) }));
    answers.handle('nothing', () => {});
    expect(await asks.request('add', 1, 2)).toBe(3);
    expect(await asks.request('later')).toEqual({ at: new Date(0) });
    expect(await asks.request('nothing')).toBeUndefined();
  });

  it('gives the handler its peer as this, and a context after the arguments', async () => {
    const { asks, answers } = await two();
    const seen = deferred<{ self: unknown; args: unknown[] }>();
    answers.handle('look', function (this: unknown, ...args: unknown[]) {
      seen.resolve({ self: this, args });
    });
    const before = Date.now();
    await asks.with({ timeoutMs: 20_000 }).request('look', 'one', 'two');
    const { self, args } = await seen.promise;
    expect(self).toBe(answers);
    expect(args.slice(0, 2)).toEqual(['one', 'two']);
    expect(args).toHaveLength(3);
    const context = args[2] as HandlerContext<unknown>;
    expect(context.session).toBe(answers);
    expect(context.redelivered).toBe(false);
    expect(context.signal).toBeInstanceOf(AbortSignal);
    expect(context.signal.aborted).toBe(false);
    expect(context.deadline).toBeGreaterThan(before + 15_000);
    expect(context.deadline).toBeLessThan(Date.now() + 21_000);
  });

  it('rejects with the error that the handler throws: name, message, code and data kept, no stack', async () => {
    const { asks, answers } = await two();
    class StockError extends Error {
      override readonly name = 'StockError';
      readonly code = 'OUT_OF_STOCK';
      readonly item = { sku: 'a-1', left: 0 };
    }
    answers.handle('sync', () => {
      throw new StockError('nothing left');
    });
    answers.handle('async', async () => {
      throw new RangeError('too far', { cause: new Error('the reason') });
    });
    const error = await rejectionOf(asks.request('sync'));
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'StockError',
      message: 'nothing left',
      code: 'OUT_OF_STOCK',
      item: { sku: 'a-1', left: 0 },
    });
    expect(error.stack).not.toContain('requests.test');
    const other = await rejectionOf(asks.request('async'));
    expect(other).toBeInstanceOf(RangeError);
    expect((other.cause as Error).message).toBe('the reason');
    expect((other.cause as Error).stack).not.toContain('requests.test');
  });

  it('rejects with an Error also where the handler throws something that is none', async () => {
    const { asks, answers } = await two();
    answers.handle('text', () => {
      throw 'just a text';
    });
    answers.handle('nothing', () => Promise.reject());
    const error = await rejectionOf(asks.request('text'));
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toContain('just a text');
    expect(await rejectionOf(asks.request('nothing'))).toBeInstanceOf(Error);
  });

  it('keeps code and data of a NyotaError that the handler passes on', async () => {
    const { asks, answers } = await two();
    answers.handle('upstream', () => {
      throw Object.assign(new NyotaError('NYOTA_OUTBOX_FULL', 'no room there'), { upstream: 'billing' });
    });
    const error = await rejectionOf(asks.request('upstream'));
    expect(error).toBeInstanceOf(NyotaError);
    expect(error).toMatchObject({ code: 'NYOTA_OUTBOX_FULL', message: 'no room there', upstream: 'billing' });
  });

  it('rejects with an error where the reply can not travel, and the session lives', async () => {
    const { asks, answers } = await two();
    answers.handle('function', () => () => 1);
    answers.handle('fine', () => 'fine');
    expect((await rejectionOf(asks.request('function'))).code).toBe('NYOTA_UNSERIALIZABLE');
    expect(await asks.request('fine')).toBe('fine');
  });

  it('rejects with NYOTA_NO_HANDLER at once where nobody handles it', async () => {
    const { asks, answers } = await two();
    answers.on('heard', () => {});
    for (const name of ['nobody', 'heard', 'constructor', '__proto__']) {
      const error = await rejectionOf(asks.request(name));
      expect(error).toMatchObject({ name: 'NyotaError', code: 'NYOTA_NO_HANDLER' });
      expect(error.message).toContain(name);
    }
  });

  it('rejects with NYOTA_TIMEOUT at its deadline, and the handler sees its signal aborted', async () => {
    const { asks, answers } = await two();
    const aborted = deferred<unknown>();
    answers.handle('hang', (...args: unknown[]) => {
      const { signal } = args.at(-1) as HandlerContext<unknown>;
      signal.addEventListener('abort', () => aborted.resolve(signal.reason));
      return new Promise(() => {});
    });
    const error = await rejectionOf(asks.with({ timeoutMs: 30 }).request('hang'));
    expect(error.code).toBe('NYOTA_TIMEOUT');
    expect(await within(aborted.promise, 'the abort')).toMatchObject({ code: 'NYOTA_TIMEOUT' });
    expect(asks.stats().pendingRequests).toBe(0);
  });

  it('takes a timeout that is no whole number', async () => {
    const { asks, answers } = await two();
    answers.handle('fine', () => 'fine');
    expect(await within(asks.with({ timeoutMs: 4_000.5 }).request('fine'), 'the reply')).toBe('fine');
  });

  it('rejects with NYOTA_ABORTED when its signal is aborted, and the handler sees it', async () => {
    const { asks, answers } = await two();
    const running = deferred();
    const aborted = deferred();
    answers.handle('hang', (...args: unknown[]) => {
      const { signal } = args.at(-1) as HandlerContext<unknown>;
      signal.addEventListener('abort', () => aborted.resolve());
      running.resolve();
      return new Promise(() => {});
    });
    const controller = new AbortController();
    const outcome = rejectionOf(asks.with({ signal: controller.signal }).request('hang'));
    await within(running.promise, 'the handler');
    controller.abort(new Error('changed my mind'));
    const error = await outcome;
    expect(error.code).toBe('NYOTA_ABORTED');
    expect((error.cause as Error).message).toBe('changed my mind');
    await within(aborted.promise, 'the abort');
  });

  it('rejects with NYOTA_ABORTED at once where the signal was aborted before', async () => {
    const { asks, answers } = await two();
    let runs = 0;
    answers.handle('count', () => ++runs);
    const error = await rejectionOf(asks.with({ signal: AbortSignal.abort() }).request('count'));
    expect(error.code).toBe('NYOTA_ABORTED');
    expect(await asks.request('count')).toBe(1);
  });

  it('rejects with NYOTA_CLOSED when this side is destroyed', async () => {
    const { asks, answers } = await two();
    answers.handle('hang', () => new Promise(() => {}));
    const outcome = rejectionOf(asks.request('hang'));
    asks.destroy();
    expect((await outcome).code).toBe('NYOTA_CLOSED');
  });

  it('rides the resume: a cut while the handler runs is no error, and it runs once', async () => {
    const { asks, answers, client, session } = await two();
    const running = deferred();
    const finish = deferred();
    let runs = 0;
    answers.handle('slow', async () => {
      runs++;
      running.resolve();
      await finish.promise;
      return 'after the cut';
    });
    const reply = asks.request('slow');
    await within(running.promise, 'the handler');
    await cut(session, client);
    finish.resolve();
    expect(await within(reply, 'the reply')).toBe('after the cut');
    expect(runs).toBe(1);
  });

  it('rides the resume: a reply that was made while disconnected arrives', async () => {
    const { asks, answers, client } = await two();
    const running = deferred();
    const finish = deferred();
    answers.handle('slow', async () => {
      running.resolve();
      await finish.promise;
      return 'made offline';
    });
    const reply = asks.request('slow');
    await within(running.promise, 'the handler');
    client.disconnect();
    // The handler still runs, so what it waits for is not flushed: cut instead of waiting for the drain.
    client.socket?.destroy();
    if (client.connected) await once(client, 'disconnect');
    finish.resolve();
    client.connect();
    expect(await within(reply, 'the reply')).toBe('made offline');
  });

  it('may be made from inside a handler of the other side, both ways at once', async () => {
    const { asks, answers } = await two();
    answers.handle('outer', async () => `outer(${await answers.request('inner')})`);
    asks.handle('inner', async () => `inner(${await asks.request('innermost')})`);
    answers.handle('innermost', () => 'innermost');
    expect(await asks.request('outer')).toBe('outer(inner(innermost))');
  });

  it('many at a time each get their own reply', async () => {
    const { asks, answers } = await two();
    answers.handle('echo', async (...args: unknown[]) => {
      if (Number(args[0]) % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      return args[0];
    });
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    expect(await Promise.all(numbers.map((n) => asks.request('echo', n)))).toEqual(numbers);
  });
});

describe('a request', () => {
  it('rejects with NYOTA_SESSION_LOST where the server forgets the session meanwhile', async () => {
    const { client, session } = await kit.pair();
    const running = deferred();
    session.handle('hang', () => {
      running.resolve();
      return new Promise(() => {});
    });
    const outcome = rejectionOf(client.request('hang'));
    await within(running.promise, 'the handler');
    session.invalidate();
    expect((await outcome).code).toBe('NYOTA_SESSION_LOST');
  });

  it('of a session rejects with NYOTA_CLOSED where its client does not come back', async () => {
    const { client, session } = await kit.pair({ server: { resumeWindowMs: 20 } });
    const running = deferred();
    client.handle('hang', () => {
      running.resolve();
      return new Promise(() => {});
    });
    const outcome = rejectionOf(session.request('hang'));
    await within(running.promise, 'the handler');
    client.destroy();
    expect((await outcome).code).toMatch(/^NYOTA_(CLOSED|SESSION_LOST)$/);
  });

  it('is queued before there is a connection, and answered then', async () => {
    const server = await kit.listening({}, (session) => {
      session.handle('early', () => 'bird');
    });
    const client = kit.client({ port: (server.address() as { port: number }).port });
    expect(client.connected).toBe(false);
    expect(await within(client.request('early'), 'the reply')).toBe('bird');
  });

  it('times out by requestTimeoutMs while nobody can be reached', async () => {
    const client = kit.client({ port: 1, createConnection: () => undefined, requestTimeoutMs: 30 });
    expect((await rejectionOf(client.request('far'))).code).toBe('NYOTA_TIMEOUT');
  });

  it('waits for ever with timeoutMs 0 or Infinity: its handler has no deadline', async () => {
    const { client, session } = await kit.pair();
    session.handle('deadline', (...args: unknown[]) => {
      const { deadline } = args.at(-1) as HandlerContext<unknown>;
      return deadline === Number.POSITIVE_INFINITY;
    });
    expect(await client.with({ timeoutMs: 0 }).request('deadline')).toBe(true);
    expect(await client.with({ timeoutMs: Number.POSITIVE_INFINITY }).request('deadline')).toBe(true);
  });
});

describe('handle', () => {
  it('takes one handler an event: a second throws NYOTA_HANDLER_EXISTS, until unhandle', async () => {
    const { client, session } = await kit.pair();
    session.handle('job', () => 'first');
    const error = nyotaErrorOf(() => session.handle('job', () => 'second'));
    expect(error.code).toBe('NYOTA_HANDLER_EXISTS');
    expect(error.message).toContain('job');
    expect(await client.request('job')).toBe('first');
    session.unhandle('job').handle('job', () => 'second');
    expect(await client.request('job')).toBe('second');
    session.unhandle('job').unhandle('job');
    expect((await rejectionOf(client.request('job'))).code).toBe('NYOTA_NO_HANDLER');
  });

  it('has nothing to do with the listeners of the same name', async () => {
    const { client, session } = await kit.pair();
    const heard: unknown[] = [];
    session.on('both', (value) => heard.push(value));
    session.handle('both', () => 'handled');
    expect(await client.request('both', 1)).toBe('handled');
    expect(heard).toEqual([]);
    await client.sendWithAck('both', 2);
    expect(heard).toEqual([2]);
  });
});
