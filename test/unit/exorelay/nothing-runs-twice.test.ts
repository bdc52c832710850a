/** What was begun or finished here is known, for a time, and up to a number: so no message runs twice. */
import { describe, expect, it } from 'vitest';
import { Jobs, REMEMBERED_MESSAGES, REMEMBERED_MS } from '../../../src/exorelay/inbound.js';

describe('what was delivered', () => {
  const ref = (id: string) => ({ sender: 'web', id });

  it('is new, running, then finished', () => {
    const jobs = new Jobs();
    expect(jobs.stateOf(ref('a'))).toBe('new');
    const job = jobs.begin(ref('a'));
    expect(jobs.stateOf(ref('a'))).toBe('running');
    expect(jobs.finish(job, 0)).toBe(true);
    expect(jobs.stateOf(ref('a'))).toBe('finished');
    expect(jobs.stateOf(ref('b'))).toBe('new');
  });

  it('is remembered for ten minutes', () => {
    const jobs = new Jobs();
    jobs.finish(jobs.begin(ref('a')), 0);
    jobs.finish(jobs.begin(ref('b')), REMEMBERED_MS - 1);
    expect(jobs.stateOf(ref('a'))).toBe('finished');
    jobs.finish(jobs.begin(ref('c')), REMEMBERED_MS);
    expect([jobs.stateOf(ref('a')), jobs.stateOf(ref('b'))]).toEqual(['new', 'finished']);
  });

  it('is remembered up to a number', () => {
    const jobs = new Jobs();
    for (let i = 0; i <= REMEMBERED_MESSAGES; i++) jobs.finish(jobs.begin(ref(`m${i}`)), 0);
    expect([jobs.stateOf(ref('m0')), jobs.stateOf(ref('m1'))]).toEqual(['new', 'finished']);
  });

  it('when it is revoked, what was not confirmed as finished is forgotten, and may run again', () => {
    const jobs = new Jobs();
    const running = jobs.begin(ref('running'));
    const told = jobs.begin(ref('told'));
    const confirmed = jobs.begin(ref('confirmed'));
    jobs.finish(told, 0);
    jobs.finish(confirmed, 0);
    jobs.confirmed(confirmed);
    expect(jobs.revoke()).toEqual([running, told]);
    expect([running.dead, told.dead, confirmed.dead]).toEqual([true, true, false]);
    expect(['running', 'told', 'confirmed'].map((id) => jobs.stateOf(ref(id)))).toEqual([
      'new',
      'new',
      'finished',
    ]);
    expect(jobs.finish(running, 0)).toBe(false);
  });

  it('a handler that goes on after it has returned is found until its last reply, and not for ever', () => {
    const jobs = new Jobs();
    const job = jobs.begin(ref('a'));
    jobs.finish(job, 0);
    jobs.linger(job);
    expect(jobs.find(ref('a'))).toBe(job);
    jobs.finish(jobs.begin(ref('b')), REMEMBERED_MS);
    expect(jobs.find(ref('a'))).toBeUndefined();
  });
});
