/** NyotaError and the codes; texts that are fit for a log line. */
import { describe, expect, it } from 'vitest';
import { asError, ERROR_CODES, isErrorCode, isRetry, NyotaError, printable, warn } from '../../src/errors.js';

describe('a NyotaError', () => {
  it('is an Error with a name, a code, and what a caller may do next', () => {
    const error = new NyotaError('NYOTA_TIMEOUT', 'too late');
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.code, error.message, error.retry, error.retryAfterMs, error.cause]).toEqual([
      'NyotaError',
      'NYOTA_TIMEOUT',
      'too late',
      'backoff',
      undefined,
      undefined,
    ]);
    expect(error.stack).toContain('too late');
    expect(Object.hasOwn(error, 'cause')).toBe(false);
  });

  it('keeps a cause, also one that is undefined, and what a peer knows better', () => {
    const cause = new Error('why');
    const error = new NyotaError('NYOTA_SERVER_BUSY', 'busy', { cause, retry: 'elsewhere', retryAfterMs: 5 });
    expect([error.cause, error.retry, error.retryAfterMs]).toEqual([cause, 'elsewhere', 5]);
    expect(Object.hasOwn(new NyotaError('NYOTA_ABORTED', 'x', { cause: undefined }), 'cause')).toBe(true);
  });
});

describe('the codes', () => {
  it('all begin with NYOTA_ and have a retry', () => {
    for (const [code, retry] of Object.entries(ERROR_CODES)) {
      expect(code).toMatch(/^NYOTA_[A-Z_]+$/);
      expect(isRetry(retry)).toBe(true);
      expect(isErrorCode(code)).toBe(true);
    }
  });

  it('are told from names that every object has', () => {
    for (const value of [
      'toString',
      '__proto__',
      'constructor',
      'NYOTA_NOTHING',
      '',
      5,
      null,
      undefined,
      {},
    ]) {
      expect(isErrorCode(value)).toBe(false);
      expect(isRetry(value)).toBe(false);
    }
  });

  it('stop a client where trying again makes no sense, and only there', () => {
    const never = Object.entries(ERROR_CODES).filter(([, retry]) => retry === 'never');
    const names = never.map(([code]) => code);
    for (const code of ['NYOTA_UNAUTHORIZED', 'NYOTA_TAKEN_OVER', 'NYOTA_VERSION_MISMATCH']) {
      expect(names).toContain(code);
    }
    for (const code of ['NYOTA_CONNECT_FAILED', 'NYOTA_PING_TIMEOUT', 'NYOTA_SERVER_CLOSING']) {
      expect(names).not.toContain(code);
    }
  });
});

describe('text from the wire', () => {
  it('is shown escaped: no control character, line break or escape sequence comes through', () => {
    const nasty = Array.from({ length: 0x20 }, (_, code) => String.fromCharCode(code)).join('');
    const others = '\u007f\u0085\u009f\u2028\u2029"\\';
    const shown = printable(nasty) + printable(others);
    expect([...shown].every((character) => character >= ' ' && character <= '~')).toBe(true);
    expect(printable('\n')).toBe('\\n');
    expect(printable('\u009f')).toBe('\\u009f');
    expect(printable('plain text, ünïcödé too')).toBe('plain text, ünïcödé too');
  });

  it('is cut at 120 characters', () => {
    expect(printable('x'.repeat(120))).toBe('x'.repeat(120));
    expect(printable('x'.repeat(121))).toBe(`${'x'.repeat(120)}…`);
    expect(printable('\u0001'.repeat(1e6)).length).toBeLessThan(1_000);
  });

  it('shows half of a character without breaking what follows', () => {
    expect(() => encodeURIComponent(printable('\ud800'))).not.toThrow();
    expect(() => encodeURIComponent(printable(`${'x'.repeat(119)}😀`))).not.toThrow();
  });
});

describe('what was thrown', () => {
  it('is an error as it is, or the cause of one that has its text', () => {
    const error = new TypeError('no');
    expect(asError(error)).toBe(error);
    expect(asError('text')).toMatchObject({ message: 'text', cause: 'text' });
    const bare: unknown = Object.create(null);
    expect(asError(bare)).toMatchObject({ message: 'something that has no text', cause: bare });
  });

  it('is told as a warning of the process, with its code or the one that is given', async () => {
    const warned: [string, unknown][] = [];
    const heard = new Promise<void>((resolve) => {
      process.on('warning', function listen(warning: Error & { code?: string }) {
        if (warning.name !== 'TestWarning') return;
        if (warned.push([warning.message, warning.code]) < 2) return;
        process.off('warning', listen);
        resolve();
      });
    });
    warn(new NyotaError('NYOTA_CLOSED', 'over'), 'TestWarning', 'OTHER');
    warn('a text', 'TestWarning', 'OTHER');
    await heard;
    expect(warned).toEqual([
      ['over', 'NYOTA_CLOSED'],
      ['a text', 'OTHER'],
    ]);
  });
});
