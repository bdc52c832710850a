/** docs/api.md, "Peer": listeners, `send`, acknowledgements, and back-pressure. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/index.js';
import {
  type AnyPeer,
  cut,
  DIRECTIONS,
  deferred,
  nyotaErrorOf,
  once,
  type Pair,
  rejectionOf,
  thrownBy,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

describe.each(DIRECTIONS)('what the %s sends to the %s', (sender, receiver) => {
  async function two(): Promise<Pair & { from: AnyPeer; to: AnyPeer }> {
    const pair = await kit.pair();
    return { from: pair[sender], to: pair[receiver], ...pair };
  }

  it('arrives with all of its arguments, in the order sent', async () => {
    const { from, to } = await two();
    const heard: unknown[][] = [];
    to.on('a', (...args) => heard.push(['a', ...args]));
    to.on('b', (...args) => heard.push(['b', ...args]));
    from.send('a', 1, 'two', { three: 3 });
    from.send('b');
    from.send('a');
    await from.sendWithAck('b', null);
    expect(heard).toEqual([['a', 1, 'two', { three: 3 }], ['b'], ['a'], ['b', null]]);
  });

  it('calls every listener, with the receiving peer as this', async () => {
    const { from, to } = await two();
    const selves: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      to.on('who', function (this: unknown) {
        selves.push(this);
      });
    }
    to.once('who', function (this: unknown) {
      selves.push(this);
    });
    to.onAny(function (this: unknown) {
      selves.push(this);
    });
    await from.sendWithAck('who');
    expect(selves).toHaveLength(4);
    for (const self of selves) expect(self).toBe(to);
  });

  it('reaches a once listener once, also where the connection is cut in between', async () => {
    const { from, to, session, client } = await two();
    let calls = 0;
    to.once('tick', () => calls++);
    await from.sendWithAck('tick');
    await cut(session, client);
    await from.sendWithAck('tick');
    expect(calls).toBe(1);
  });

  it('does not reach a listener that was taken off', async () => {
    const { from, to } = await two();
    const heard: string[] = [];
    const first = () => heard.push('first');
    const second = () => heard.push('second');
    to.on('tick', first).on('tick', second).once('tick', first);
    to.off('tick', first).off('tick', first);
    await from.sendWithAck('tick');
    expect(heard).toEqual(['second']);
    to.off('tick');
    await from.sendWithAck('tick');
    expect(heard).toEqual(['second']);
  });

  it('is heard whole by onAny, with its name first, until offAny', async () => {
    const { from, to } = await two();
    const heard: unknown[][] = [];
    const listener = (...all: unknown[]) => heard.push(all);
    to.onAny(listener);
    await from.sendWithAck('a', 1);
    await from.sendWithAck('b', 2, 3);
    to.offAny(listener);
    await from.sendWithAck('c');
    expect(heard).toEqual([
      ['a', 1],
      ['b', 2, 3],
    ]);
    to.onAny(listener).onAny(listener).offAny();
    await from.sendWithAck('d');
    expect(heard).toHaveLength(2);
  });

  it('may have any name: with blanks, as an object has it, or empty of letters', async () => {
    const { from, to } = await two();
    const names = [
      'two words',
      '__proto__',
      'constructor',
      'hasOwnProperty',
      'toString',
      '~',
      ' ',
      '🖖',
      '0',
    ];
    const heard: string[] = [];
    for (const name of names) to.on(name, () => heard.push(name));
    for (const name of names) await from.sendWithAck(name);
    expect(heard).toEqual(names);
  });

  it('runs the other listeners where one throws, and reports that as an error event', async () => {
    const { from, to } = await two();
    const heard: string[] = [];
    const reported = once<[NyotaError]>(to, 'error');
    to.on('tick', () => {
      throw new Error('first failed');
    });
    to.on('tick', async () => {
      await null;
      throw new Error('second failed');
    });
    to.on('tick', () => heard.push('third'));
    await from.sendWithAck('tick');
    const [error] = await reported;
    expect(error.code).toBe('NYOTA_LISTENER_FAILED');
    expect((error.cause as Error).message).toBe('first failed');
    expect(error.message).toContain('tick');
    expect(heard).toEqual(['third']);
    expect(kit.errors.map((other) => ((other as NyotaError).cause as Error).message)).toEqual([
      'first failed',
      'second failed',
    ]);
    await from.sendWithAck('tick');
    expect(heard).toEqual(['third', 'third']);
  });

  it('is acknowledged once the listeners have run and settled, not when it arrived', async () => {
    const { from, to } = await two();
    const running = deferred();
    const finish = deferred();
    const order: string[] = [];
    to.on('slow', async () => {
      running.resolve();
      await finish.promise;
      order.push('settled');
    });
    const acked = deferred<unknown[]>();
    from.send('slow', (...args: unknown[]) => {
      order.push('acked');
      acked.resolve(args);
    });
    await within(running.promise, 'the listener');
    // A later event is handled while the first one runs: what is acknowledged is the whole up to it.
    const later = deferred();
    to.on('later', () => later.resolve());
    from.send('later');
    await within(later.promise, 'the later event');
    expect(order).toEqual([]);
    finish.resolve();
    const args = await within(acked.promise, 'the ack');
    expect(order).toEqual(['settled', 'acked']);
    expect(args[0]).toBeUndefined();
  });

  it('is acknowledged where nobody listens, and where the listener throws', async () => {
    const { from, to } = await two();
    await from.sendWithAck('nobody');
    to.on('bad', () => {
      throw new Error('bad');
    });
    await from.sendWithAck('bad');
  });

  it('is acknowledged exactly once, through a cut too', async () => {
    const { from, to, session, client } = await two();
    const finish = deferred();
    const running = deferred();
    let runs = 0;
    to.on('slow', () => {
      runs++;
      running.resolve();
      return finish.promise;
    });
    let acks = 0;
    const acked = deferred();
    from.send('slow', () => {
      acks++;
      acked.resolve();
    });
    await within(running.promise, 'the listener');
    await cut(session, client);
    finish.resolve();
    await within(acked.promise, 'the ack');
    await from.sendWithAck('another');
    expect({ runs, acks }).toEqual({ runs: 1, acks: 1 });
  });

  it('tells onAck an error where the session ends before', async () => {
    const { from, to, server, client } = await two();
    const running = deferred();
    to.on('hang', () => {
      running.resolve();
      return new Promise(() => {});
    });
    const acked = deferred<NyotaError | undefined>();
    from.send('hang', (error?: NyotaError) => acked.resolve(error));
    const promised = rejectionOf(from.sendWithAck('hang'));
    await within(running.promise, 'the listener');
    client.destroy();
    server.destroy();
    expect((await within(acked.promise, 'onAck'))?.code).toMatch(/^NYOTA_(CLOSED|SESSION_LOST)$/);
    expect((await promised).code).toMatch(/^NYOTA_(CLOSED|SESSION_LOST)$/);
  });

  it('keeps the session alive where onAck throws, and reports it', async () => {
    const { from } = await two();
    const reported = once<[NyotaError]>(from, 'error');
    from.send('tick', () => {
      throw new Error('in onAck');
    });
    const [error] = await reported;
    expect((error.cause as Error).message).toBe('in onAck');
    await from.sendWithAck('tick');
  });

  it('counts as settled after settleTimeoutMs, and the stuck listener is reported', async () => {
    const limits = { settleTimeoutMs: 30 };
    const pair = await kit.pair({ server: limits, client: limits });
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    to.on('stuck', () => new Promise(() => {}));
    const reported = once<[NyotaError]>(to, 'error');
    await within(from.sendWithAck('stuck'), 'the ack');
    const [error] = await reported;
    expect(error.code).toBe('NYOTA_SETTLE_TIMEOUT');
    expect(error.message).toContain('stuck');
  });
});

describe('send', () => {
  it('returns true, and queues while there is no connection', async () => {
    const { client, session, port } = await kit.pair();
    expect(client.send('tick')).toBe(true);
    expect(session.send('tick')).toBe(true);
    client.disconnect();
    await once(client, 'disconnect');
    const heard: unknown[] = [];
    session.on('offline', (n) => heard.push(n));
    for (let n = 0; n < 3; n++) expect(client.send('offline', n)).toBe(true);
    client.connect();
    await client.sendWithAck('last');
    expect(heard).toEqual([0, 1, 2]);
    expect(port).toBeGreaterThan(0);
  });

  it('returns false above highWaterBytes, still delivers, and drain tells when to go on', async () => {
    const { client, session } = await kit.pair({ client: { highWaterBytes: 1000 } });
    let bytes = 0;
    session.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    const drained = once(client, 'drain');
    expect(client.send('data', Buffer.alloc(100))).toBe(true);
    expect(client.send('data', Buffer.alloc(2000))).toBe(false);
    expect(client.bufferedBytes).toBeGreaterThan(2000);
    await drained;
    expect(client.bufferedBytes).toBeLessThanOrEqual(1000);
    await client.sendWithAck('data', Buffer.alloc(1));
    expect(bytes).toBe(2101);
  });

  it.each(['client', 'session'] as const)(
    'drain comes for a %s that is above highWaterBytes by store writes or requests alone',
    async (side) => {
      const pair = await kit.pair({ client: { highWaterBytes: 1000 }, server: { highWaterBytes: 1000 } });
      const peer: AnyPeer = pair[side];
      for (const fill of [
        () => peer.set('key', Buffer.alloc(2000)),
        () => void peer.request('nobody', Buffer.alloc(2000)).catch(() => {}),
      ]) {
        const drained = once(peer, 'drain');
        fill();
        expect(peer.bufferedBytes).toBeGreaterThan(2000);
        await drained;
        expect(peer.bufferedBytes).toBeLessThanOrEqual(500);
      }
    },
  );

  it.each([
    ['undefined', undefined],
    ['a number', 5],
    ['an empty string', ''],
    ['a symbol', Symbol('event')],
  ])('throws NYOTA_INVALID_ARGUMENT for a name that is %s', async (_, name) => {
    const { client, session } = await kit.pair();
    for (const peer of [client, session] as AnyPeer[]) {
      expect(nyotaErrorOf(() => peer.send(name as string)).code).toBe('NYOTA_INVALID_ARGUMENT');
      expect((await rejectionOf(peer.sendWithAck(name as string))).code).toBe('NYOTA_INVALID_ARGUMENT');
    }
  });

  it('takes a function as onAck in the last place only', async () => {
    const { client } = await kit.pair();
    const error = nyotaErrorOf(() => client.send('tick', () => {}, 'after'));
    expect(error.code).toBe('NYOTA_UNSERIALIZABLE');
    expect(error.message).toContain('args[0]');
  });

  it('throws NYOTA_CLOSED after close and after destroy, on both sides', async () => {
    const { client, session } = await kit.pair();
    const over = once(session, 'close');
    await client.close();
    await over;
    for (const peer of [client, session] as AnyPeer[]) {
      expect(nyotaErrorOf(() => peer.send('late')).code).toBe('NYOTA_CLOSED');
      expect((await rejectionOf(peer.sendWithAck('late'))).code).toBe('NYOTA_CLOSED');
      expect((await rejectionOf(peer.request('late'))).code).toBe('NYOTA_CLOSED');
    }
  });
});

describe('a listener', () => {
  it('that is no function is refused at once', async () => {
    const { client, session } = await kit.pair();
    for (const peer of [client, session] as AnyPeer[]) {
      for (const add of [
        () => peer.on('tick', undefined as never),
        () => peer.once('tick', 'listener' as never),
        () => peer.onAny({} as never),
        () => peer.handle('tick', null as never),
      ]) {
        expect(thrownBy(add)).toMatchObject({ code: 'NYOTA_INVALID_ARGUMENT' });
      }
    }
  });
});
