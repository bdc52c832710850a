/** What a session is known by. */
import { describe, expect, it } from 'vitest';
import { SECRET_BYTES, sessionId, verifierOf, verify } from '../../../src/peer/credentials.js';

describe('what a session is known by', () => {
  const secret = Buffer.alloc(SECRET_BYTES, 7);
  const other = Buffer.alloc(SECRET_BYTES, 8);

  it('an id of 22 characters that follows from the secret and does not show it', () => {
    expect(sessionId(secret)).toMatch(/^[\w-]{22}$/);
    expect(sessionId(secret)).toBe(sessionId(Buffer.from(secret)));
    expect(sessionId(secret)).not.toBe(sessionId(other));
  });

  it('a verifier that knows this secret and no other, nor one of another length', () => {
    const verifier = verifierOf(secret);
    expect([verify(secret, verifier), verify(other, verifier), verify(secret, verifier.subarray(1))]).toEqual(
      [true, false, false],
    );
    expect(verifier.includes(secret)).toBe(false);
    expect(verifier.toString('base64url').startsWith(sessionId(secret))).toBe(false);
  });
});
