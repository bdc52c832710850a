/** What a relay says to a hub and does at its word: a scripted hub on a real connection. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExoRelay, type ExoRelayOptions } from '../../../src/exorelay/index.js';
import { encode, type NyotaError } from '../../../src/index.js';
import { next, ScriptedHub } from '../../support/scripted-hub.js';

let hub: ScriptedHub;
const relays: ExoRelay[] = [];
const errors: NyotaError[] = [];
beforeEach(async () => {
  hub = await new ScriptedHub().listen();
  errors.length = 0;
});
afterEach(() => {
  for (const relay of relays.splice(0)) relay.destroy();
  hub.server.destroy();
});

function make(options: ExoRelayOptions = {}): ExoRelay {
  const relay = new ExoRelay({ exocomHost: '127.0.0.1', exocomPort: hub.port, role: 'users', ...options });
  relay.on('error', (error) => errors.push(error as NyotaError));
  relays.push(relay);
  return relay;
}

async function online(options: ExoRelayOptions = {}): Promise<ExoRelay> {
  const relay = make(options);
  relay.connect();
  await next(relay, 'online');
  return relay;
}

/** The hub is another process from now on: it knows no session. */
async function restart(): Promise<void> {
  const { port } = hub;
  hub.server.destroy();
  await next(hub.server, 'close');
  hub = await new ScriptedHub('hub-2').listen(port);
}

describe('registering', () => {
  it('says who it is and what it handles, before online', async () => {
    const relay = make({ token: 'secret' });
    relay.registerHandler('users.create', () => {});
    relay.connect();
    await next(relay, 'online');
    expect(hub.credentials).toEqual({ role: 'users', token: 'secret' });
    expect(hub.registrations).toEqual([{ instance: expect.any(String), handles: ['users.create'] }]);
  });

  it('says it again when handlers are added, once for many', async () => {
    const relay = await online();
    relay.registerHandlers({ a: () => {}, b: () => {} });
    await hub.until(() => hub.registrations.length > 1);
    expect(hub.registrations[1]).toMatchObject({ handles: ['a', 'b'] });
  });

  it('registers anew at a hub that was restarted, and says where it was before; online is told once', async () => {
    let onlines = 0;
    const relay = make();
    relay.on('online', () => onlines++);
    relay.connect();
    await next(relay, 'online');
    const [first] = hub.registrations as { instance: string }[];
    await restart();
    await next(relay, 'reconnect');
    expect(hub.registrations).toEqual([{ instance: first?.instance, handles: [], before: 'hub-1' }]);
    expect(onlines).toBe(1);
  });
});

describe('until a message is accepted', () => {
  it('it is sent again after a restart of the hub: in order, with the same ids, flagged redelivered', async () => {
    hub.accepting = false;
    const relay = await online();
    const ids = [1, 2, 3].map((n) => relay.send('count', n).id);
    await hub.message('count', 3);
    await restart();
    await hub.message('count', 3);
    expect(hub.messages.map(({ id, payload, redelivered }) => [id, payload, redelivered])).toEqual(
      ids.map((id, i) => [id, i + 1, true]),
    );
    await expect.poll(() => relay.stats().unaccepted).toBe(0);
  });

  it('what was never handed over goes along without the flag, behind the others', async () => {
    hub.accepting = false;
    const relay = await online();
    relay.send('count', 1);
    await hub.message('count');
    hub.server.destroy();
    await next(relay, 'disconnect');
    relay.send('count', 2);
    const { port } = hub;
    hub = await new ScriptedHub('hub-2').listen(port);
    await hub.message('count', 2);
    expect(hub.messages.map(({ payload, redelivered }) => [payload, redelivered])).toEqual([
      [1, true],
      [2, undefined],
    ]);
  });

  it('what is encoded already travels as the value', async () => {
    const relay = await online();
    relay.send('hello', encode({ list: [1] }), { auth: encode('secret') });
    expect(await hub.message('hello')).toMatchObject({ payload: { list: [1] }, auth: 'secret' });
  });

  it('what the user changes after send does not travel', async () => {
    const relay = make();
    const payload = { list: [1] };
    relay.send('hello', payload);
    payload.list.push(2);
    relay.connect();
    expect((await hub.message('hello')).payload).toEqual({ list: [1] });
  });

  it('no more than the hub takes of one relay are out; the rest follows', async () => {
    hub.accepting = false;
    const relay = await online();
    for (let i = 0; i < 9_000; i++) relay.send('count', i);
    await hub.until(() => hub.messages.length === 8_192);
    expect(relay.stats().unaccepted).toBe(9_000);
    hub.accepting = true;
    for (const { id } of [...hub.messages]) hub.accept(id);
    await hub.until(() => hub.messages.length === 9_000);
    expect(hub.messages.map(({ payload }) => payload)).toEqual(Array.from({ length: 9_000 }, (_, i) => i));
  });

  it('drained() waits while much is not accepted', async () => {
    hub.accepting = false;
    const relay = await online();
    for (let i = 0; i < 1_025; i++) relay.send('count', i);
    let drained = false;
    const promise = relay.drained().then(() => {
      drained = true;
    });
    await hub.message('count', 1_025);
    expect(drained).toBe(false);
    hub.accept((await hub.message('count')).id);
    await promise;
  });

  it('a message that is larger than a frame is an error event, and the others go on', async () => {
    const relay = await online({ maxFrameBytes: 2_000 });
    relay.send('large', Buffer.alloc(3_000));
    relay.send('small');
    await hub.message('small');
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_FRAME_TOO_LARGE']);
    expect(hub.messages).toHaveLength(1);
  });
});

describe('what is delivered', () => {
  it('is reported handled once its handler has settled', async () => {
    const relay = await online();
    let finish = (): void => {};
    const begun = new Promise<void>((begin) => {
      relay.registerHandler('work', () => {
        begin();
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      });
    });
    hub.deliver({ name: 'work', id: 'm1' });
    await begun;
    expect(hub.handled).toEqual([]);
    finish();
    await hub.until(() => hub.handled.length === 1);
    expect(hub.handled).toEqual([{ sender: 'web', id: 'm1' }]);
  });

  it('does not run a second time, while it runs and after it: also not for a hub that was restarted', async () => {
    const relay = await online();
    let runs = 0;
    relay.registerHandler('work', () => {
      runs++;
    });
    hub.deliver({ name: 'work', id: 'm1' });
    hub.deliver({ name: 'work', id: 'm1', redelivered: true });
    await hub.until(() => hub.handled.length === 2);
    await restart();
    await next(relay, 'reconnect');
    expect(
      await hub.session.request('exo.known', [
        { sender: 'web', id: 'm1' },
        { sender: 'web', id: 'm2' },
      ]),
    ).toEqual([{ sender: 'web', id: 'm1' }]);
    hub.deliver({ name: 'work', id: 'm1', redelivered: true });
    await hub.until(() => hub.handled.length === 1);
    expect(runs).toBe(1);
  });

  it('the same id from another sender is another message', async () => {
    const relay = await online();
    const seen: unknown[] = [];
    relay.registerHandler('work', (_, { sender }) => seen.push(sender));
    hub.deliver({ name: 'work', id: 'm1' }, 'web');
    hub.deliver({ name: 'work', id: 'm1' }, 'mail');
    await hub.until(() => hub.handled.length === 2);
    expect(seen).toEqual(['web', 'mail']);
  });

  it('a handler that throws is reported handled, with what it threw', async () => {
    const relay = await online();
    relay.registerHandler('work', () => {
      throw new Error('no');
    });
    relay.registerHandler('later', () => Promise.reject(new Error('nor later')));
    hub.deliver({ name: 'work', id: 'm1' });
    hub.deliver({ name: 'later', id: 'm2' });
    await hub.until(() => hub.handled.length === 2);
    expect(hub.handled.map(({ id, error }) => [id, error])).toEqual([
      ['m1', 'no'],
      ['m2', 'nor later'],
    ]);
    expect(errors.map(({ message }) => message)).toEqual(['no', 'nor later']);
  });

  it('what its handler sends carries which message caused it, and belongs to the same activity', async () => {
    const relay = await online();
    relay.registerHandler('work', (_, { send, reply }) => {
      send('other');
      reply('done');
    });
    hub.deliver({ name: 'work', id: 'm1', activityId: 'a1', auth: 'secret' });
    expect(await hub.message('other')).toMatchObject({ causedBy: 'm1', activityId: 'a1' });
    expect(await hub.message('other')).not.toHaveProperty('auth');
    expect(await hub.message('done')).toMatchObject({ responseTo: 'm1', activityId: 'a1', auth: 'secret' });
  });

  it('a __status message is answered with __status-ok', async () => {
    await online();
    hub.deliver({ name: '__status', id: 'm1' });
    expect(await hub.message('__status-ok')).toMatchObject({ responseTo: 'm1', last: true });
    await hub.until(() => hub.handled.length === 1);
  });

  it('without an id is an error event: missing message id', async () => {
    await online();
    hub.deliver({ name: 'work', id: '' });
    await expect.poll(() => errors.map(({ message }) => message)).toEqual(['missing message id']);
  });

  it('and can not be read is an error event, counts as handled, and the others go on', async () => {
    const relay = await online();
    const seen: unknown[] = [];
    relay.registerHandler('work', (payload) => void seen.push(payload));
    const broken = { name: 'work', activityId: 'a1', sender: 'web', payload: Buffer.from([0x92, 1]) };
    hub.deliverAsIs({ ...broken, id: 'm1' });
    hub.deliverAsIs({ ...broken, id: 'm2', payload: Buffer.from([1]), auth: Buffer.alloc(0) });
    hub.deliver({ name: 'work', id: 'm3', payload: 'good' });
    await hub.until(() => hub.handled.length === 3);
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_PAYLOAD_REFUSED', 'NYOTA_PAYLOAD_REFUSED']);
    expect(errors[0]?.message).toMatch(/^the message 'work' can't be read: the payload holds/);
    expect(hub.handled.map(({ id, error }) => [id, error])).toEqual([
      ['m1', errors[0]?.message],
      ['m2', errors[1]?.message],
      ['m3', undefined],
    ]);
    expect(seen).toEqual(['good']);
    hub.deliverAsIs({ ...broken, id: 'm1', redelivered: true });
    await hub.until(() => hub.handled.length === 4);
    expect(errors).toHaveLength(2);
  });

  it('and is no envelope is an error event', async () => {
    await online();
    hub.deliverAsIs({ name: 'work', id: 'm1', activityId: 'a1', sender: 'web', payload: 'plain' as never });
    await expect.poll(() => errors.map(({ message }) => message)).toEqual(['a payload travels encoded']);
  });

  it('a reply that can not be read fails the request that waits for it', async () => {
    const relay = await online();
    const request = relay.request('hello');
    const stream = relay.stream('numbers').next();
    for (const name of ['hello', 'numbers']) {
      const { id } = await hub.message(name);
      hub.deliverAsIs({
        ...{ name: 'answer', id: `to ${name}`, activityId: 'a1', sender: 'web' },
        ...{ responseTo: id, payload: Buffer.from([0xc1]) },
      });
    }
    for (const waiting of [request, stream]) {
      await expect(waiting).rejects.toMatchObject({ code: 'NYOTA_PAYLOAD_REFUSED' });
    }
    await hub.until(() => hub.handled.length === 2);
    expect(errors).toHaveLength(2);
    expect(relay.stats().waitingForReplies).toBe(0);
  });

  it('runs at most maxRunningHandlers at a time, the rest in order', async () => {
    const relay = await online({ maxRunningHandlers: 2 });
    const finish: (() => void)[] = [];
    const begun: unknown[] = [];
    relay.registerHandler('work', (payload) => {
      begun.push(payload);
      return new Promise<void>((resolve) => finish.push(resolve));
    });
    for (let i = 0; i < 5; i++) hub.deliver({ name: 'work', id: `m${i}`, payload: i });
    await expect.poll(() => begun).toEqual([0, 1]);
    for (let i = 0; i < 5; i++) {
      await expect.poll(() => finish.length).toBeGreaterThan(i);
      finish[i]?.();
    }
    await hub.until(() => hub.handled.length === 5);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  it('a reply that nobody waits for is handled, and nothing else', async () => {
    const relay = await online();
    relay.send('hello');
    const { id } = await hub.message('hello');
    hub.deliver({ name: 'hello back', id: 'r1', responseTo: id });
    await hub.until(() => hub.handled.length === 1);
    expect(errors).toEqual([]);
  });

  it('a reply that nobody waits for runs the handler of its name, if there is one', async () => {
    const relay = await online();
    const heard = new Promise((resolve) => relay.registerHandler('message unauthorized', resolve));
    relay.send('hello');
    const { id } = await hub.message('hello');
    hub.deliver({ name: 'message unauthorized', id: 'r1', responseTo: id, payload: 'no' }, 'exocom');
    expect(await heard).toBe('no');
  });
});

describe('a session that the hub has given up', () => {
  it("aborts the handlers' signals, and their replies go nowhere: another instance answers", async () => {
    const relay = await online();
    let reason: unknown;
    let late: (() => void) | undefined;
    const begun = new Promise<void>((begin) => {
      relay.registerHandler('work', (_, { signal, reply }) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
        });
        late = () => void reply('done');
        begin();
        return new Promise(() => {});
      });
    });
    hub.deliver({ name: 'work', id: 'm1' });
    await begun;
    hub.session.invalidate();
    await next(relay, 'reconnect');
    expect((reason as NyotaError).code).toBe('NYOTA_SESSION_INVALIDATED');
    late?.();
    relay.send('after');
    await hub.message('after');
    expect(hub.messages.map(({ name }) => name)).toEqual(['after']);
    expect(await hub.session.request('exo.known', [{ sender: 'web', id: 'm1' }])).toEqual([]);
  });
});

describe('cancelling', () => {
  it('a request that timed out is told to the hub', async () => {
    const relay = await online();
    const request = relay.request('slow', undefined, { timeoutMs: 20 });
    await expect(request).rejects.toMatchObject({
      code: 'NYOTA_TIMEOUT',
      message: "no reply to the message 'slow' in time",
    });
    const { id } = await hub.message('slow');
    await hub.until(() => hub.cancelled.length > 0);
    expect(hub.cancelled).toEqual([id]);
  });

  it('a request that was never sent is just not sent', async () => {
    const relay = make();
    const abort = new AbortController();
    const request = relay.request('slow', undefined, { signal: abort.signal });
    abort.abort();
    await expect(request).rejects.toMatchObject({ code: 'NYOTA_ABORTED' });
    relay.connect();
    await next(relay, 'online');
    relay.send('after');
    await hub.message('after');
    expect(hub.messages.map(({ name }) => name)).toEqual(['after']);
    expect(hub.cancelled).toEqual([]);
  });

  it('reaches the signal of a handler that runs', async () => {
    const relay = await online();
    const signal = new Promise<AbortSignal>((resolve) => {
      relay.registerHandler('slow', (_, context) => {
        resolve(context.signal);
        return new Promise((_, reject) => {
          context.signal.addEventListener('abort', () => reject(context.signal.reason));
        });
      });
    });
    hub.deliver({ name: 'slow', id: 'm1' });
    const { aborted } = await signal;
    hub.session.send('exo.cancel', { sender: 'web', id: 'm1' });
    await hub.until(() => hub.handled.length === 1);
    expect([aborted, (await signal).aborted]).toEqual([false, true]);
  });

  it('reaches the signal of a handler that has returned and goes on replying', async () => {
    const relay = await online();
    const aborted = new Promise<void>((resolve) => {
      relay.registerHandler('slow', (_, { signal }) => {
        signal.addEventListener('abort', () => resolve());
      });
    });
    hub.deliver({ name: 'slow', id: 'm1' });
    await hub.until(() => hub.handled.length === 1);
    hub.session.send('exo.cancel', { sender: 'web', id: 'm1' });
    await aborted;
  });
});

describe('what the hub refuses', () => {
  const rejections: [code: string, error: string][] = [
    ['EXO_NOT_ALLOWED', 'NYOTA_UNAUTHORIZED'],
    ['EXO_NO_RECEIVERS', 'NYOTA_NO_HANDLER'],
    ['EXO_OVERLOADED', 'NYOTA_SERVER_BUSY'],
  ];
  it.each(rejections)('%s fails the request with %s, and is a rejected event', async (code, error) => {
    const relay = await online();
    const rejected = next(relay, 'rejected');
    const request = relay.request('secret');
    const { id } = await hub.message('secret');
    hub.reject({ id, name: 'secret', reason: 'no', code: code as never });
    await expect(request).rejects.toMatchObject({ code: error, message: 'no' });
    expect(await rejected).toEqual({ id, name: 'secret', reason: 'no', code });
    expect(errors).toEqual([]);
  });

  it('where one of several receivers did not get it, the reply of another one still counts', async () => {
    hub.accepting = false;
    const relay = await online();
    const request = relay.request('secret');
    const { id } = await hub.message('secret');
    hub.reject({ id, name: 'secret', reason: 'no', code: 'EXO_QUEUE_EXPIRED' });
    hub.deliver({ name: 'done', id: 'r1', responseTo: id });
    hub.accept(id);
    expect(await request).toEqual({ outcome: 'done', payload: undefined });
  });

  it('where nobody else answered, the request fails once the hub is done with it', async () => {
    hub.accepting = false;
    const relay = await online();
    const request = relay.request('secret');
    const { id } = await hub.message('secret');
    hub.reject({ id, name: 'secret', reason: 'too late', code: 'EXO_QUEUE_EXPIRED' });
    hub.accept(id);
    await expect(request).rejects.toMatchObject({ code: 'NYOTA_EXPIRED', message: 'too late' });
  });
});

describe('after a restart of the hub', () => {
  it('the relay says whose replies it waits for, of what was accepted before', async () => {
    const relay = await online();
    const request = relay.request('slow');
    const { id, activityId } = await hub.message('slow');
    await expect.poll(() => relay.stats().unaccepted).toBe(0);
    await restart();
    await hub.until(() => hub.awaited.length > 0);
    expect(hub.awaited).toEqual([{ id, name: 'slow', activityId }]);
    hub.deliver({ name: 'done', id: 'r1', responseTo: id, payload: 5, redelivered: true });
    expect(await request).toEqual({ outcome: 'done', payload: 5 });
  });
});

describe('close', () => {
  it('leaves first, lets handlers finish and their replies be accepted, then goes offline', async () => {
    hub.accepting = false;
    const relay = await online();
    let finish = (): void => {};
    const begun = new Promise<void>((begin) => {
      relay.registerHandler('work', async (_, { reply }) => {
        begin();
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        reply('done');
      });
    });
    hub.deliver({ name: 'work', id: 'm1' });
    await begun;
    const log: string[] = [];
    relay.on('offline', () => log.push('offline'));
    const closed = relay.close().then(() => log.push('closed'));
    await hub.until(() => hub.left === 1);
    hub.deliver({ name: 'work', id: 'm2' });
    finish();
    const reply = await hub.message('done');
    expect(log).toEqual([]);
    hub.accept(reply.id);
    await closed;
    expect(log).toEqual(['offline', 'closed']);
    expect(hub.handled.map(({ id }) => id)).toEqual(['m1']);
  });

  it('waits no longer than drainTimeoutMs, and says what was lost', async () => {
    hub.accepting = false;
    const relay = await online({ drainTimeoutMs: 30 });
    const request = relay.request('never');
    await hub.message('never');
    await Promise.all([expect(request).rejects.toMatchObject({ code: 'NYOTA_CLOSED' }), relay.close()]);
    expect(errors.map(({ message }) => message)).toEqual(['closed, and ExoCom has not accepted 1 messages']);
  });

  it('may be called twice, with a callback, and before anything was started', async () => {
    const relay = make();
    await new Promise<void>((resolve) => void relay.close(() => resolve()));
    await relay.close();
    relay.connect();
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_CLOSED']);
  });

  it('destroy fails what waits, at once', async () => {
    const relay = await online();
    const request = relay.request('never');
    const running = new Promise<AbortSignal>((resolve) => {
      relay.registerHandler('work', (_, { signal }) => {
        resolve(signal);
        return new Promise(() => {});
      });
    });
    hub.deliver({ name: 'work', id: 'm1' });
    const signal = await running;
    relay.destroy();
    await expect(request).rejects.toMatchObject({ code: 'NYOTA_CLOSED' });
    expect(signal.aborted).toBe(true);
    await relay.close();
  });
});

describe('a graceful close', () => {
  it('is finished by a reply handler that asks for it, without waiting for itself', async () => {
    const relay = await online({ drainTimeoutMs: 60_000 });
    const closed = new Promise<void>((resolve) => {
      relay.send('hello', async () => {
        await relay.close();
        resolve();
      });
    });
    const { id } = await hub.message('hello');
    hub.deliver({ name: 'hello back', id: 'r1', responseTo: id });
    await closed;
    await hub.until(() => hub.handled.length === 1);
  });

  it('leaves a hub too that was restarted meanwhile', async () => {
    const relay = await online();
    let finish = (): void => {};
    const begun = new Promise<void>((begin) => {
      relay.registerHandler('work', () => {
        begin();
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      });
    });
    hub.deliver({ name: 'work', id: 'm1' });
    await begun;
    const closed = relay.close();
    await hub.until(() => hub.left === 1);
    await restart();
    await hub.until(() => hub.left === 1);
    finish();
    await closed;
  });
});
