/** docs/api.md, "Types": a contract that has some of its parts only, as a type or an interface. Compiled, never run. */
import { type Contract, createClient, createServer } from '../../src/index.js';

/** A part that is missing allows nothing. */
interface UpOnly {
  toServer: { tick: (n: number) => void };
}
const up = createClient<UpOnly>(5555);
up.send('tick', 1);
// @ts-expect-error the server sends nothing
up.on('tock', () => {});
// @ts-expect-error there is no shared state
up.set('key', 1);
// @ts-expect-error there is no shared state
up.get('key');
up.get('sessionID').length;
createServer<UpOnly>((session) => {
  session.on('tick', (n) => n.toFixed());
  // @ts-expect-error the server sends nothing
  session.send('tock');
  // @ts-expect-error the server asks nothing
  session.request('tock');
});
// @ts-expect-error the server sends nothing
createServer<UpOnly>().send('tock');

type Down = { toClient: { tock: () => number }; state: { n: number } };
const down = createClient<Down>('localhost:5555');
down.on('tock', () => {});
down.handle('tock', () => 1);
down.set('n', 1);
// @ts-expect-error the client sends nothing
down.send('tock');
// @ts-expect-error the client asks nothing
down.request('tock');

/** Its parts may be interfaces too. */
interface Events {
  tick: (n: number) => string;
}
interface State {
  name: string;
}
interface Parts extends Contract {
  toServer: Events;
  toClient: Events;
  state: State;
}
const parts = createClient<Parts>({ port: 5555 });
parts.request('tick', 1).then((text) => text.toUpperCase());
parts.handle('tick', (n) => n.toFixed());
parts.set({ name: 'a' });
// @ts-expect-error a wrong argument
parts.request('tick', '1');
// @ts-expect-error a wrong value
parts.set({ name: 1 });
// @ts-expect-error no such key
parts.set({ names: 'a' });
