/** MockExoCom: one service, tested alone. */
import { afterEach, describe, expect, it } from 'vitest';
import { ExoRelay } from '../../../src/exorelay/index.js';
import { MockExoCom } from '../../../src/testing/index.js';
import { once } from '../../support/delivery-wait.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function mock(options?: ConstructorParameters<typeof MockExoCom>[0]): Promise<MockExoCom> {
  const exocom = new MockExoCom(options);
  open.push(exocom);
  return await exocom.listen();
}

function relay(exocom: MockExoCom, serviceName: string): ExoRelay {
  const made = new ExoRelay({ exocomHost: '127.0.0.1', exocomPort: exocom.port as number, serviceName });
  open.push({ close: () => made.destroy() });
  return made;
}

describe('MockExoCom', () => {
  it('`send` to a service that is registered, and see what it sends back', async () => {
    const exocom = await mock();
    const users = relay(exocom, 'users');
    users.registerHandler(
      'users create',
      (user, { reply }) => void reply('users created', { id: 456, ...user }),
    );
    users.connect();
    await exocom.registerService({ name: 'users' });
    const { id, activityId, handled } = exocom.send({
      service: 'users',
      name: 'users create',
      payload: { name: 'Will Riker' },
    });
    const [received] = await exocom.waitUntilReceived();
    expect(received).toMatchObject({
      name: 'users created',
      payload: { id: 456, name: 'Will Riker' },
      ...{ sender: 'users', responseTo: id, activityId },
    });
    expect(await handled).toEqual({});
  });

  it('`receivedMessages`, `waitUntilReceived` and `reset`', async () => {
    const exocom = await mock();
    const web = relay(exocom, 'web');
    web.connect();
    await once(web, 'online');
    expect(exocom.receivedMessages).toEqual([]);
    web.send('one');
    web.send('two', 2);
    expect(await exocom.waitUntilReceived(2)).toMatchObject([{ name: 'one' }, { name: 'two', payload: 2 }]);
    expect('payload' in (exocom.receivedMessages[0] ?? {})).toBe(false);
    exocom.reset();
    expect(exocom.receivedMessages).toEqual([]);
    const waiting = exocom.waitUntilReceived('four');
    web.send('three');
    web.send('four');
    expect((await waiting).map(({ name }) => name)).toEqual(['three', 'four']);
  });

  it('answers what a service asks', async () => {
    const exocom = await mock();
    const web = relay(exocom, 'web');
    web.connect();
    const request = web.request('todos list');
    const [asked] = await exocom.waitUntilReceived('todos list');
    exocom.send({ service: 'web', name: 'todos listed', payload: ['milk'], responseTo: asked?.id as string });
    expect(await request).toMatchObject({ outcome: 'todos listed', payload: ['milk'] });
  });

  it('tells what a handler threw', async () => {
    const exocom = await mock();
    const users = relay(exocom, 'users');
    users.on('error', () => undefined);
    users.registerHandler('bad', () => {
      throw new Error('no room');
    });
    users.connect();
    await exocom.registerService({ name: 'users' });
    expect(await exocom.send({ service: 'users', name: 'bad' }).handled).toEqual({ error: 'no room' });
  });

  it('says what never came, and who is not there', async () => {
    const exocom = await mock({ timeoutMs: 20 });
    await expect(exocom.registerService({ name: 'users' })).rejects.toThrow(
      "no relay with the role 'users' has registered within 20 ms",
    );
    await expect(exocom.waitUntilReceived('zonk')).rejects.toMatchObject({
      code: 'NYOTA_TIMEOUT',
      message: "the message 'zonk' did not come within 20 ms",
    });
    expect(() => exocom.send({ service: 'users', name: 'hello' })).toThrow("unknown service: 'users'");
  });

  it('`close` ends it, and what waits', async () => {
    const exocom = await mock();
    const waiting = expect(exocom.waitUntilReceived()).rejects.toMatchObject({ code: 'NYOTA_CLOSED' });
    await exocom.close();
    await waiting;
    expect(exocom.port).toBe(undefined);
  });
});
