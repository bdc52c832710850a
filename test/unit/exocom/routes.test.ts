/** Routes: what they answer, and how they are checked. */
import { describe, expect, it } from 'vitest';
import { checkRoutes, LearnedRoutes, RouteTable } from '../../../src/exocom/routes.js';

function refusal(routes: unknown): string {
  try {
    checkRoutes(routes, "routes file 'r.json'");
  } catch (error) {
    expect(error).toMatchObject({ code: 'NYOTA_INVALID_OPTION' });
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

describe('the check of routes', () => {
  it.each<[unknown, string]>([
    [null, 'takes an object of services by role, not null'],
    [[], 'takes an object of services by role, not a list'],
    ['web', 'takes an object of services by role, not a string'],
    [{ web: [] }, 'web: takes { receives, sends, translations }, not a list'],
    [{ web: null }, 'web: takes { receives, sends, translations }, not null'],
    [{ '': {} }, '"": a role is a string of 1 to 256 characters'],
    [{ 'a b': 1 }, '"a b": takes { receives, sends, translations }, not number 1'],
    [{ exocom: {} }, "exocom: 'exocom' is the hub itself: no service can have this role"],
    [
      { web: { recieves: [] } },
      'web.recieves: there is no such key; a service has receives, sends, translations',
    ],
    [{ web: { receives: 'a' } }, 'web.receives: takes a list of message names, not a string'],
    [
      { web: { receives: [1] } },
      'web.receives[0]: takes a message name, a string of 1 to 256 characters, not number 1',
    ],
    [
      { web: { sends: ['a', ''] } },
      'web.sends[1]: takes a message name, a string of 1 to 256 characters, not an empty string',
    ],
    [{ web: { sends: ['a', 'b', 'a'] } }, "web.sends[2]: 'a' is named twice"],
    [{ web: { translations: {} } }, 'web.translations: takes a list of translations, not an object'],
    [{ web: { translations: ['a'] } }, 'web.translations[0]: takes { public, internal }, not a string'],
    [
      { web: { translations: [{ public: 'a' }] } },
      'web.translations[0].internal: takes a message name, a string of 1 to 256 characters, not nothing',
    ],
    [
      { web: { translations: [{ public: 'a', internal: 'b', private: 'c' }] } },
      'web.translations[0].private: there is no such key; a translation has public, internal',
    ],
    [
      {
        web: {
          translations: [
            { public: 'a', internal: 'b' },
            { public: 'a', internal: 'c' },
          ],
        },
      },
      "web.translations[1].public: 'a' is translated twice",
    ],
    [
      {
        web: {
          translations: [
            { public: 'a', internal: 'b' },
            { public: 'c', internal: 'b' },
          ],
        },
      },
      "web.translations[1].internal: 'b' is translated twice",
    ],
  ])('refuses %j: %s', (routes, reason) => {
    expect(refusal(routes)).toBe(`routes file 'r.json': ${reason}`);
  });

  it.each([
    'authorize message',
    'message authorized',
    'message unauthorized',
    'security request',
    'security response',
  ])('Routes that name `%s` for another role are refused at the start', (name) => {
    const reason = `'${name}' is a message of the 'security' role's: no other role can have it`;
    const places: [string, object][] = [
      ['web.receives[0]', { receives: [name] }],
      ['web.sends[0]', { sends: [name] }],
      ['web.translations[0].public', { translations: [{ public: name, internal: 'x' }] }],
      ['web.translations[0].internal', { translations: [{ public: 'x', internal: name }] }],
    ];
    for (const [place, web] of places) {
      expect(refusal({ web })).toBe(`routes file 'r.json': ${place}: ${reason}`);
    }
    expect(refusal({ security: { receives: [name], sends: [name] } })).toBe('nothing was thrown');
  });

  it('takes roles that are special names of JavaScript for what they are', () => {
    const routes = JSON.parse('{ "__proto__": { "sends": ["a"] }, "constructor": {} }');
    const table = new RouteTable(checkRoutes(routes, 'routes'));
    expect(table.maySend('__proto__', 'a')).toBe(true);
    expect([table.has('constructor'), table.has('toString')]).toEqual([true, false]);
  });
});

describe('routes', () => {
  const table = new RouteTable({
    users: {
      receives: ['mongo create', 'ping'],
      sends: ['mongo created'],
      translations: [
        { public: 'users create', internal: 'mongo create' },
        { public: 'users created', internal: 'mongo created' },
      ],
    },
    audit: { receives: ['users create'] },
  });

  it('translate both ways, and leave other names alone', () => {
    expect(table.publicName('users', 'mongo created')).toBe('users created');
    expect(table.ownName('users', 'users create')).toBe('mongo create');
    expect(table.publicName('users', 'ping')).toBe('ping');
    expect(table.ownName('audit', 'users create')).toBe('users create');
    expect(table.publicName('nobody', 'ping')).toBe('ping');
  });

  it('know the receivers by the public name, and the sender by its own', () => {
    expect(table.receivers('users create')).toEqual(['users', 'audit']);
    expect(table.receivers('mongo create')).toEqual([]);
    expect(table.maySend('users', 'mongo created')).toBe(true);
    expect(table.maySend('users', 'users created')).toBe(false);
    expect(table.maySend('nobody', 'mongo created')).toBe(false);
  });

  it('never give a message of the security role to receivers', () => {
    const secured = new RouteTable({ security: { receives: ['authorize message'] } });
    expect(secured.receivers('authorize message')).toEqual([]);
  });
});

describe('development mode', () => {
  it('learns who receives what, and remembers it', () => {
    const routes = new LearnedRoutes();
    expect(routes.receivers('a')).toEqual([]);
    routes.learn('users', ['a', 'b']);
    routes.learn('audit', ['a']);
    expect(routes.receivers('a')).toEqual(['users', 'audit']);
    routes.learn('users', ['b']);
    expect(routes.receivers('a')).toEqual(['audit']);
    expect([routes.maySend(), routes.has(), routes.publicName('x', 'n'), routes.ownName('x', 'n')]).toEqual([
      true,
      true,
      'n',
      'n',
    ]);
  });

  it('does not learn the security role’s messages', () => {
    const routes = new LearnedRoutes();
    routes.learn('thief', ['authorize message', 'a']);
    expect(routes.receivers('authorize message')).toEqual([]);
    expect(routes.toJSON()).toEqual({ thief: { receives: ['a'] } });
  });

  it('remembers a thousand roles, and forgets those that registered longest ago', () => {
    const routes = new LearnedRoutes();
    for (let n = 0; n <= 1_000; n++) routes.learn(`role ${n}`, ['a']);
    expect(routes.receivers('a')).toHaveLength(1_000);
    expect(routes.receivers('a')).not.toContain('role 0');
  });
});
