/** What an instance is given, and which one gets a message. */
import { describe, expect, it } from 'vitest';
import { Instance, Instances } from '../../../src/exocom/instances.js';
import { dispatch, FakePort, LIMITS } from '../../support/exocom-ports.js';

describe('an instance', () => {
  const make = () => {
    const port = new FakePort();
    return { port, instance: new Instance('jobs', '1', port, LIMITS, 0) };
  };
  const ids = (port: FakePort) => port.delivered.map(({ id }) => id);

  it('has so many messages at a time, and gets the next when one is handled', () => {
    const { port, instance } = make();
    for (const id of ['a', 'b', 'c', 'd']) instance.offer(dispatch(id));
    expect([ids(port), instance.load, instance.waiting]).toEqual([['a', 'b'], 4, 2]);
    expect(instance.handled('a')?.key).toBe('a');
    expect(instance.handled('a')).toBe(undefined);
    expect(ids(port)).toEqual(['a', 'b', 'c']);
  });

  it('takes no more than may wait for it', () => {
    const { instance } = make();
    expect(['a', 'b', 'c', 'd', 'e', 'f'].map((id) => instance.offer(dispatch(id)))).toEqual([
      ...[true, true, true, true, true],
      false,
    ]);
  });

  it('waits for room on the way to it, and loses nothing', () => {
    const { port, instance } = make();
    port.answers = ['full'];
    instance.offer(dispatch('a'));
    instance.offer(dispatch('b'));
    expect(ids(port)).toEqual([]);
    port.answers = ['slow'];
    instance.drained();
    expect(ids(port)).toEqual(['a']);
    instance.drained();
    expect(ids(port)).toEqual(['a', 'b']);
  });

  it('gives back what can’t be sent, and goes on', () => {
    const { port, instance } = make();
    port.answers = ['impossible'];
    const bad = dispatch('bad');
    instance.offer(bad);
    instance.offer(dispatch('good'));
    expect([ids(port), bad.outcomes]).toEqual([['good'], [{ failed: 'EXO_UNDELIVERABLE' }]]);
  });

  it('gets replies besides its messages', () => {
    const { port, instance } = make();
    for (const id of ['a', 'b', 'c']) instance.offer(dispatch(id));
    instance.offer(dispatch('reply', { only: '1' }));
    expect(ids(port)).toEqual(['a', 'b', 'reply']);
    expect(instance.handled('reply')?.key).toBe('reply');
  });

  it('one message is always let through, however large', () => {
    const { port, instance } = make();
    instance.offer(dispatch('large', { size: 500 }));
    instance.offer(dispatch('next'));
    expect(ids(port)).toEqual(['large']);
    instance.handled('large');
    expect(ids(port)).toEqual(['large', 'next']);
  });

  it('leaves what it had, in order, and what it was given is flagged', () => {
    const { instance } = make();
    for (const id of ['a', 'b', 'c']) instance.offer(dispatch(id));
    expect(instance.takeAll().map(({ key, redelivered }) => [key, redelivered])).toEqual([
      ['a', true],
      ['b', true],
      ['c', false],
    ]);
    expect(instance.load).toBe(0);
  });

  it('gets all of it again over a new session', () => {
    const { instance } = make();
    instance.offer(dispatch('a'));
    const port = new FakePort();
    instance.rebind(port);
    instance.offer(dispatch('b'));
    expect(port.delivered).toEqual([]);
    instance.drained();
    expect(port.delivered.map(({ id, redelivered }) => [id, redelivered])).toEqual([
      ['a', true],
      ['b', undefined],
    ]);
  });
});

describe('the instances of a role', () => {
  const instance = (id: string, handles: string[] = [], connected = true): Instance => {
    const port = new FakePort();
    port.connected = connected;
    const made = new Instance('jobs', id, port, LIMITS, 0);
    made.handles = new Set(handles);
    return made;
  };
  const instances = (...instances: Instance[]): Instances => {
    const made = new Instances(1_000);
    for (const one of instances) made.add(one);
    return made;
  };

  it('prefers who has a handler, who is connected, and who has least to do', () => {
    const [deaf, away, busy, free] = [
      instance('deaf'),
      instance('away', ['job'], false),
      instance('busy', ['job']),
      instance('free', ['job']),
    ] as const;
    busy.offer(dispatch('x'));
    const all = instances(deaf, away, busy, free);
    expect(all.choose('jobs', 'job', 'a', 0)?.id).toBe('free');
    expect(instances(deaf, away).choose('jobs', 'job', 'a', 0)?.id).toBe('away');
    expect(instances(deaf).choose('jobs', 'job', 'a', 0)?.id).toBe('deaf');
    expect(instances().choose('jobs', 'job', 'a', 0)).toBe(undefined);
  });

  it('keeps an activity where it is, as long as that lives and for the idle time', () => {
    const [one, two] = [instance('1', ['job']), instance('2', ['job'])] as const;
    const both = instances(one, two);
    expect(both.choose('jobs', 'job', 'a', 0)?.id).toBe('1');
    one.offer(dispatch('x'));
    expect(both.choose('jobs', 'job', 'a', 900)?.id).toBe('1');
    expect(both.choose('jobs', 'job', 'b', 900)?.id).toBe('2');
    expect(both.choose('jobs', 'job', 'a', 2_000)?.id).toBe('2');
    both.remove(two);
    expect(both.choose('jobs', 'job', 'b', 2_000)?.id).toBe('1');
  });

  it('gives nothing new to one that leaves, but what it had', () => {
    const [one, two] = [instance('1', ['job']), instance('2', ['job'])] as const;
    const both = instances(one, two);
    expect(both.choose('jobs', 'job', 'a', 0)?.id).toBe('1');
    one.leave();
    expect(both.choose('jobs', 'job', 'a', 0, '1')?.id).toBe('1');
    expect(both.choose('jobs', 'job', 'a', 0)?.id).toBe('2');
    two.leave();
    expect(both.choose('jobs', 'job', 'c', 0)).toBe(undefined);
  });
});
