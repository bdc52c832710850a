/**
 * What a session is known by. The client makes a secret of 256 bits and keeps it; everything else is derived: the public id,
 * and the verifier that the server keeps instead of the secret. So a client whose WELCOME was lost opens again with the same
 * secret and finds the same session (docs/design.md, rules 16 and 68). Pure: the secret is handed in.
 */
import { createHash, timingSafeEqual } from 'node:crypto';

export const SECRET_BYTES = 32;
const ID_BYTES = 16;

/** The public id: 128 bits as 22 characters of base64url. Tells nothing of the secret. */
export function sessionId(secret: Uint8Array): string {
  return createHash('sha256')
    .update('nyota session id\0')
    .update(secret)
    .digest()
    .subarray(0, ID_BYTES)
    .toString('base64url');
}

/** What the server keeps, and recognises the secret by. */
export function verifierOf(secret: Uint8Array): Buffer {
  return createHash('sha256').update('nyota session verifier\0').update(secret).digest();
}

/** In constant time. */
export function verify(secret: Uint8Array, verifier: Uint8Array): boolean {
  const ours = verifierOf(secret);
  return ours.length === verifier.length && timingSafeEqual(ours, verifier);
}
