// Progress: a service may reply to a message as often as it likes, each time with a message of another name.
import { ExoCom } from 'nyota/exocom';
import { ExoRelay } from 'nyota/exorelay';

const exoCom = new ExoCom();
await new Promise((resolve) => exoCom.listen(0, '127.0.0.1', resolve));
const exocom = { exocomHost: '127.0.0.1', exocomPort: exoCom.address().port };

const files = new ExoRelay({ ...exocom, serviceName: 'files' });
files.registerHandler('file.copy', async ({ from, to }, { reply }) => {
  for (const percent of [0, 25, 50, 75]) {
    reply('file.copying', { percent });
    await new Promise((resolve) => setTimeout(resolve, 10)); // copies a part
  }
  reply('file.copied', { from, to }, { last: true });
});
files.connect();

const web = new ExoRelay({ ...exocom, serviceName: 'web' });
web.connect();
await new Promise((resolve) => {
  web.send('file.copy', { from: 'large.csv', to: 'backup.csv' }, (payload, { outcome }) => {
    switch (outcome) {
      case 'file.copying':
        console.log(`still copying, ${payload.percent}% done`);
        break;
      case 'file.copied':
        console.log('file copy finished!');
        resolve();
    }
  });
});
// prints: still copying, 0% done
// prints: still copying, 25% done
// prints: still copying, 50% done
// prints: still copying, 75% done
// prints: file copy finished!

await web.close();
await files.close();
await exoCom.close();
