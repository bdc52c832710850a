/** How ExoCom routes: roles, names, instances, activities, replies. With the relays that services use. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Routes } from '../../../src/exocom/index.js';
import { eventually } from '../../support/delivery-wait.js';
import { ExoComKit, warned } from '../../support/exocom-kit.js';

const kit = new ExoComKit();
afterEach(() => kit.close());

const USERS: Routes = {
  web: { receives: ['users created'], sends: ['users create', 'users list'] },
  users: {
    receives: ['mongo create'],
    sends: ['mongo created'],
    translations: [
      { public: 'users create', internal: 'mongo create' },
      { public: 'users created', internal: 'mongo created' },
    ],
  },
};

describe('with routes', () => {
  const tokens = { web: 'w', users: 'u', audit: 'a' };
  const withRoutes = (routes: Routes) =>
    kit.hub({
      routes,
      tokens: Object.fromEntries(Object.entries(tokens).filter(([role]) => Object.hasOwn(routes, role))),
    });

  it('`receives` and `sends` hold a service’s own (internal) names; others see the public ones', async () => {
    const { hub, said } = await withRoutes(USERS);
    const users = kit.relay(hub, 'users', { token: 'u' });
    const received: unknown[] = [];
    users.registerHandler('mongo create', (payload, { reply, sender }) => {
      received.push(payload, sender);
      reply('mongo created', { id: 456 });
    });
    const web = kit.relay(hub, 'web', { token: 'w' });
    await Promise.all([users.up(), web.up()]);
    const reply = await web.request('users create', { name: 'Will Riker' });
    expect(reply).toMatchObject({ outcome: 'users created', payload: { id: 456 } });
    expect(received).toEqual([{ name: 'Will Riker' }, 'web']);
    expect(said.lines).toEqual([
      'web  --[ users create ]-[ mongo create ]->  users',
      'users  --[ mongo created ]-[ users created ]->  web',
    ]);
    expect(said.warnings).toEqual([]);
  });

  it('A message goes to one instance of every role that receives it', async () => {
    const { hub } = await withRoutes({
      web: { sends: ['users create'] },
      users: { receives: ['users create'] },
      audit: { receives: ['users create'] },
    });
    const got: string[] = [];
    const relays = [];
    for (const [role, token] of [
      ['users', 'u'],
      ['users', 'u'],
      ['audit', 'a'],
      ['audit', 'a'],
    ] as const) {
      const relay = kit.relay(hub, role, { token });
      relay.registerHandler('users create', (n) => void got.push(`${role} ${n}`));
      relays.push(relay.up());
    }
    const web = kit.relay(hub, 'web', { token: 'w' });
    await Promise.all([...relays, web.up()]);
    for (let n = 0; n < 10; n++) web.send('users create', n);
    await eventually(() => got.length >= 20, 'all are delivered');
    const expected = Array.from({ length: 10 }, (_, n) => [`users ${n}`, `audit ${n}`]).flat();
    expect(got.sort()).toEqual(expected.sort());
  });

  it('gives a reply to who asked, and to one instance of every other role that receives it', async () => {
    const { hub } = await withRoutes({
      web: { sends: ['users create'], receives: ['users created'] },
      users: { receives: ['users create'], sends: ['users created'] },
      audit: { receives: ['users created'] },
    });
    const heard: string[] = [];
    const users = kit.relay(hub, 'users', { token: 'u' });
    users.registerHandler('users create', (_payload, { reply }) => void reply('users created'));
    const audit = kit.relay(hub, 'audit', { token: 'a' });
    audit.registerHandler('users created', (_payload, { sender }) => void heard.push(`audit from ${sender}`));
    const other = kit.relay(hub, 'web', { token: 'w' });
    other.registerHandler('users created', () => void heard.push('the other web'));
    const web = kit.relay(hub, 'web', { token: 'w' });
    await Promise.all([users.up(), audit.up(), other.up(), web.up()]);
    expect((await web.request('users create')).outcome).toBe('users created');
    await eventually(() => heard.length > 0, 'the audit hears it');
    expect(heard).toEqual(['audit from users']);
  });

  it("Sending what one may not: refused, not delivered; warning \"Service 'web' is not allowed to broadcast the message 'users get-SSN'\"", async () => {
    const { hub, said } = await withRoutes({
      web: { sends: ['users list'] },
      users: { receives: ['users list', 'users get-SSN'] },
    });
    const got: string[] = [];
    const users = kit.relay(hub, 'users', { token: 'u' });
    users.registerHandlers({
      'users get-SSN': () => void got.push('users get-SSN'),
      'users list': () => void got.push('users list'),
    });
    const web = kit.relay(hub, 'web', { token: 'w' });
    await Promise.all([users.up(), web.up()]);
    const { id } = web.send('users get-SSN');
    web.send('users list');
    await eventually(() => got.length > 0, 'the allowed message arrives');
    expect(got).toEqual(['users list']);
    const message = "Service 'web' is not allowed to broadcast the message 'users get-SSN'";
    expect(said.warnings).toEqual([{ message, code: 'EXO_NOT_ALLOWED', role: 'web' }]);
    await eventually(() => web.rejections.length > 0, 'the sender hears of it');
    expect(web.rejections).toEqual([{ id, name: 'users get-SSN', reason: message, code: 'EXO_NOT_ALLOWED' }]);
    expect(web.errors).toEqual([]);
    expect(hub.stats().roles.web?.refused).toEqual({ EXO_NOT_ALLOWED: 1 });
  });

  it('No receiver in the routes: at once the warning "No receivers for message \'users list\' registered"', async () => {
    const { hub, said } = await withRoutes(USERS);
    const web = await kit.relay(hub, 'web', { token: 'w' }).up();
    await expect(web.request('users list')).rejects.toThrow();
    expect(said.warnings).toEqual([
      { message: "No receivers for message 'users list' registered", code: 'EXO_NO_RECEIVERS', role: 'web' },
    ]);
  });

  it('refuses a reply to a message that a service never got, and passes on the others', async () => {
    const { hub, said } = await withRoutes({
      web: { sends: ['users create'], receives: ['users created'] },
      users: { receives: ['users create'], sends: ['users created'] },
      audit: { sends: ['users created'] },
    });
    const users = kit.relay(hub, 'users', { token: 'u' });
    let answer = (): unknown => undefined;
    users.registerHandler('users create', (_payload, { reply }) => {
      answer = () => reply('users created', 'the right one');
    });
    const web = kit.relay(hub, 'web', { token: 'w' });
    await Promise.all([users.up(), web.up()]);
    const audit = kit.stub(hub, 'audit', { token: 'a' });
    await eventually(() => audit.registered === 1, 'the audit is registered');
    // The id is no secret: whoever gets the message knows it.
    const ids: string[] = [];
    hub.on('message', ({ id }) => ids.push(id));
    const request = web.request('users create');
    await eventually(() => ids.length === 1 && hub.stats().running === 0, 'users has it');
    for (const responseTo of [ids[0] ?? '', 'made up']) {
      const forged = audit.send('users created', { responseTo, payload: 'forged' });
      await audit.settled(forged);
      expect(audit.rejected.at(-1)).toMatchObject({ id: forged, code: 'EXO_UNKNOWN_REPLY' });
    }
    await warned(said, 'EXO_UNKNOWN_REPLY');
    answer();
    expect((await request).payload).toBe('the right one');
  });
});

describe('activities and instances', () => {
  it('All of one activity goes to the same instance while that lives, then to another', async () => {
    const { hub } = await kit.hub();
    const got: [instance: number, activity: string][] = [];
    const instances = await Promise.all(
      [0, 1].map((n) => {
        const relay = kit.relay(hub, 'todos');
        relay.registerHandler('todos add', (_payload, { activityId }) => void got.push([n, activityId]));
        return relay.up();
      }),
    );
    const web = await kit.relay(hub, 'web').up();
    const send = async (activityId: string): Promise<number> => {
      const before = got.length;
      web.send('todos add', undefined, { activityId });
      await eventually(() => got.length > before, 'it is delivered');
      return got[before]?.[0] ?? -1;
    };
    const first = await send('a');
    for (let i = 0; i < 6; i++) expect(await send('a')).toBe(first);
    instances[first]?.destroy();
    await eventually(
      () => hub.config().clients.todos?.instances.length === 1,
      'the instance is deregistered',
    );
    expect(await send('a')).toBe(1 - first);
    expect(await send('a')).toBe(1 - first);
  });

  it('shares activities among the instances of a role', async () => {
    const { hub } = await kit.hub();
    const counts = [0, 0];
    await Promise.all(
      [0, 1].map((n) => {
        const relay = kit.relay(hub, 'todos');
        relay.registerHandler('todos add', async () => {
          counts[n] = (counts[n] ?? 0) + 1;
          await new Promise(() => undefined);
        });
        return relay.up();
      }),
    );
    const web = await kit.relay(hub, 'web').up();
    for (let i = 0; i < 20; i++) web.send('todos add');
    await eventually(() => (counts[0] ?? 0) + (counts[1] ?? 0) === 20, 'all are delivered');
    expect(counts).toEqual([10, 10]);
  });

  it('Who sent a request gets the reply: the same instance, over its activity id', async () => {
    const { hub } = await kit.hub();
    const users = kit.relay(hub, 'users');
    const activities: string[] = [];
    users.registerHandler('users get', (n, { reply, activityId }) => {
      activities.push(activityId);
      reply('users got', n);
    });
    const webs = await Promise.all([0, 1, 2].map(() => kit.relay(hub, 'web').up()));
    await users.up();
    const replies = await Promise.all(
      webs.flatMap((web, n) => [0, 1, 2].map((i) => web.request('users get', `${n}.${i}`))),
    );
    expect(replies.map(({ payload }) => payload)).toEqual(
      webs.flatMap((_web, n) => [0, 1, 2].map((i) => `${n}.${i}`)),
    );
    expect(new Set(activities).size).toBe(9);
  });

  it('passes on as many replies as there are, in order, each with its responseTime', async () => {
    const { hub } = await kit.hub();
    const files = kit.relay(hub, 'files');
    files.registerHandler('file.copy', (_payload, { reply }) => {
      for (const percent of [10, 50, 90]) reply('file.copying', { percent });
      reply('file.copied');
    });
    const web = kit.relay(hub, 'web');
    await Promise.all([files.up(), web.up()]);
    const outcomes: unknown[] = [];
    const times: unknown[] = [];
    web.send('file.copy', {}, (payload: unknown, { outcome, responseTime }) => {
      outcomes.push([outcome, payload]);
      times.push(responseTime);
    });
    await eventually(() => outcomes.length === 4, 'all replies');
    expect(outcomes).toEqual([
      ['file.copying', { percent: 10 }],
      ['file.copying', { percent: 50 }],
      ['file.copying', { percent: 90 }],
      ['file.copied', undefined],
    ]);
    expect(times.every((time) => typeof time === 'number' && time >= 0)).toBe(true);
    expect(hub.stats().roles.files?.responses.count).toBe(4);
  });

  it('a service that goes offline is deregistered', async () => {
    const { hub } = await kit.hub();
    const events: string[] = [];
    hub.on('registered', ({ role }) => events.push(`registered ${role}`));
    hub.on('deregistered', ({ role }) => events.push(`deregistered ${role}`));
    const users = await kit.relay(hub, 'users').up();
    expect(Object.keys(hub.config().clients)).toEqual(['users']);
    await users.close();
    await eventually(() => events.length === 2, 'it is deregistered');
    expect(events).toEqual(['registered users', 'deregistered users']);
    expect(hub.config().clients).toEqual({});
  });
});

describe('Without any routes: development mode', () => {
  it('a service receives what it has handlers for and may send all', async () => {
    const { hub } = await kit.hub();
    const users = kit.relay(hub, 'users');
    const other = kit.relay(hub, 'other');
    const got: string[] = [];
    users.registerHandler('hello', () => void got.push('users'));
    other.registerHandler('good-bye', () => void got.push('other'));
    await Promise.all([users.up(), other.up()]);
    const web = await kit.relay(hub, 'web').up();
    web.send('hello');
    await eventually(() => got.length > 0, 'it arrives');
    expect(got).toEqual(['users']);
  });

  it('hears of handlers that are added later', async () => {
    const { hub } = await kit.hub();
    const users = await kit.relay(hub, 'users').up();
    const web = await kit.relay(hub, 'web').up();
    const request = web.request('late');
    users.registerHandler('late', (_payload, { reply }) => void reply('came'));
    expect((await request).outcome).toBe('came');
  });

  it('a role is taken at its word, with a warning', async () => {
    const { hub, said } = await kit.hub();
    await kit.relay(hub, 'users').up();
    await kit.relay(hub, 'web').up();
    const unverified = said.warnings.filter(({ code }) => code === 'EXO_UNVERIFIED');
    expect(unverified).toHaveLength(1);
    expect(unverified[0]?.message).toContain("'users'");
  });
});
