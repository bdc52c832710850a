/** Secrets from the seed, in a simulation only: node's own random bytes are put back behind it. */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Random } from './random.js';

export async function withSeededSecrets<T>(seed: number, run: () => Promise<T>): Promise<T> {
  const random = new Random(seed, 0x5ec7);
  const { randomBytes } = crypto;
  const seeded = (size: number): Buffer => random.bytes(size);
  crypto.randomBytes = seeded as typeof randomBytes;
  syncBuiltinESMExports();
  try {
    return await run();
  } finally {
    crypto.randomBytes = randomBytes;
    syncBuiltinESMExports();
  }
}
