/** docs/api.md, "Call options": `with({ timeoutMs, signal, ttlMs, volatile })`. */
import { describe, expect, it } from 'vitest';
import type { NyotaError } from '../../../src/index.js';
import {
  type AnyPeer,
  DIRECTIONS,
  deferred,
  nyotaErrorOf,
  once,
  rejectionOf,
  useKit,
  within,
} from '../../support/api-kit.js';

const kit = useKit();

/** A client that has nobody to talk to. */
const alone = () => kit.client({ port: 1, createConnection: () => undefined });

describe('with', () => {
  it('returns the same peer for everything else: its listeners, store, id and state', async () => {
    const { client, session } = await kit.pair();
    const other = client.with({ timeoutMs: 50 });
    expect(other).toBeInstanceOf(client.constructor);
    expect(other.id).toBe(client.id);
    expect(other.connected).toBe(true);
    expect(other.state).toBe('open');
    expect(other.store).toBe(client.store);
    expect(other.socket).toBe(client.socket);
    other.set('key', 1);
    expect(client.get('key')).toBe(1);
    const heard = deferred<unknown>();
    other.on('tick', (value) => heard.resolve(value));
    session.send('tick', 'heard');
    expect(await within(heard.promise, 'tick')).toBe('heard');
    other.off('tick');
    other.handle('sum', () => 3);
    expect(await session.request('sum')).toBe(3);
    expect(other.stats().sent).toBe(client.stats().sent);
  });

  it('leaves the original peer as it was', async () => {
    const { client, session } = await kit.pair();
    session.handle('slow', () => new Promise((resolve) => setTimeout(resolve, 60, 'late')));
    const hasty = client.with({ timeoutMs: 5 });
    const [quick, patient] = await Promise.all([rejectionOf(hasty.request('slow')), client.request('slow')]);
    expect(quick.code).toBe('NYOTA_TIMEOUT');
    expect(patient).toBe('late');
    client.with({ volatile: true });
    await client.sendWithAck('reliable');
    expect(nyotaErrorOf(() => client.with({ volatile: true }).send('x', () => {})).code).toBe(
      'NYOTA_INVALID_ARGUMENT',
    );
  });

  it('adds up: with(a).with(b) has both, and the later one wins', async () => {
    const { client, session } = await kit.pair();
    session.handle('hang', () => new Promise(() => {}));
    const controller = new AbortController();
    const both = client.with({ timeoutMs: 60_000, signal: controller.signal }).with({ timeoutMs: 20 });
    expect((await rejectionOf(both.request('hang'))).code).toBe('NYOTA_TIMEOUT');
    controller.abort();
    expect((await rejectionOf(both.request('hang'))).code).toBe('NYOTA_ABORTED');
  });

  it('can be disposed of, which closes the one peer', async () => {
    const { client } = await kit.pair();
    await within(client.with({ timeoutMs: 5 }).close(), 'close');
    expect(client.state).toBe('closed');
  });
});

describe('ttlMs', () => {
  it('drops what is still unsent by then: onAck is told, and it never arrives', async () => {
    const { client, session } = await kit.pair();
    const heard: unknown[] = [];
    session.onAny((event) => heard.push(event));
    client.disconnect();
    await once(client, 'disconnect');
    const told = deferred<NyotaError | undefined>();
    client.with({ ttlMs: 20 }).send('stale', (error?: NyotaError) => told.resolve(error));
    client.with({ ttlMs: 60_000 }).send('fresh');
    client.send('plain');
    expect((await within(told.promise, 'onAck'))?.code).toBe('NYOTA_EXPIRED');
    client.connect();
    await client.sendWithAck('last');
    expect(heard).toEqual(['fresh', 'plain', 'last']);
    expect(client.stats().expired).toBe(1);
  });

  it('holds for sendWithAck and request too', async () => {
    const client = alone();
    expect((await rejectionOf(client.with({ ttlMs: 10 }).sendWithAck('stale'))).code).toBe('NYOTA_EXPIRED');
    expect((await rejectionOf(client.with({ ttlMs: 10 }).request('stale'))).code).toBe('NYOTA_EXPIRED');
    expect(client.stats().pendingRequests).toBe(0);
    expect(client.bufferedBytes).toBeLessThan(200);
  });

  it('means nothing any more for what has been sent', async () => {
    const { client, session } = await kit.pair();
    const finish = deferred();
    session.on('slow', () => finish.promise);
    const acked = client.with({ ttlMs: 10 }).sendWithAck('slow');
    await new Promise((resolve) => setTimeout(resolve, 30));
    finish.resolve();
    await within(acked, 'the ack');
  });
});

describe('signal', () => {
  it('takes back what is still unsent', async () => {
    const { client, session } = await kit.pair();
    const heard: unknown[] = [];
    session.onAny((event) => heard.push(event));
    client.disconnect();
    await once(client, 'disconnect');
    const controller = new AbortController();
    const { signal } = controller;
    const told = deferred<NyotaError | undefined>();
    client.with({ signal }).send('taken back', (error?: NyotaError) => told.resolve(error));
    client.with({ signal }).send('taken back too');
    const promised = rejectionOf(client.with({ signal }).sendWithAck('taken back'));
    const asked = rejectionOf(client.with({ signal }).request('taken back'));
    controller.abort();
    expect((await within(told.promise, 'onAck'))?.code).toBe('NYOTA_ABORTED');
    expect((await promised).code).toBe('NYOTA_ABORTED');
    expect((await asked).code).toBe('NYOTA_ABORTED');
    client.connect();
    await client.sendWithAck('last');
    expect(heard).toEqual(['last']);
  });

  it('aborted before makes send throw', async () => {
    const { client } = await kit.pair();
    const error = nyotaErrorOf(() => client.with({ signal: AbortSignal.abort() }).send('tick'));
    expect(error.code).toBe('NYOTA_ABORTED');
  });
});

describe('timeoutMs', () => {
  it('is how long sendWithAck waits', async () => {
    const { client, session } = await kit.pair();
    session.on('hang', () => new Promise(() => {}));
    expect((await rejectionOf(client.with({ timeoutMs: 20 }).sendWithAck('hang'))).code).toBe(
      'NYOTA_TIMEOUT',
    );
  });
});

describe.each(DIRECTIONS)('volatile, from the %s to the %s', (sender, receiver) => {
  it('arrives while connected', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    const heard = once(to, 'position');
    expect(from.with({ volatile: true }).send('position', 1, 2)).toBe(true);
    expect(await heard).toEqual([1, 2]);
  });

  it('is dropped while disconnected, and send says so; what is reliable is not', async () => {
    const pair = await kit.pair();
    const { client, session } = pair;
    const from: AnyPeer = pair[sender];
    const to: AnyPeer = pair[receiver];
    const detached = once(session, 'disconnect');
    client.disconnect();
    await detached;
    if (client.connected) await once(client, 'disconnect');
    const heard: unknown[] = [];
    to.onAny((event) => heard.push(event));
    expect(from.with({ volatile: true }).send('dropped')).toBe(false);
    from.send('kept');
    expect(from.stats().volatileDropped).toBe(1);
    client.connect();
    await from.sendWithAck('last');
    expect(heard).toEqual(['kept', 'last']);
  });

  it('takes no acknowledgement, and a request does not wait for a connection', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    expect(nyotaErrorOf(() => from.with({ volatile: true }).send('x', () => {})).code).toBe(
      'NYOTA_INVALID_ARGUMENT',
    );
    expect((await rejectionOf(from.with({ volatile: true }).sendWithAck('x'))).code).toBe(
      'NYOTA_INVALID_ARGUMENT',
    );
    const away = once(pair.session, 'disconnect');
    pair.client.disconnect();
    await away;
    if (pair.client.connected) await once(pair.client, 'disconnect');
    expect((await rejectionOf(from.with({ volatile: true }).request('x'))).code).toBe('NYOTA_NOT_CONNECTED');
  });

  it('throws what can not travel, like every send', async () => {
    const pair = await kit.pair();
    const from: AnyPeer = pair[sender];
    const send = (value: unknown) => nyotaErrorOf(() => from.with({ volatile: true }).send('x', value)).code;
    expect(send(Symbol('s'))).toBe('NYOTA_UNSERIALIZABLE');
    expect(nyotaErrorOf(() => from.with({ volatile: true }).send('error')).code).toBe('NYOTA_RESERVED_EVENT');
  });
});
