/**
 * docs/api.md, "Types": what compiles with a contract, and what must not. Compiled by the type check, never run: each
 * `@ts-expect-error` fails the check where its next line compiles after all.
 */
import {
  createClient,
  createServer,
  Encoded,
  encode,
  type HandlerContext,
  type NyotaError,
  type Session,
} from '../../src/index.js';

interface Order {
  readonly sku: string;
  readonly count: number;
}
interface Receipt {
  readonly id: number;
}

/** As in docs/api.md: an interface, so without an index signature. */
interface Orders {
  toServer: {
    'order.create': (order: Order) => Receipt;
    ping: () => void;
    later: (text: string, count: number) => Promise<string>;
    note: (text?: string) => void;
  };
  toClient: {
    'order.created': (order: Order) => void;
    confirm: (question: string) => boolean;
  };
  state: { cart: string[]; count: number };
}

/** Holds the two types against each other, both ways. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

const order: Order = { sku: 'a', count: 1 };
const client = createClient<Orders>(5555);
const server = createServer<Orders>((session) => onSession(session));

function onSession(session: Session<Orders>): void {
  // What the client sends, the session hears.
  session.on('order.create', (created) => same<typeof created, Order>(true));
  session.on('ping', () => {});
  session.once('later', (text, count) => {
    same<typeof text, string>(true);
    same<typeof count, number>(true);
  });
  session.off('ping');
  // @ts-expect-error no such event
  session.on('order.delete', () => {});
  // @ts-expect-error that one goes the other way
  session.on('order.created', () => {});
  // @ts-expect-error not what the event carries
  session.on('order.create', (created: number) => created);
  // @ts-expect-error more arguments than the event has
  session.on('ping', (extra: string) => extra);
  // @ts-expect-error no such event
  session.once('pong', () => {});
  // @ts-expect-error no such event
  session.off('pong');

  // What the session sends, the client hears.
  session.send('order.created', order);
  session.send('order.created', order, (error) => same<typeof error, NyotaError | undefined>(true));
  // @ts-expect-error that one goes the other way
  session.send('order.create', order);
  // @ts-expect-error a wrong argument
  session.send('order.created', 'a');
  // @ts-expect-error an argument is missing
  session.send('order.created');
  // @ts-expect-error onAck comes last
  session.send('order.created', () => {}, order);
  // @ts-expect-error one argument too many
  session.send('order.created', order, order);

  // Each argument may be encoded already.
  session.send('order.created', encode(order));
  session.send('order.created', Encoded.from<Order>(new Uint8Array()), (error) =>
    same<typeof error, NyotaError | undefined>(true),
  );
  session.request('confirm', encode('sure?'));
  server.send('order.created', encode(order));
  same<ReturnType<typeof encode<Order>>, Encoded<Order>>(true);
  // @ts-expect-error encoded, and a wrong argument all the same
  session.send('order.created', encode('a'));
  // @ts-expect-error nobody knows what it is
  session.send('order.created', Encoded.from(new Uint8Array()));

  // Requests of the client's.
  session.handle('order.create', (created, context) => {
    same<typeof created, Order>(true);
    same<typeof context, HandlerContext<Session<Orders>>>(true);
    return { id: created.count };
  });
  session.handle('later', async (text, count) => text.repeat(count));
  session.handle('later', (text) => text);
  session.handle('later', async (text) => encode(text));
  // @ts-expect-error encoded, and not what the request is answered with
  session.handle('later', async () => encode(5));
  session.handle('ping', () => {});
  session.unhandle('ping');
  // @ts-expect-error not what the request is answered with
  session.handle('order.create', () => 'a receipt');
  // @ts-expect-error a promise of the wrong reply
  session.handle('later', async () => 5);
  // @ts-expect-error no such request
  session.handle('order.delete', () => {});
  // @ts-expect-error that one goes the other way
  session.handle('confirm', () => true);
  // @ts-expect-error a wrong argument
  session.handle('order.create', (created: string) => ({ id: created.length }));
  // @ts-expect-error no such request
  session.unhandle('order.delete');

  // Requests of the session's.
  session.request('confirm', 'sure?').then((reply) => same<typeof reply, boolean>(true));
  // @ts-expect-error a wrong argument
  session.request('confirm', 5);
  // @ts-expect-error that one goes the other way
  session.request('order.create', order);

  // The lifecycle of a session.
  session.on('connect', ({ resumed }) => same<typeof resumed, boolean>(true));
  session.on('expired', () => {});
  // @ts-expect-error an event of clients
  session.on('reconnecting', () => {});
  // @ts-expect-error a lifecycle event can't be sent
  session.send('connect');
  // @ts-expect-error nor asked for
  session.request('error');

  sameStore(session);
}

function sameStore(peer: Session<Orders>): void {
  peer.set('cart', ['a']);
  peer.set('count', 1, { ttlMs: 5 });
  peer.set('count', encode(1), { ttlMs: 5 });
  peer.store.create('cart', encode(['a']));
  // @ts-expect-error encoded, and not what the key holds
  peer.set('count', encode('a'));
  peer.set({ count: 1 });
  same<ReturnType<typeof cart>, string[] | undefined>(true);
  function cart() {
    return peer.get('cart');
  }
}

// The same from the client's side.
client.on('order.created', (created) => same<typeof created, Order>(true));
client.handle('confirm', (question) => question === 'sure?');
client.send('ping');
client.send('ping', () => {});
client.send('order.create', order);
client.send('later', 'a', 2, (error) => error?.code);
client.send('note');
client.send('note', 'text');
client.sendWithAck('order.create', order).then((nothing) => same<typeof nothing, void>(true));
client.request('order.create', order).then((reply) => same<typeof reply, Receipt>(true));
client.request('later', 'a', 2).then((reply) => same<typeof reply, string>(true));
client.request('ping').then((reply) => same<typeof reply, void>(true));
// @ts-expect-error that one goes the other way
client.on('order.create', () => {});
// @ts-expect-error no such event
client.once('order.deleted', () => {});
// @ts-expect-error not what the event carries
client.on('order.created', (created: string) => created);
// @ts-expect-error that one goes the other way
client.send('order.created', order);
// @ts-expect-error no such event
client.send('order.delete', order);
// @ts-expect-error a wrong argument
client.send('order.create', { sku: 'a' });
// @ts-expect-error an argument is missing
client.send('later', 'a');
// @ts-expect-error onAck comes after all the arguments
client.send('later', 'a', () => {});
// @ts-expect-error onAck is given an error or nothing
client.send('ping', (count: number) => count);
// @ts-expect-error takes no onAck
client.sendWithAck('ping', () => {});
// @ts-expect-error a wrong argument
client.sendWithAck('later', 'a', 'b');
// @ts-expect-error a wrong argument
client.request('order.create', 5);
// @ts-expect-error no such request
client.request('order.delete', order);
// @ts-expect-error not what the request is answered with
client.handle('confirm', () => 'yes');
// @ts-expect-error that one goes the other way
client.handle('order.create', () => ({ id: 1 }));
// @ts-expect-error a lifecycle event can't be sent
client.send('close');

// with() keeps the contract.
client
  .with({ timeoutMs: 5 })
  .request('order.create', order)
  .then((reply) => same<typeof reply, Receipt>(true));
client.with({ volatile: true }).send('ping');
// @ts-expect-error no such event
client.with({ volatile: true }).send('pong');
// @ts-expect-error a misspelt option
client.with({ timeout: 5 });
// @ts-expect-error not a number
client.with({ ttlMs: '5' });
// @ts-expect-error not a signal
client.with({ signal: new AbortController() });

// The store.
same<ReturnType<typeof get>, { cart: string[] | undefined; count: number | undefined; id: string }>(true);
function get() {
  return { cart: client.get('cart'), count: client.get('count'), id: client.get('sessionID') };
}
const all: Partial<Orders['state']> = client.get();
client.set({ cart: all.cart ?? [], count: 2 });
client.delete('cart');
client.store.set('count', 1);
client.store.get('sessionID').length;
client.store.has('cart');
client.store.delete('count');
client.store
  .update('count', (count) => (count ?? 0) + 1)
  .then((count) => same<typeof count, number | undefined>(true));
client.store.update('cart', async (cart) => [...(cart ?? []), 'b']);
client.store.create('cart', []).then((created) => same<typeof created, boolean>(true));
client.store.watch('cart', (key, value, revision) => [key, value, revision]);
client.store.watch(/^c/, () => {});
for (const key of client.store.keys()) same<typeof key, 'cart' | 'count'>(true);
for (const [key, value] of client.store.entries()) {
  same<typeof key, 'cart' | 'count'>(true);
  same<typeof value, string[] | number>(true);
}
// @ts-expect-error no such key
client.set('carts', []);
// @ts-expect-error a wrong value
client.set('cart', 5);
// @ts-expect-error no such key
client.set({ carts: [] });
// @ts-expect-error a wrong value
client.set({ cart: 5 });
// @ts-expect-error no such key
client.get('carts');
// @ts-expect-error no such key
client.delete('carts');
// @ts-expect-error read only
client.set('sessionID', 'stolen');
// @ts-expect-error read only
client.delete('sessionID');
// @ts-expect-error no such key
client.store.get('carts');
// @ts-expect-error a wrong value
client.store.set('count', '1');
// @ts-expect-error no such key
client.store.has('carts');
// @ts-expect-error a wrong value
client.store.update('count', () => 'one');
// @ts-expect-error a promise of a wrong value
client.store.update('count', async () => 'one');
// @ts-expect-error no such key
client.store.create('carts', []);
// @ts-expect-error a wrong value
client.store.create('cart', 5);

// The server.
server.send('order.created', order);
server.on('session', (session, resumed) => {
  same<typeof session, Session<Orders>>(true);
  same<typeof resumed, boolean>(true);
});
for (const [id, session] of server.sessions) {
  same<typeof id, string>(true);
  session.send('order.created', order);
  // @ts-expect-error that one goes the other way
  session.send('order.create', order);
}
server.on('clientError', (error, { remoteAddress }) => [error.code, remoteAddress?.length]);
// @ts-expect-error that one goes the other way
server.send('order.create', order);
// @ts-expect-error a wrong argument
server.send('order.created', 5);
// @ts-expect-error no such event of a server
server.on('connection', () => {});

// The client's lifecycle.
client.on('connect', ({ resumed }) => same<typeof resumed, boolean>(true));
client.on('disconnect', (reason) => same<typeof reason, NyotaError | undefined>(true));
client.on('reconnecting', ({ attempt, delayMs }) => attempt + delayMs);
client.on('session', ({ id, reason }) => [id.length, reason?.code]);
client.on('gap', ({ uncertain, lost }) => uncertain + lost);
client.on('change', (key, value, revision) => [key.length, value, revision + 1]);
client.on('conflict', ({ key, error }) => [key.length, error.code]);
client.on('unhandled', (event, args) => [event.length, args.length]);
client
  .on('sessionInvalidated', () => {})
  .on('drain', () => {})
  .on('close', () => {});
client.on('error', (error) => same<typeof error, NyotaError>(true));
// @ts-expect-error an event of the server's sessions
client.on('expired', () => {});
// @ts-expect-error not what the event carries
client.on('connect', (count: number) => count);
