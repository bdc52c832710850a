/** What the compiler says of a relay's calls, with a contract and without. Compiled by the type check, never run. */

import { ExoRelay, type HandlerContext, type Outcome } from '../../src/exorelay/index.js';
import { encode } from '../../src/index.js';

interface User {
  name: string;
}
interface Messages {
  'users.create': User;
  'users.created': User & { id: number };
  'users.not-created': { reason: string };
  'users.list': undefined;
  'users.listed': User[];
}
interface Replies {
  'users.create': 'users.created' | 'users.not-created';
  'users.list': 'users.listed';
}

/** Is exactly this type, neither wider nor `any`. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<T extends true>(_?: T): void {}

// Without a contract: any name, any payload, in every form.
const any = new ExoRelay();
any.send('hello');
any.send('hello', { name: 'world' });
any.send('todos.list', (todos, { outcome }) => {
  is<Same<typeof outcome, string>>();
  return todos;
});
any.send('hello', 'x', { auth: 'token' }, (payload, { responseTime }) => [payload, responseTime]);
any.registerHandler('user.create', (userData, { reply, send, signal, sender }) => {
  is<Same<typeof signal, AbortSignal>>();
  is<Same<typeof sender, string | undefined>>();
  reply('user.created', { id: 456, name: userData.name });
  send('passwords.encrypt', userData.password, (encrypted) => encrypted);
});
const { id, activityId } = any.send('hello');
is<Same<typeof id, string>>();
is<Same<typeof activityId, string>>();

// With one.
const relay = new ExoRelay<Messages>();
relay.send('users.list');
relay.send('users.create', { name: 'Ada' });
relay.send('users.create', { name: 'Ada' }, (created: User & { id: number }) => created.id);
relay.send('users.create', encode({ name: 'Ada' }), { auth: 'token' });
relay.request('users.create', encode({ name: 'Ada' }), { timeoutMs: 5 });
// @ts-expect-error encoded, and not that payload
relay.send('users.create', encode({ name: 5 }));
// @ts-expect-error no such message
relay.send('users.crate', { name: 'Ada' });
// @ts-expect-error the payload is not that
relay.send('users.create', { name: 5 });
// @ts-expect-error the payload is missing
relay.send('users.create');
// @ts-expect-error no such option
relay.send('users.create', { name: 'Ada' }, { atuh: 1 });
relay.registerHandler('users.create', (user, { reply }) => {
  is<Same<typeof user, User>>();
  reply('users.created', { id: 1, ...user });
  // @ts-expect-error the payload is not that
  reply('users.created', { id: 'one', name: 'x' });
});
relay.registerHandlers({
  'users.create': (user: User) => user.name,
  // @ts-expect-error the payload is not that
  'users.listed': (users: string) => users,
});

// With one that says which replies there are.
const strict = new ExoRelay<Messages, Replies>();
const result = await strict.request('users.create', { name: 'Ada' });
is<Same<typeof result.outcome, 'users.created' | 'users.not-created'>>();
if (result.outcome === 'users.created') is<Same<typeof result.payload, User & { id: number }>>();
else is<Same<typeof result.payload, { reason: string }>>();
for await (const reply of strict.stream('users.list', undefined, { until: 'users.listed' })) {
  is<Same<typeof reply, Outcome<Messages, 'users.listed'>>>();
  is<Same<typeof reply.payload, User[]>>();
}
// @ts-expect-error that message does not answer this one
strict.stream('users.list', undefined, { until: 'users.created' });
strict.registerHandler('users.list', (payload, context: HandlerContext<Messages, Replies, 'users.list'>) => {
  is<Same<typeof payload, undefined>>();
  context.reply('users.listed', []);
  // @ts-expect-error that message does not answer this one
  context.reply('users.created', { id: 1, name: 'x' });
});
strict.on('online', (port) => is<Same<typeof port, number | undefined>>());
strict.on('rejected', ({ reason, code }) => [reason, code]);
