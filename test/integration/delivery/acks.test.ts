/** An acknowledgement means handled: the other side's listeners have run and settled. */
import { describe, expect, it } from 'vitest';
import { fakePair, proxyPair, tcpPair } from '../../support/delivery-pair.js';
import { codeOf, deferred, eventually, seededRandom, turns, upTo } from '../../support/delivery-wait.js';

describe('onAck', () => {
  it('waits for the promise of an async listener, however long the message has been there', async () => {
    const { client, session, clock } = await fakePair();
    const work = deferred();
    const log: string[] = [];
    session.on('event', async () => {
      log.push('started');
      await work.promise;
      log.push('settled');
    });
    client.send('event', () => log.push('acked'));
    await clock.advance(5_000);
    expect(log).toEqual(['started']);
    work.resolve();
    await clock.advance(100);
    expect(log).toEqual(['started', 'settled', 'acked']);
  });

  it('waits for the slowest of several listeners, and of onAny', async () => {
    const { client, session, clock } = await fakePair();
    const [one, any] = [deferred(), deferred()];
    session.on('event', () => one.promise);
    session.on('event', () => undefined);
    session.onAny(() => any.promise);
    let acked = false;
    client.send('event', () => {
      acked = true;
    });
    await clock.advance(1_000);
    one.resolve();
    await clock.advance(1_000);
    expect(acked).toBe(false);
    any.resolve();
    await clock.advance(1_000);
    expect(acked).toBe(true);
  });

  it('of a message never comes before that of one sent earlier, though its listener is done', async () => {
    const { client, session, clock } = await fakePair();
    const slow = deferred();
    const log: string[] = [];
    session.on('slow', () => slow.promise);
    session.on('fast', () => {
      log.push('fast handled');
    });
    client.send('slow', () => log.push('slow acked'));
    client.send('fast', () => log.push('fast acked'));
    await clock.advance(5_000);
    expect(log).toEqual(['fast handled']);
    slow.resolve();
    await clock.advance(100);
    expect(log).toEqual(['fast handled', 'slow acked', 'fast acked']);
  });

  it('comes without an error after a listener that throws or rejects, which is reported as an error there', async () => {
    const { client, session, errors } = await tcpPair();
    const heard: string[] = [];
    session.on('throws', () => {
      throw new Error('thrown');
    });
    session.on('rejects', async () => {
      throw new Error('rejected');
    });
    for (const event of ['throws', 'rejects']) {
      session.on(event, () => {
        heard.push(event);
      });
    }
    expect(await codeOf(client.sendWithAck('throws'))).toBe('resolved');
    expect(await codeOf(client.sendWithAck('rejects'))).toBe('resolved');
    expect(heard).toEqual(['throws', 'rejects']);
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_LISTENER_FAILED', 'NYOTA_LISTENER_FAILED']);
    expect(errors.map(({ cause }) => (cause as Error).message)).toEqual(['thrown', 'rejected']);
    expect(client.connected).toBe(true);
  });

  it('comes for a message nobody listens to, which is told as unhandled there', async () => {
    const { client, session } = await tcpPair();
    const unhandled: unknown[] = [];
    session.on('unhandled', (event, args) => unhandled.push([event, args]));
    await client.sendWithAck('nobody', 1, 'two');
    expect(unhandled).toEqual([['nobody', [1, 'two']]]);
  });

  it('fires after settleTimeoutMs where a listener never settles; that is reported, and the session goes on', async () => {
    const { client, session, clock, errors } = await fakePair({ server: { settleTimeoutMs: 2_000 } });
    const stuck = deferred();
    const acked: number[] = [];
    session.on('stuck', () => stuck.promise);
    client.send('stuck', () => acked.push(1));
    client.send('other', () => acked.push(2));
    await clock.advance(1_900);
    expect([acked, errors]).toEqual([[], []]);
    await clock.advance(200);
    expect(acked).toEqual([1, 2]);
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_SETTLE_TIMEOUT']);
    // Settling after all is no news.
    stuck.resolve();
    client.send('other', () => acked.push(3));
    await clock.advance(200);
    expect(acked).toEqual([1, 2, 3]);
  });

  it('that throws is reported as an error of its own side, and the connection lives', async () => {
    const { client, errors } = await tcpPair();
    client.send('event', () => {
      throw new Error('in the callback');
    });
    await client.sendWithAck('event');
    expect(errors.map(({ code }) => code)).toEqual(['NYOTA_LISTENER_FAILED']);
    expect(client.connected).toBe(true);
  });

  it('waits for a request handler in between: acks are in order with requests too', async () => {
    const { client, session, clock } = await fakePair();
    const work = deferred<string>();
    session.handle('ask', () => work.promise);
    const log: string[] = [];
    const reply = client.request('ask').then((value) => log.push(String(value)));
    client.send('event', () => log.push('acked'));
    await clock.advance(1_000);
    expect(log).toEqual([]);
    work.resolve('replied');
    await clock.advance(1_000);
    await reply;
    expect(log.sort()).toEqual(['acked', 'replied']);
  });
});

describe('through cuts', () => {
  it('an onAck fires exactly once, in order, and only after its listener has settled', async () => {
    const seed = 77;
    const random = seededRandom(seed);
    const { client, session, proxy, errors } = await proxyPair({ random });
    const settled: number[] = [];
    const acked: number[] = [];
    const early: number[] = [];
    const handled: number[] = [];
    session.on('event', async (number: number) => {
      handled.push(number);
      await turns(Math.floor(random() * 4));
      settled.push(number);
    });
    proxy.on('cut', () => {
      if (proxy.totals.cuts < 40) proxy.cutAfter({ bytes: 20 + Math.floor(random() * 1_500) });
    });
    proxy.cutAfter({ bytes: 100 });
    const total = 2_000;
    for (const number of upTo(total)) {
      client.send('event', number, () => {
        acked.push(number);
        if (!settled.includes(number)) early.push(number);
      });
      if (number % 50 === 0) await turns(2);
    }
    await eventually(
      () => acked.length >= total && proxy.totals.cuts >= 40,
      () => `${acked.length} acks`,
    );
    await client.sendWithAck('last');
    expect(acked).toEqual(upTo(total));
    expect(handled).toEqual(upTo(total));
    expect([early, errors]).toEqual([[], []]);
    expect(client.stats().reconnects).toBeGreaterThan(10);
  });

  it('a listener that ran before the cut is not run again, and its ack comes over the next connection', async () => {
    const { client, session, clock, network } = await fakePair();
    const work = deferred();
    let runs = 0;
    const log: string[] = [];
    session.on('event', () => {
      runs++;
      return work.promise;
    });
    client.send('event', () => log.push('acked'));
    await clock.advance(500);
    network.cut();
    await clock.advance(500);
    network.cut();
    work.resolve();
    expect(log).toEqual([]);
    await clock.advance(500);
    expect([runs, log]).toEqual([1, ['acked']]);
    expect(client.bufferedBytes).toBe(0);
  });
});

describe('sendWithAck', () => {
  it('resolves at the acknowledgement, over a reconnect too', async () => {
    const { client, session, proxy } = await proxyPair();
    const heard: number[] = [];
    session.on('event', (number: number) => {
      heard.push(number);
    });
    const first = client.sendWithAck('event', 1);
    proxy.cut();
    await first;
    await session.sendWithAck('event', 1);
    expect(heard).toEqual([1]);
  });

  it('rejects with NYOTA_TIMEOUT where the acknowledgement takes longer than timeoutMs; the message is handled all the same', async () => {
    const { client, session, clock } = await fakePair();
    const work = deferred();
    let settled = false;
    session.on('event', async () => {
      await work.promise;
      settled = true;
    });
    const code = codeOf(client.with({ timeoutMs: 300 }).sendWithAck('event'));
    await clock.advance(299);
    await clock.advance(2);
    expect(await code).toBe('NYOTA_TIMEOUT');
    work.resolve();
    await clock.advance(100);
    expect([settled, client.bufferedBytes]).toEqual([true, 0]);
  });

  it('rejects with NYOTA_CLOSED where the client is closed before', async () => {
    const { client, session } = await tcpPair();
    session.pause();
    const code = codeOf(client.sendWithAck('event'));
    client.destroy();
    expect(await code).toBe('NYOTA_CLOSED');
  });
});
