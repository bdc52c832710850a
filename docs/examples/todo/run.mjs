// Starts all of it, asks for the page, kills the todo instance that is at work, and still gets the page.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const tokens = { web: 'web-secret', todo: 'todo-secret' }; // for real: from a secret store
const running = new Set();

/** Starts a process; `heard(pattern)` resolves once it prints a line like that. */
function start(name, file, env) {
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url))], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const waiting = new Set();
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      console.log(`${name.padEnd(8)} | ${line}`);
      for (const tell of waiting) tell(line);
    }
  });
  const heard = (pattern) =>
    new Promise((resolve, reject) => {
      const tell = (line) => {
        const match = line.match(pattern);
        if (match !== null) resolve(match);
      };
      waiting.add(tell);
      child.once('exit', () => reject(new Error(`${name} ended`)));
    });
  return { child, name, heard };
}

try {
  const hub = start('exocom', 'hub.mjs', { EXOCOM_PORT: '0', EXOCOM_TOKENS: JSON.stringify(tokens) });
  const [, exocomPort] = await hub.heard(/online at port (\d+)/);
  const service = (role) => ({ EXOCOM_PORT: exocomPort, SERVICE_NAME: role, EXOCOM_TOKEN: tokens[role] });
  const todos = ['todo 1', 'todo 2'].map((name) => start(name, 'todo-service.mjs', service('todo')));
  const web = start('web', 'web-server.mjs', { ...service('web'), EXORELAY_PORT: '0', PORT: '0' });
  const [[, webPort]] = await Promise.all([
    web.heard(/listening on port (\d+)/),
    ...todos.map(({ heard }) => heard(/^online$/)),
  ]);

  const page = fetch(`http://127.0.0.1:${webPort}/`).then((response) => response.text());
  const atWork = await Promise.race(todos.map((todo) => todo.heard(/^at work$/).then(() => todo)));
  atWork.child.kill('SIGKILL');
  console.log(`${atWork.name} was killed while it was at work`);

  console.log(`the page: ${await page}`);
} finally {
  for (const child of running) child.kill();
}
