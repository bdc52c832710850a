/** pause() and resume(): the other side is held up by TCP, the connection lives, and nothing is lost. */
import { describe, expect, it } from 'vitest';
import { collect, fakePair, proxyPair, tcpPair } from '../../support/delivery-pair.js';
import { eventually, once, thrownCode, turns, upTo } from '../../support/delivery-wait.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const BEAT = { pingIntervalMs: 1_000, pingTimeoutMs: 400 };

/** The number that a message of `size` bytes begins with. */
function numbered(number: number, size: number): Buffer {
  const message = Buffer.alloc(size, number & 0xff);
  message.writeUInt32BE(number);
  return message;
}

describe('a paused side', () => {
  it("makes the other's send return false, and TCP keeps the bytes in between bounded", async () => {
    const limits = { highWaterBytes: 256 * KIB, maxOutboxBytes: 64 * MIB };
    const { client, session, proxy, errors } = await proxyPair({ server: limits, client: limits });
    const heard: number[] = [];
    session.on('bytes', (message: Buffer) => {
      heard.push(message.readUInt32BE());
    });
    session.pause();
    const sent = 800;
    let refused = 0;
    for (let number = 1; number <= sent; number++) {
      if (!client.send('bytes', numbered(number, 64 * KIB))) refused++;
      if (number % 50 === 0) await turns(5);
    }
    expect(refused).toBeGreaterThan(sent - 10);
    expect(client.bufferedBytes).toBeGreaterThan(50 * MIB - MIB);
    // Long enough for all that will pass to have passed: the client's socket takes nothing more.
    let [before, standsFor] = [-1, 0];
    await eventually(() => {
      standsFor = before === proxy.totals.bytesUp ? standsFor + 1 : 0;
      before = proxy.totals.bytesUp;
      return standsFor > 500 && (client.socket?.writableLength ?? 0) > 0;
    }, "the client's socket is full");
    // What the kernel holds for two sockets, the proxy's queue, and what the session reads ahead.
    expect(proxy.totals.bytesUp).toBeLessThan(24 * MIB);
    expect(session.stats().bytesReceived).toBeLessThan(limits.highWaterBytes + 2 * MIB);
    expect(heard).toEqual([]);
    const drained = once(client, 'drain');
    session.resume();
    await drained;
    await eventually(() => heard.length >= sent, 'all of it');
    expect(heard).toEqual(upTo(sent));
    expect([client.connected, client.stats().reconnects, errors]).toEqual([true, 0, []]);
  });

  it('reads nothing more at all, and what it holds stays below highWaterBytes', async () => {
    const { client, session, clock } = await fakePair({ server: { highWaterBytes: 32 * KIB } });
    const heard = collect(session, 'event');
    session.pause();
    const before = session.stats().bytesReceived;
    for (const number of upTo(200)) client.send('event', number, Buffer.alloc(8 * KIB));
    await clock.advance(1_000);
    expect(session.stats().bytesReceived - before).toBeLessThan(32 * KIB + 64 * KIB);
    session.resume();
    await clock.advance(1_000);
    expect(heard).toEqual(upTo(200));
  });

  it('refuses for good above maxOutboxBytes: NYOTA_OUTBOX_FULL, until it is resumed', async () => {
    const { client, session, clock } = await fakePair({
      client: { maxOutboxBytes: 64 * KIB, highWaterBytes: 16 * KIB },
    });
    const heard = collect(session, 'event');
    session.pause();
    let accepted = 0;
    while (thrownCode(() => client.send('event', accepted + 1, Buffer.alloc(KIB))) === 'returned') accepted++;
    expect(thrownCode(() => client.send('event', accepted + 1, Buffer.alloc(KIB)))).toBe('NYOTA_OUTBOX_FULL');
    expect(accepted).toBeGreaterThan(55);
    expect(client.bufferedBytes).toBeLessThanOrEqual(64 * KIB);
    const drained = once(client, 'drain');
    session.resume();
    await clock.advance(1_000);
    await drained;
    expect(client.send('event', accepted + 1)).toBe(true);
    await clock.advance(1_000);
    expect(heard).toEqual(upTo(accepted + 1));
  });

  for (const who of ['client', 'session', 'both'] as const) {
    it(`is not taken for dead for 300 ping intervals, nor when it resumes (paused: ${who})`, async () => {
      const { client, session, clock, errors } = await fakePair({ server: BEAT, client: BEAT });
      const gone: unknown[] = [];
      client.on('disconnect', (error) => gone.push(error?.code));
      session.on('disconnect', (error) => gone.push(error?.code));
      const [up, down] = [collect(session, 'event'), collect(client, 'event')];
      const paused = [client, session].filter((peer) => who === 'both' || peer === { client, session }[who]);
      for (const peer of paused) peer.pause();
      for (const number of upTo(20)) {
        client.send('event', number);
        session.send('event', number);
        await clock.advance(15 * BEAT.pingIntervalMs);
      }
      expect(gone).toEqual([]);
      if (paused.includes(client)) expect(down).toEqual([]);
      if (paused.includes(session)) expect(up).toEqual([]);
      for (const peer of paused) peer.resume();
      await clock.advance(3 * BEAT.pingIntervalMs);
      expect([up, down]).toEqual([upTo(20), upTo(20)]);
      expect(gone).toEqual([]);
      expect(errors).toEqual([]);
    });
  }

  it('with much to be read is not called stalled, however long it pauses', async () => {
    const { client, session, clock } = await fakePair({ server: BEAT, client: BEAT });
    const gone: unknown[] = [];
    client.on('disconnect', (error) => gone.push(error?.code));
    const heard = collect(session, 'event');
    session.pause();
    for (const number of upTo(80)) client.send('event', number, Buffer.alloc(32 * KIB));
    await clock.advance(300_000);
    session.resume();
    await clock.advance(5_000);
    expect(heard).toEqual(upTo(80));
    expect(gone).toEqual([]);
  });

  it('in the midst of a frame, for longer than a partial frame may take, keeps its connection', async () => {
    const { client, session, network, clock } = await fakePair();
    const gone: unknown[] = [];
    session.on('disconnect', (error) => gone.push(error?.code));
    const heard = collect(session, 'event');
    client.send('event', 1, Buffer.alloc(300 * KIB));
    network.slice(200);
    const before = session.stats().bytesReceived;
    await eventually(() => session.stats().bytesReceived > before + 20_000, 'a part of the frame');
    session.pause();
    await clock.advance(120_000);
    expect([heard, gone]).toEqual([[], []]);
    session.resume();
    await clock.advance(1_000);
    expect([heard, gone]).toEqual([[1], []]);
  });

  it('stays paused through a reconnect, and TCP pushes back on the new connection too', async () => {
    const { client, session, clock, network } = await fakePair({ server: { highWaterBytes: 32 * KIB } });
    const heard = collect(session, 'event');
    session.pause();
    network.cut();
    await clock.advance(1_000);
    expect([client.connected, client.resumed]).toEqual([true, true]);
    const before = session.stats().bytesReceived;
    for (const number of upTo(200)) client.send('event', number, Buffer.alloc(8 * KIB));
    await clock.advance(1_000);
    expect(heard).toEqual([]);
    expect(session.stats().bytesReceived - before).toBeLessThan(32 * KIB + 64 * KIB);
    session.resume();
    await clock.advance(1_000);
    expect(heard).toEqual(upTo(200));
  });

  it('cut while it holds messages back gets each of them once', async () => {
    const { client, session, clock, network } = await fakePair();
    const heard = collect(session, 'event');
    for (const number of upTo(5)) client.send('event', number);
    session.pause();
    await clock.advance(200);
    network.cut();
    for (const number of [6, 7, 8]) client.send('event', number);
    await clock.advance(200);
    network.cut();
    await clock.advance(200);
    expect(heard).toEqual([]);
    session.resume();
    await clock.advance(200);
    expect(heard).toEqual(upTo(8));
    expect(client.bufferedBytes).toBe(0);
  });
});

describe('pause() inside a listener', () => {
  it('stops right there, though more has arrived in the same chunk, and resume() goes on with the next', async () => {
    const heard: number[] = [];
    const { client, session } = await tcpPair();
    session.on('event', (number: number) => {
      heard.push(number);
      if (number % 10 === 0) session.pause();
    });
    for (const number of upTo(100)) client.send('event', number);
    for (const stop of [10, 20, 30]) {
      await eventually(() => heard.length >= stop, `${stop} events`);
      await turns();
      expect(heard).toEqual(upTo(stop));
      session.resume();
    }
    await eventually(() => heard.length >= 40, '40 events');
    session.off('event').on('event', (number: number) => {
      heard.push(number);
    });
    session.resume();
    await client.sendWithAck('event', 101);
    expect(heard).toEqual(upTo(101));
  });

  it('and resume() inside the same listener changes nothing', async () => {
    const { client, session } = await tcpPair();
    const heard: number[] = [];
    session.on('event', (number: number) => {
      session.pause();
      heard.push(number);
      session.resume();
    });
    for (const number of upTo(50)) client.send('event', number);
    await client.sendWithAck('event', 51);
    expect(heard).toEqual(upTo(51));
  });

  it('holds back requests, replies and store writes too, in their place among the events', async () => {
    const { client, session, clock } = await fakePair();
    const log: string[] = [];
    session.on('event', (text: string) => {
      log.push(`${text}: ${session.get('key')}`);
      if (text === 'stop') session.pause();
    });
    session.handle('ask', () => {
      log.push(`asked: ${session.get('key')}`);
      return 'reply';
    });
    client.set('key', 1);
    client.send('event', 'stop');
    client.set('key', 2);
    const reply = client.request('ask');
    client.set('key', 3);
    client.send('event', 'last');
    await clock.advance(5_000);
    expect(log).toEqual(['stop: 1']);
    session.resume();
    await clock.advance(100);
    expect(log).toEqual(['stop: 1', 'asked: 2', 'last: 3']);
    expect(await reply).toBe('reply');
  });
});

describe('both sides paused at once', () => {
  it('lose nothing: everything comes once both have resumed, in either order', async () => {
    const limits = { highWaterBytes: 64 * KIB, maxOutboxBytes: 64 * MIB };
    const { client, session, errors } = await tcpPair({ server: limits, client: limits });
    const [up, down] = [collect(session, 'event'), collect(client, 'event')];
    session.handle('ask', () => 'from the server');
    client.handle('ask', () => 'from the client');
    client.pause();
    session.pause();
    for (const number of upTo(300)) {
      client.send('event', number, Buffer.alloc(16 * KIB));
      session.send('event', number, Buffer.alloc(16 * KIB));
      if (number % 20 === 0) await turns(3);
    }
    const replies = Promise.all([client.request('ask'), session.request('ask')]);
    expect([up, down]).toEqual([[], []]);
    session.resume();
    await eventually(() => up.length === 300, "the client's events");
    expect(down).toEqual([]);
    client.resume();
    expect(await replies).toEqual(['from the server', 'from the client']);
    expect([up, down]).toEqual([upTo(300), upTo(300)]);
    expect([client.stats().reconnects, errors]).toEqual([0, []]);
  });
});
