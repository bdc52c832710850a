// The service that keeps the todo lists. It runs in two instances; neither knows of the other, or of who asks.
import { ExoRelay } from 'nyota/exorelay';

const todos = ['buy milk', 'call grandma'];

// SERVICE_NAME, EXOCOM_HOST, EXOCOM_PORT and EXOCOM_TOKEN say the rest.
const exoRelay = new ExoRelay();
exoRelay.on('error', (error) => console.log(`error: ${error.message}`));
exoRelay.registerHandlers({
  'todos.list': async (_, { reply, redelivered }) => {
    console.log(`at work${redelivered ? ', on what another instance left behind' : ''}`);
    await new Promise((resolve) => setTimeout(resolve, 500)); // a slow database
    reply('todos.listed', todos);
  },
  'todos.add': (todo, { reply, send }) => {
    todos.push(todo);
    reply('todos.added', todo);
    send('todos.changed', todos.length);
  },
});
exoRelay.on('online', () => console.log('online'));
exoRelay.connect();
