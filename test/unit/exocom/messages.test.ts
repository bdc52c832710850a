/** Which messages are on their way and which are finished, and who may answer whom. */
import { describe, expect, it } from 'vitest';
import { Instance, Instances } from '../../../src/exocom/instances.js';
import { type Incoming, Requests, Unfinished } from '../../../src/exocom/messages.js';
import { FakePort, LIMITS } from '../../support/exocom-ports.js';

function incoming(id: string): Incoming {
  const envelope = { id, name: 'job', activityId: id };
  return {
    ...{ key: `web\n${id}`, role: 'web', instance: '1', envelope, name: 'job' },
    ...{ size: 10, at: 0, isSecurity: false },
  };
}

function unfinished() {
  const port = new FakePort();
  const instances = new Instances(60_000);
  instances.add(new Instance('web', '1', port, LIMITS, 0));
  return { port, messages: new Unfinished(instances) };
}

describe('a message on its way', () => {
  it('is accepted once all of its dispatches, and the placing of them, are done', () => {
    const { port, messages } = unfinished();
    const message = incoming('a');
    messages.begin(message);
    messages.expect(message);
    messages.expect(message);
    for (const told of [[], [], ['a']]) {
      messages.settle(message, 0);
      expect(port.told).toEqual(told);
    }
    expect(messages.running).toBe(0);
    messages.settle(message, 0);
    expect(port.told).toEqual(['a']);
  });

  it('that is sent again is not passed on twice, and is not answered before it is finished', () => {
    const { port, messages } = unfinished();
    messages.begin(incoming('a'));
    expect([messages.repeated('web\na', 'a', port, 0), port.told]).toEqual([true, []]);
  });

  it('that is sent again after it is finished is answered as it was the first time', () => {
    const { port, messages } = unfinished();
    const message = incoming('a');
    messages.begin(message);
    messages.reject(message, 'EXO_QUEUE_FULL', 'too many');
    messages.settle(message, 0);
    const later = new FakePort();
    expect(messages.repeated('web\na', 'a', later, 1_000)).toBe(true);
    expect([port.told, later.told]).toEqual([
      [['a', 'EXO_QUEUE_FULL'], 'a'],
      [['a', 'EXO_QUEUE_FULL'], 'a'],
    ]);
  });

  it('is forgotten ten minutes after it was finished: it would be passed on again', () => {
    const { port, messages } = unfinished();
    messages.begin(incoming('a'));
    messages.settle(incoming('a'), 0);
    expect(messages.repeated('web\na', 'a', port, 10 * 60_000 + 1)).toBe(false);
  });

  it('of a sender that is gone harms nobody', () => {
    const messages = new Unfinished(new Instances(60_000));
    messages.begin(incoming('a'));
    messages.reject(incoming('a'), 'EXO_NO_RECEIVERS', 'nobody');
    messages.settle(incoming('a'), 0);
    expect(messages.running).toBe(0);
  });
});

describe('a question', () => {
  const asked = (roles: string[] | undefined, role = 'web') => ({
    ...{ role, instance: '1', activityId: 'x', at: 0, isSecurity: false },
    asked: roles && new Set(roles),
  });

  it('is answered by the roles that were asked, and by no other', () => {
    const requests = new Requests(1_000);
    requests.add('q', asked(['users']), 0);
    expect(requests.answerable('q', 'users', 0)).toMatchObject({ role: 'web', instance: '1' });
    expect(requests.answerable('q', 'spy', 0)).toBe(undefined);
  });

  it('that was asked of nobody knows whom is answered by whoever does', () => {
    const requests = new Requests(1_000);
    requests.add('q', asked(undefined), 0);
    expect(requests.answerable('q', 'anybody', 0)).toBeDefined();
  });

  it('is not another role’s to take over by its id', () => {
    const requests = new Requests(1_000);
    requests.add('q', asked(['users']), 0);
    expect(requests.add('q', asked(['users'], 'spy'), 0)).toBe(undefined);
    expect(requests.get('q', 0)?.role).toBe('web');
  });

  it('is forgotten after the last answer of the last role that was asked', () => {
    const requests = new Requests(1_000);
    const request = requests.add('q', asked(['users', 'mails']), 0);
    if (request === undefined) throw new Error('it was not taken');
    requests.answered('q', 'users', request);
    expect(requests.answerable('q', 'users', 0)).toBe(undefined);
    expect(requests.answerable('q', 'mails', 0)).toBe(request);
    requests.answered('q', 'mails', request);
    expect(requests.get('q', 0)).toBe(undefined);
  });

  it('lives as long as it is used, and is let go when nobody asks for it', () => {
    const requests = new Requests(1_000);
    requests.add('q', asked(['users']), 0);
    expect(requests.answerable('q', 'users', 900)).toBeDefined();
    expect(requests.answerable('q', 'users', 1_800)).toBeDefined();
    expect(requests.answerable('q', 'users', 2_801)).toBe(undefined);
  });
});
