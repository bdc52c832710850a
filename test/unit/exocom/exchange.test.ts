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

  leave(): void {
    this.#exchange.closed(this.#session, false);
  }

  get got(): unknown[] {
    return this.port.delivered.map(({ id, name }) => [id, name]);
  }
}

function hub(more: Partial<ExchangeOptions> = {}, routes: Routes | null = ROUTES) {
  const clock = createFakeClock();
  const warnings: string[] = [];
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
      ...{ alarm: () => {}, message: () => {}, registered: () => {}, deregistered: () => {}, line: () => {} },
    },
  );
  const relay = (role: string, instance = '1', handles: string[] = [], before?: string): Relay =>
    new Relay(exchange, role, instance, handles, before);
  return { clock, exchange, relay, warnings };
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
    jobs.leave();
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
    had.leave();
    expect(other.port.delivered).toMatchObject([{ id: 'a', redelivered: true }]);
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
