/** An instance of the storm test's service in a process of its own: `PORT ROLE NEXT INSTANCE LOG`. Its parent kills it. */
import { serve } from './exo-storm-service.mjs';

// Not resolved by the compiler: what this process runs is built from the same src, into another folder.
const entry = 'nyota/exorelay';
/** @type {typeof import('../../src/exorelay/index.js')} */
const { ExoRelay } = await import(entry);

const [port = '', role = '', next = '', instance = '', log = ''] = process.argv.slice(2);
const relay = new ExoRelay({ exocomHost: '127.0.0.1', exocomPort: port, role });
relay.on('error', (error) => {
  // The services of the others may be gone for a moment.
  process.send?.({ error: error.message });
});
serve(relay, { role, next, instance, log });
relay.on('online', () => process.send?.({ online: true }));
relay.connect();
