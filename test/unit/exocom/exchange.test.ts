/** The life of a message without sockets: what is let in, in which order, and who gets it. */
import { describe, expect, it } from 'vitest';
import { Exchange, type ExchangeOptions } from '../../../src/exocom/exchange.js';
import type { HubWarning } from '../../../src/exocom/reports.js';
import { LearnedRoutes, type Routes, RouteTable } from '../../../src/exocom/routes.js';
import { decodeBody, type Envelope, encodeBody } from '../../../src/exorelay/message.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { FakePort } from '../../support/exocom-ports.js';

const ROUTES: Routes = {
  web: { sends: ['users create', 'audit'], receives: ['users created'] },
  users: {
    ...{ sends: ['mongo created'], receives: ['mongo create'] },
    translations: [
      { public: 'users create', internal: 'mongo create' },
      { public: 'users created', internal: 'mongo created' },
    ],
  },
  audit: { receives: ['audit', 'users create'] },
};

class Relay {
  readonly port = new FakePort();
  readonly #exchange: Exchange;
  readonly #session: ReturnType<Exchange['open']>;

  constructor(exchange: Exchange, role: string, instance: string, handles: string[] = [], before?: string) {
    this.#exchange = exchange;
    this.#session = exchange.open(role, this.port);
    exchange.register(this.#session, { instance, handles, ...(before !== undefined && { before }) });
  }

  send(id: string, name: string, more: Partial<Envelope> = {}): void {
    this.#exchange.message(this.#session, { id, name, activityId: id, ...more });
  }

  handled(sender: string, id: string, error?: string): void {
    this.#exchange.handled(this.#session, { sender, id, ...(error !== undefined && { error }) });
  }

  cancel(id: string): void {
    this.#exchange.cancel(this.#session, { id });
  }

  awaiting(...ids: string[]): void {
    this.#exchange.awaiting(
      this.#session,
      ids.map((id) => ({ id, name: 'users create', activityId: id })),
    );
  }

  register(instance: unknown): void {
    this.#exchange.register(this.#session, { instance, handles: [] });
  }

  gone(): void {
    this.#exchange.closed(this.#session, false);
  }

  get got(): unknown[] {
    return this.port.delivered.map(({ id, name }) => [id, name]);
  }
}

function hub(more: Partial<ExchangeOptions> = {}, routes: Routes | null = ROUTES) {
  const clock = createFakeClock();
  const warnings: string[] = [];
  const alarms: string[] = [];
  const presences: string[] = [];
  let next = 0;
  const exchange = new Exchange(
    {
      routing: routes === null ? new LearnedRoutes() : new RouteTable(routes),
      ...{ clock, hub: 'hub', newId: () => `hub-${next++}` },
      ...{ securityRequired: false, securityTimeoutMs: 5_000 },
      queues: { ttlMs: 60_000, maxMessages: 3, maxBytes: 100_000 },
      instances: { maxInFlight: 100, maxInFlightBytes: 1e6, maxWaiting: 100, maxWaitingBytes: 1e6 },
      ...{ activityIdleMs: 60_000, instanceGraceMs: 2_000, rateLimit: {} },
      ...more,
    },
    {
      warning: ({ code }: HubWarning) => warnings.push(code),
      alarm: ({ role }) => alarms.push(role),
      registered: ({ role, instance }) => presences.push(`+${role} ${instance}`),
      deregistered: ({ role, instance }) => presences.push(`-${role} ${instance}`),
      ...{ message: () => {}, line: () => {} },
    },
  );
  const relay = (role: string, instance = '1', handles: string[] = [], before?: string): Relay =>
    new Relay(exchange, role, instance, handles, before);
  return { clock, exchange, relay, warnings, alarms, presences };
}

describe('what a service sends', () => {
  it('goes to one instance of every role that receives it, by that role’s own name, and the sender is who authenticated', () => {
    const { relay } = hub();
    const [web, users, audit] = [relay('web'), relay('users'), relay('audit')];
    web.send('a', 'users create', { sender: 'admin', isSecurity: true, payload: encodeBody(1) });
    expect([users.got, audit.got]).toEqual([[['a', 'mongo create']], [['a', 'users create']]]);
    expect(users.port.delivered[0]).toMatchObject({ sender: 'web' });
    expect(users.port.delivered[0]).not.toHaveProperty('isSecurity');
  });

  it('is accepted once every receiver has handled it, whether or not its handler failed', () => {
    const { relay } = hub();
    const [web, users, audit] = [relay('web'), relay('users'), relay('audit')];
    web.send('a', 'users create');
    users.handled('web', 'a', 'thrown');
    expect(web.port.told).toEqual([]);
    audit.handled('web', 'a');
    expect(web.port.told).toEqual(['a']);
  });

  it('is refused if the routes do not let it, and goes nowhere', () => {
    const { relay, warnings } = hub();
    const [web, users] = [relay('web'), relay('users')];
    users.send('a', 'audit');
    web.send('b', 'authorize message');
    expect([users.port.told, web.port.told]).toEqual([
      [['a', 'EXO_NOT_ALLOWED'], 'a'],
      [['b', 'EXO_NOT_ALLOWED'], 'b'],
    ]);
    expect(warnings).toEqual(['EXO_NOT_ALLOWED', 'EXO_NOT_ALLOWED']);
  });

  it('is refused at once if nobody ever receives it', () => {
    const { relay } = hub({}, { web: { sends: ['users list'] } });
    const web = relay('web');
    web.send('a', 'users list');
    expect(web.port.told).toEqual([['a', 'EXO_NO_RECEIVERS'], 'a']);
  });

  it('that is no message is told what is wrong, and nothing else happens', () => {
    const { exchange, relay, warnings } = hub();
    const web = relay('web');
    web.send('a', '');
    expect([web.port.told, warnings, exchange.running]).toEqual([
      [['a', 'EXO_BAD_MESSAGE'], 'a'],
      ['EXO_BAD_MESSAGE'],
      0,
    ]);
  });

  it('waits in order for a role that is away, and is refused once it has waited too long or there is too much', async () => {
    const { clock, relay } = hub({}, { web: { sends: ['job'] }, jobs: { receives: ['job'] } });
    const web = relay('web');
    for (const id of ['a', 'b', 'c', 'd']) web.send(id, 'job');
    expect(web.port.told).toEqual([['d', 'EXO_QUEUE_FULL'], 'd']);
    const jobs = relay('jobs');
    expect(jobs.got).toEqual(['a', 'b', 'c'].map((id) => [id, 'job']));
    jobs.gone();
    await clock.advance(60_000);
    expect(web.port.told.slice(2)).toEqual(['a', 'b', 'c'].flatMap((id) => [[id, 'EXO_QUEUE_EXPIRED'], id]));
  });

  it('goes to another instance, flagged, if the one that had it is gone before it has handled it', () => {
    const { relay } = hub();
    const web = relay('web');
    relay('audit');
    const [first, second] = [relay('users', '1'), relay('users', '2')];
    web.send('a', 'users create');
    const [had, other] = first.got.length === 1 ? [first, second] : [second, first];
    had.gone();
    expect(other.port.delivered).toMatchObject([{ id: 'a', redelivered: true }]);
  });

  it('and sends again is passed on once, and answered as it was the first time', () => {
    const { relay } = hub();
    const [web, users, audit] = [relay('web'), relay('users'), relay('audit')];
    web.send('a', 'audit');
    web.send('a', 'audit', { redelivered: true });
    audit.handled('web', 'a');
    web.send('a', 'audit', { redelivered: true });
    users.send('a', 'audit');
    users.send('a', 'audit', { redelivered: true });
    expect([audit.got, web.port.told]).toEqual([[['a', 'audit']], ['a', 'a']]);
    expect(users.port.told).toEqual([['a', 'EXO_NOT_ALLOWED'], 'a', ['a', 'EXO_NOT_ALLOWED'], 'a']);
  });

  it('under the id of a message of another role is refused: its answers belong to that role', () => {
    const { relay } = hub({}, { ...ROUTES, spy: { sends: ['audit'] } });
    const [web, spy, audit] = [relay('web'), relay('spy'), relay('audit')];
    web.send('a', 'audit');
    spy.send('a', 'audit');
    expect([audit.got, spy.port.told]).toEqual([[['a', 'audit']], [['a', 'EXO_BAD_MESSAGE'], 'a']]);
  });

  it('too fast is an alarm, and holds it up only if the hub is told to', async () => {
    for (const throttle of [false, true]) {
      const { clock, relay, alarms } = hub({ rateLimit: { perSecond: 2, throttle } });
      const [web, audit] = [relay('web'), relay('audit')];
      for (const id of ['a', 'b', 'c', 'd']) web.send(id, 'audit');
      expect([alarms, web.port.paused]).toEqual([['web'], throttle]);
      await clock.advance(1_000);
      expect([audit.got.length, web.port.paused]).toEqual([4, false]);
    }
  });

  it('without routes waits until somebody has a handler for it', () => {
    const { relay } = hub({}, null);
    const web = relay('web');
    web.send('a', 'anything');
    const late = relay('late', '1', ['anything']);
    expect(late.got).toEqual([['a', 'anything']]);
  });
});

describe('an answer', () => {
  it('goes to the instance that asked, in its activity, and says how long it took', async () => {
    const { clock, relay } = hub();
    const [web, other, users] = [relay('web', '1'), relay('web', '2'), relay('users')];
    relay('audit');
    web.send('q', 'users create', { activityId: 'act' });
    await clock.advance(30);
    users.send('r', 'mongo created', { responseTo: 'q', activityId: 'made up', last: true });
    expect([web.got, other.got]).toEqual([[['r', 'users created']], []]);
    expect(web.port.delivered[0]).toMatchObject({ responseTo: 'q', activityId: 'act', responseTime: 30 });
  });

  it('of who was not asked is refused, and so is one to what nobody asked', () => {
    const { relay } = hub({}, { ...ROUTES, spy: { sends: ['mongo created'] } });
    const [web, spy] = [relay('web'), relay('spy')];
    relay('users');
    relay('audit');
    web.send('q', 'users create');
    spy.send('r', 'mongo created', { responseTo: 'q' });
    spy.send('s', 'mongo created', { responseTo: 'made up' });
    expect([web.got, spy.port.told]).toEqual([
      [],
      [['r', 'EXO_UNKNOWN_REPLY'], 'r', ['s', 'EXO_UNKNOWN_REPLY'], 's'],
    ]);
  });

  it('goes to the instance that asked, even if another one of its role has the activity', () => {
    const { relay } = hub();
    const [other, web, users] = [relay('web', '1'), relay('web', '2'), relay('users')];
    relay('audit');
    other.send('first', 'audit', { activityId: 'act' });
    web.send('q', 'users create', { activityId: 'act' });
    users.send('r', 'mongo created', { responseTo: 'q' });
    expect([other.got, web.got]).toEqual([[], [['r', 'users created']]]);
  });

  it('to somebody else is a message like any other: it tells what caused it, and can not be taken for a reply', () => {
    const { relay } = hub({}, { ...ROUTES, log: { receives: ['users created'] } });
    const [web, users, log] = [relay('web'), relay('users'), relay('log')];
    web.send('q', 'users create', { causedBy: 'a click' });
    users.send('r', 'mongo created', { responseTo: 'q' });
    expect(users.port.delivered).toMatchObject([{ id: 'q', causedBy: 'a click' }]);
    expect(log.port.delivered).toMatchObject([{ id: 'r', causedBy: 'q' }]);
    expect(log.port.delivered[0]).not.toHaveProperty('responseTo');
  });

  it('that is the last one of its role ends that role’s answers, and no other role’s', () => {
    const routes: Routes = { ...ROUTES, audit: { sends: ['audited'], receives: ['users create'] } };
    const { relay } = hub({}, { ...routes, web: { ...ROUTES.web, receives: ['users created', 'audited'] } });
    const [web, users, audit] = [relay('web'), relay('users'), relay('audit')];
    web.send('q', 'users create');
    users.send('r', 'mongo created', { responseTo: 'q', last: true });
    users.send('s', 'mongo created', { responseTo: 'q' });
    audit.send('t', 'audited', { responseTo: 'q' });
    expect(web.got).toEqual([
      ['r', 'users created'],
      ['t', 'audited'],
    ]);
    expect(users.port.told).toEqual([['s', 'EXO_UNKNOWN_REPLY'], 's']);
  });

  it.each([
    ['another instance of the role', 'web', '2'],
    ['another role', 'audit', '1'],
  ])('is still waited for if %s takes the question back', (_who, role, instance) => {
    const { relay } = hub();
    const [web, users, audit] = [relay('web', '1'), relay('users'), relay('audit')];
    const stranger = role === 'audit' ? audit : relay(role, instance);
    web.send('q', 'users create');
    stranger.cancel('q');
    expect(users.port.cancelled).toEqual([]);
    users.send('r', 'mongo created', { responseTo: 'q' });
    expect(web.got).toEqual([['r', 'users created']]);
  });

  it('that nobody waits for any more is not passed on, and who has the question is told', () => {
    const { relay } = hub();
    const [web, users] = [relay('web'), relay('users')];
    relay('audit');
    web.send('q', 'users create');
    web.cancel('q');
    expect(users.port.cancelled).toEqual([{ sender: 'web', id: 'q' }]);
    users.send('r', 'mongo created', { responseTo: 'q' });
    expect(web.got).toEqual([]);
  });

  it('to what was asked before the hub was restarted waits for the asker, and is passed on when it is back', () => {
    const { relay } = hub();
    const users = relay('users', '1', [], 'the hub before');
    users.send('r', 'mongo created', { responseTo: 'q' });
    const web = relay('web');
    expect(web.got).toEqual([]);
    web.awaiting('q');
    expect(web.got).toEqual([['r', 'users created']]);
  });
});

describe('after a restart', () => {
  it('an answer whose asker does not come back is refused; one that was sent before has most likely arrived', async () => {
    const { clock, relay } = hub();
    const users = relay('users', '1', [], 'the hub before');
    users.send('r', 'mongo created', { responseTo: 'q' });
    users.send('s', 'mongo created', { responseTo: 'q', redelivered: true });
    expect(users.port.told).toEqual([]);
    await clock.advance(60_000);
    expect(users.port.told).toEqual([['r', 'EXO_UNKNOWN_REPLY'], 'r', 's']);
  });

  it('what was sent before goes to the instance that had it, and what is new waits behind it', async () => {
    const { clock, relay } = hub();
    const [web, first, second] = [relay('web'), relay('users', '1'), relay('users', '2')];
    relay('audit');
    second.port.knows = async (refs) => refs;
    web.send('a', 'users create', { redelivered: true });
    web.send('b', 'users create', { activityId: 'a' });
    await clock.advance(1_999);
    expect([first.got, second.got]).toEqual([[], []]);
    await clock.advance(1);
    expect([first.got, second.got]).toEqual([
      [],
      [
        ['a', 'mongo create'],
        ['b', 'mongo create'],
      ],
    ]);
    expect(second.port.delivered[0]).toMatchObject({ redelivered: true });
  });
});

describe('an instance', () => {
  it('that comes back with a new session gets again what it had, and its old session counts no more', () => {
    const { relay, presences } = hub();
    const [web, before] = [relay('web'), relay('audit', '1')];
    web.send('a', 'audit');
    const now = relay('audit', '1');
    expect([before.port.invalidated, now.got]).toEqual([true, [['a', 'audit']]]);
    before.handled('web', 'a');
    before.gone();
    expect(web.port.told).toEqual([]);
    now.handled('web', 'a');
    expect([web.port.told, presences]).toEqual([['a'], ['+web 1', '+audit 1']]);
  });

  it('that registers as nobody, or as another one than before, is not taken', () => {
    const { exchange, relay, warnings } = hub();
    const web = relay('web', '1');
    web.register('2');
    relay('audit', '').send('a', 'audit');
    expect([warnings, exchange.running]).toEqual([['EXO_BAD_REGISTRATION', 'EXO_BAD_REGISTRATION'], 0]);
    expect(exchange.instances.of('web').map(({ id }) => id)).toEqual(['1']);
  });
});

describe('a hub that closes', () => {
  it('takes nothing more, and crosses off what is finished', () => {
    const { exchange, relay } = hub();
    const [web, audit] = [relay('web'), relay('audit')];
    web.send('a', 'audit');
    exchange.drain();
    web.send('b', 'audit');
    audit.handled('web', 'a');
    expect([audit.got, web.port.told, exchange.running]).toEqual([[['a', 'audit']], ['a'], 0]);
  });
});

describe('with a security role', () => {
  const routes: Routes = { ...ROUTES, security: { sends: [], receives: [] } };

  it('nothing passes before a yes, and what one sender sent stays in order', () => {
    const { relay } = hub({ securityRequired: true }, routes);
    const [web, audit, security] = [relay('web'), relay('audit'), relay('security')];
    web.send('a', 'audit');
    web.send('b', 'audit');
    const [first, second] = security.port.delivered;
    expect(decodeBody(first?.payload as Uint8Array)).toMatchObject({ id: 'a', name: 'audit', sender: 'web' });
    security.send('2', 'message authorized', { responseTo: second?.id ?? '' });
    expect(audit.got).toEqual([]);
    security.send('1', 'message authorized', { responseTo: first?.id ?? '' });
    expect(audit.got).toEqual([
      ['a', 'audit'],
      ['b', 'audit'],
    ]);
  });

  it('a no is told to the sender, and those behind it go on', () => {
    const { relay, warnings } = hub({ securityRequired: true }, routes);
    const [web, audit, security] = [relay('web'), relay('audit'), relay('security')];
    web.send('a', 'audit');
    web.send('b', 'audit');
    const [first, second] = security.port.delivered;
    security.send('2', 'message authorized', { responseTo: second?.id ?? '' });
    security.send('1', 'message unauthorized', { responseTo: first?.id ?? '' });
    expect([audit.got, warnings]).toEqual([[['b', 'audit']], ['EXO_UNAUTHORIZED']]);
    expect(web.port.delivered).toMatchObject([{ name: 'message unauthorized', responseTo: 'a' }]);
  });

  it('one sender has no more to be decided over than a queue holds', () => {
    const { relay, warnings } = hub({ securityRequired: true }, routes);
    const [web, security] = [relay('web'), relay('security')];
    for (const id of ['a', 'b', 'c', 'd']) web.send(id, 'audit');
    expect(security.port.delivered).toHaveLength(3);
    expect([web.port.told, warnings]).toEqual([[['d', 'EXO_OVERLOADED'], 'd'], ['EXO_OVERLOADED']]);
  });

  it('one sender has no more bytes to be decided over than a queue holds', () => {
    const queues = { ttlMs: 60_000, maxMessages: 100, maxBytes: 1_000 };
    const { relay, warnings } = hub({ securityRequired: true, queues }, routes);
    const [web, security] = [relay('web'), relay('security')];
    for (const id of ['a', 'b']) web.send(id, 'audit', { payload: encodeBody('x'.repeat(600)) });
    expect(security.port.delivered).toHaveLength(1);
    expect([web.port.told, warnings]).toEqual([[['b', 'EXO_OVERLOADED'], 'b'], ['EXO_OVERLOADED']]);
  });

  it('decides from the moment it is seen, also while it is away', () => {
    const { relay, warnings } = hub({}, null);
    const [web, audit] = [relay('web'), relay('audit', '1', ['audit'])];
    web.send('a', 'audit');
    const security = relay('security');
    web.send('b', 'audit');
    expect(security.port.delivered.map(({ name }) => name)).toEqual(['authorize message']);
    security.send('1', 'message unauthorized', { responseTo: security.port.delivered[0]?.id ?? '' });
    security.gone();
    web.send('c', 'audit');
    expect([audit.got, warnings]).toEqual([[['a', 'audit']], ['EXO_UNAUTHORIZED', 'EXO_UNAUTHORIZED']]);
  });

  it.each(['authorize message', 'message authorized', 'security request', 'security response'])(
    '`%s` of another role is refused, and decides nothing',
    (name) => {
      const { relay } = hub({ securityRequired: true }, null);
      const [web, audit, security] = [relay('web'), relay('audit', '1', ['audit']), relay('security')];
      web.send('a', 'audit');
      const question = security.port.delivered[0]?.id ?? '';
      web.send('b', name, { responseTo: question, payload: encodeBody({ name: 'audit' }) });
      expect(web.port.told).toEqual([['b', 'EXO_NOT_ALLOWED'], 'b']);
      expect([audit.got, security.got]).toEqual([[], [[question, 'authorize message']]]);
    },
  );

  it('an answer to its own question does not wait behind what waits for that answer', () => {
    const { relay } = hub({ securityRequired: true }, routes);
    const [users, security] = [relay('users'), relay('security')];
    relay('web');
    users.send('a', 'mongo created');
    security.send('q', 'security request', { payload: encodeBody({ name: 'users create' }) });
    users.send('r', 'mongo created', { responseTo: 'q' });
    expect(security.port.delivered.map(({ name }) => name)).toEqual([
      'authorize message',
      'security response',
    ]);
  });

  it('a decision that nobody asked for is refused', () => {
    const { relay } = hub({ securityRequired: true }, routes);
    const security = relay('security');
    security.send('a', 'message authorized', { responseTo: 'made up' });
    security.send('b', 'message authorized');
    expect(security.port.told).toEqual([['a', 'EXO_UNKNOWN_REPLY'], 'a', ['b', 'EXO_UNKNOWN_REPLY'], 'b']);
  });

  it('nobody there is a no', () => {
    const { relay, warnings } = hub({ securityRequired: true }, routes);
    const [web, audit] = [relay('web'), relay('audit')];
    web.send('a', 'audit');
    expect([audit.got, warnings, web.port.told]).toEqual([[], ['EXO_UNAUTHORIZED'], ['a']]);
  });

  it('may ask other services, flagged, and gets the answer as its own message', () => {
    const { relay } = hub({}, routes);
    const [users, security] = [relay('users'), relay('security')];
    relay('audit');
    security.send('q', 'security request', { payload: encodeBody({ name: 'users create', payload: [7] }) });
    expect(users.port.delivered).toMatchObject([{ id: 'q', name: 'mongo create', isSecurity: true }]);
    users.send('r', 'mongo created', { responseTo: 'q', payload: encodeBody('yes') });
    const [response] = security.port.delivered.filter(({ name }) => name === 'security response');
    expect(decodeBody(response?.payload as Uint8Array)).toEqual({
      ...{ name: 'users created', payload: 'yes', sender: 'users' },
    });
  });
});
