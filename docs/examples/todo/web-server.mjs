// The web server: to render the homepage it asks for the todo list, without knowing who keeps it.
import express from 'express';
import { ExoRelay } from 'nyota/exorelay';

const exoRelay = new ExoRelay();
exoRelay.on('error', (error) => console.log(`error: ${error.message}`));
exoRelay.registerHandler('todos.changed', (count) => console.log(`there are ${count} todos now`));

const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const app = express();
app.get('/', async (_request, response) => {
  try {
    const { payload: todos } = await exoRelay.request('todos.list', undefined, { timeoutMs: 10_000 });
    const items = todos.map((todo) => `<li>${escaped(todo)}</li>`).join('');
    response.send(`<!doctype html><title>Todos</title><ul>${items}</ul>`);
  } catch (error) {
    // NYOTA_TIMEOUT, or what ExoCom refused.
    response.status(503).send(`<!doctype html><p>No todos right now: ${escaped(error.message)}</p>`);
  }
});

exoRelay.on('online', () => {
  const server = app.listen(process.env.PORT ?? 3000, '127.0.0.1', () => {
    console.log(`Todo web server listening on port ${server.address().port}`);
  });
});
// Its own port answers the status check of whoever runs the services: nyota request 127.0.0.1:4000 __status
exoRelay.listen();
