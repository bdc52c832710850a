// ExoCom: all that the services know of each other is its address.
// The same on the command line: EXOCOM_TOKENS=… nyota exocom --routes routes.yaml --port 3200
import { fileURLToPath } from 'node:url';
import { ExoCom } from 'nyota/exocom';

const exoCom = new ExoCom({
  routes: fileURLToPath(new URL('routes.yaml', import.meta.url)),
  instanceGraceMs: 300,
  log: console.log,
  // Who may be which service: EXOCOM_TOKENS, as JSON.
});
exoCom.on('warning', ({ message }) => console.log(message));
exoCom.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
exoCom.listen(process.env.EXOCOM_PORT, '127.0.0.1', () => {
  console.log(`ExoCom online at port ${exoCom.address().port}`);
});
