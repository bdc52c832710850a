// A streamed file: chunks of any size in all, neither service ever holds more than a few of them, and a reader that has seen enough
// stops the service that reads.
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExoCom } from 'nyota/exocom';
import { ExoRelay } from 'nyota/exorelay';

const folder = await mkdtemp(join(tmpdir(), 'nyota-file-'));
const path = join(folder, 'large.csv');
await writeFile(path, 'name,amount\n'.repeat(1_000_000));

const exoCom = new ExoCom();
await new Promise((resolve) => exoCom.listen(0, '127.0.0.1', resolve));
const exocom = { exocomHost: '127.0.0.1', exocomPort: exoCom.address().port };

const files = new ExoRelay({ ...exocom, serviceName: 'files' });
let stopped;
const left = new Promise((resolve) => {
  stopped = resolve;
});
files.registerHandler('file.read', async ({ path }, { reply, signal }) => {
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path, { signal })) {
      reply('file.read-chunk', chunk);
      bytes += chunk.length;
      await files.drained(); // waits while the reader is behind
    }
    reply('file.read-done', { megabytes: Math.round(bytes / 1_000_000) });
  } catch (error) {
    if (!signal.aborted) return reply('file.read-failed', { reason: error.message });
    stopped('nobody reads any more');
  }
});
files.connect();

const web = new ExoRelay({ ...exocom, serviceName: 'web' });
web.connect();
const until = ['file.read-done', 'file.read-failed'];

let bytes = 0;
for await (const { outcome, payload } of web.stream('file.read', { path }, { until })) {
  if (outcome === 'file.read-chunk') bytes += payload.length;
  else console.log(`${outcome} after ${bytes} bytes, which is ${payload.megabytes} MB`);
}
// prints: file.read-done after 12000000 bytes, which is 12 MB

for await (const { payload } of web.stream('file.read', { path }, { until })) {
  console.log(payload.toString().split('\n')[0]);
  break; // enough
}
// prints: name,amount
console.log(await left);
// prints: nobody reads any more

for await (const { outcome } of web.stream('file.read', { path: join(folder, 'gone.csv') }, { until })) {
  console.log(outcome);
}
// prints: file.read-failed

await web.close();
await files.close();
await exoCom.close();
await rm(folder, { recursive: true });
