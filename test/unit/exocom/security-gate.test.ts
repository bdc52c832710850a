/** Whatever is not a clear yes of the security role is a no. */
import { describe, expect, it } from 'vitest';
import type { Dispatch } from '../../../src/exocom/instances.js';
import { readSecurityRequest, SecurityGate } from '../../../src/exocom/security-gate.js';
import { decodeBody, encodeBody, SecurityMessage } from '../../../src/exorelay/message.js';
import { createFakeClock } from '../../../src/testing/index.js';

function gate(required = true) {
  const clock = createFakeClock();
  const placed: Dispatch[] = [];
  let next = 0;
  const security = new SecurityGate(required, {
    ...{ timeoutMs: 5_000, clock, newId: () => `id${next++}` },
    place: (dispatch) => placed.push(dispatch),
  });
  const decisions: boolean[] = [];
  const message = { id: 'm', name: 'create user', activityId: 'act', sender: 'web' };
  const ask = (more = {}) => security.authorize({ ...message, ...more }, (yes) => decisions.push(yes));
  return { clock, placed, security, decisions, ask };
}

describe('the security gate', () => {
  it('is open until security is required, or a security service was seen; then it stays closed', () => {
    expect(gate(true).security.closed).toBe(true);
    const { security } = gate(false);
    expect(security.closed).toBe(false);
    security.seen();
    expect(security.closed).toBe(true);
  });

  it('asks with the whole message, in an activity of its own, and lets through on a yes', () => {
    const { placed, security, decisions, ask } = gate();
    ask({ payload: encodeBody({ name: 'ada' }), auth: encodeBody('token') });
    const { envelope, role, waits } = placed[0] as Dispatch;
    expect([role, waits, envelope.name]).toEqual(['security', false, SecurityMessage.AUTHORIZE]);
    expect(envelope.activityId).not.toBe('act');
    expect(decodeBody(envelope.payload as Uint8Array)).toEqual({
      ...{ id: 'm', name: 'create user', activityId: 'act', sender: 'web' },
      ...{ payload: { name: 'ada' }, auth: 'token' },
    });
    expect(security.answered(envelope.id, true)).toBe(true);
    expect(decisions).toEqual([true]);
  });

  it('takes no second answer, and none to what nobody asked', () => {
    const { placed, security, decisions, ask } = gate();
    ask();
    const { id } = (placed[0] as Dispatch).envelope;
    expect([security.answered('made up', true), security.answered(id, false)]).toEqual([false, true]);
    expect([security.answered(id, true), decisions]).toEqual([false, [false]]);
  });

  it('takes silence for a no, and a late yes changes nothing', async () => {
    const { clock, placed, security, decisions, ask } = gate();
    ask();
    await clock.advance(4_999);
    expect(decisions).toEqual([]);
    await clock.advance(1);
    expect(decisions).toEqual([false]);
    expect(security.answered((placed[0] as Dispatch).envelope.id, true)).toBe(false);
  });

  it.each([
    ['nobody is there', { failed: 'EXO_RECEIVER_GONE' as const }],
    ['its handler fails', { error: 'thrown' }],
    ['the question is taken back', { cancelled: true as const }],
  ])('takes it for a no if %s', (_what, result) => {
    const { placed, decisions, ask } = gate();
    ask();
    placed[0]?.settled(result);
    expect(decisions).toEqual([false]);
  });

  it('waits for the answer after its handler has finished without an error', () => {
    const { placed, decisions, ask } = gate();
    ask();
    placed[0]?.settled({ error: undefined });
    expect(decisions).toEqual([]);
  });

  it('denies at once what nobody can read', () => {
    const { placed, decisions, ask } = gate();
    ask({ payload: Buffer.from([0xc1]) });
    expect([decisions, placed]).toEqual([[false], []]);
  });

  it('decides nothing any more once the hub has stopped', async () => {
    const { clock, security, decisions, ask } = gate();
    ask();
    security.stop();
    await clock.advance(60_000);
    expect(decisions).toEqual([]);
  });
});

describe('a question of the security role', () => {
  it('names a message, with or without a payload', () => {
    const asked = readSecurityRequest(encodeBody({ name: 'users list', payload: [1] }));
    expect([asked?.name, decodeBody(asked?.payload as Uint8Array)]).toEqual(['users list', [1]]);
    expect(readSecurityRequest(encodeBody({ name: 'users list' }))).toEqual({ name: 'users list' });
  });

  it.each([
    [undefined],
    [encodeBody('users')],
    [encodeBody({ name: '' })],
    [encodeBody(null)],
    [Buffer.from([0xc1])],
  ])('is none: %s', (body) => {
    expect(readSecurityRequest(body)).toBe(undefined);
  });
});
