/** Who gets what waits for a role or an instance that is away, and what becomes of it if nobody comes. */
import { describe, expect, it } from 'vitest';
import { Dispatcher } from '../../../src/exocom/dispatcher.js';
import { Instance, Instances } from '../../../src/exocom/instances.js';
import { dispatch, FakePort, LIMITS } from '../../support/exocom-ports.js';

const QUEUE = { ttlMs: 1_000, maxMessages: 3, maxBytes: 1_000 };

function dispatcher() {
  const time = { now: 0 };
  const instances = new Instances(60_000);
  const made = new Dispatcher(instances, QUEUE, () => time.now);
  const come = (id: string, role = 'jobs') => {
    const port = new FakePort();
    const instance = new Instance(role, id, port, LIMITS, time.now);
    instances.add(instance);
    made.arrived(instance);
    return { instance, got: () => port.delivered.map(({ id: message }) => message), port };
  };
  return { time, dispatcher: made, come };
}

describe('for a role that is away', () => {
  it('messages wait, and go out in order to the first instance that comes', () => {
    const { dispatcher: made, come } = dispatcher();
    for (const id of ['a', 'b']) made.place(dispatch(id));
    expect(made.queued().get('jobs')).toEqual({ messages: 2, bytes: 20 });
    expect(come('1').got()).toEqual(['a', 'b']);
    expect(made.queued().get('jobs')).toEqual({ messages: 0, bytes: 0 });
  });

  it('a full queue refuses what is too much, and leaves room for other roles', () => {
    const { dispatcher: made, come } = dispatcher();
    const all = ['a', 'b', 'c', 'd'].map((id) => dispatch(id));
    for (const one of all) made.place(one);
    expect(all.map(({ outcomes }) => outcomes)).toEqual([[], [], [], [{ failed: 'EXO_QUEUE_FULL' }]]);
    const other = dispatch('e', { role: 'mails' });
    made.place(other);
    expect([other.outcomes, come('1', 'mails').got()]).toEqual([[], ['e']]);
  });

  it('what has waited too long is refused: a message as expired, a reply because its asker is gone', () => {
    const { time, dispatcher: made } = dispatcher();
    const message = dispatch('a');
    made.place(message);
    time.now = 400;
    const [later, reply] = [dispatch('b', { role: 'mails' }), dispatch('r', { only: '1' })];
    made.place(later);
    made.place(reply);
    expect(made.nextExpiry).toBe(1_000);
    made.expire(1_000);
    expect([message.outcomes, later.outcomes]).toEqual([[{ failed: 'EXO_QUEUE_EXPIRED' }], []]);
    expect(made.nextExpiry).toBe(1_400);
    made.expire(1_400);
    expect([later.outcomes, reply.outcomes]).toEqual([
      [{ failed: 'EXO_QUEUE_EXPIRED' }],
      [{ failed: 'EXO_RECEIVER_GONE' }],
    ]);
    expect(made.nextExpiry).toBe(undefined);
  });

  it('what can not wait is refused at once', () => {
    const { dispatcher: made } = dispatcher();
    const question = dispatch('a', { waits: false });
    made.place(question);
    expect(question.outcomes).toEqual([{ failed: 'EXO_RECEIVER_GONE' }]);
  });
});

describe('a reply', () => {
  it('waits for the very instance that asked, and goes to no other', () => {
    const { dispatcher: made, come } = dispatcher();
    made.place(dispatch('r', { only: '1' }));
    made.place(dispatch('a'));
    expect(come('2').got()).toEqual(['a']);
    expect(come('1').got()).toEqual(['r']);
  });

  it('is refused at once if who asked has said that it ends, and waits if it may come back', () => {
    const { dispatcher: made, come } = dispatcher();
    made.departed(come('1').instance, true);
    made.departed(come('2').instance, false);
    const [ended, away] = [dispatch('r', { only: '1' }), dispatch('s', { only: '2' })];
    made.place(ended);
    made.place(away);
    expect([ended.outcomes, away.outcomes]).toEqual([[{ failed: 'EXO_RECEIVER_GONE' }], []]);
    expect(come('2').got()).toEqual(['s']);
  });
});

describe('an instance', () => {
  it('that is gone leaves what it has not handled to another, in order: flagged if it had been given it', () => {
    const { dispatcher: made, come } = dispatcher();
    const first = come('1');
    const all = ['a', 'b', 'c'].map((id) => dispatch(id));
    for (const one of all) made.place(one);
    expect(first.got()).toEqual(['a', 'b']);
    made.departed(first.instance, false);
    const second = come('2');
    second.instance.handled('a');
    expect(second.port.delivered.map(({ id, redelivered }) => [id, redelivered])).toEqual([
      ['a', true],
      ['b', true],
      ['c', undefined],
    ]);
  });

  it('that leaves keeps what it was given, and the rest goes to another', () => {
    const { dispatcher: made, come } = dispatcher();
    const first = come('1');
    for (const id of ['a', 'b', 'c']) made.place(dispatch(id));
    made.leaving(first.instance);
    const second = come('2');
    made.place(dispatch('d'));
    expect([first.got(), second.got()]).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
    expect(first.instance.handled('a')?.redelivered).toBe(false);
  });

  it('that is busy takes no more than may wait for it', () => {
    const { dispatcher: made, come } = dispatcher();
    come('1');
    const all = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => dispatch(id));
    for (const one of all) made.place(one);
    expect(all.at(-1)?.outcomes).toEqual([{ failed: 'EXO_QUEUE_FULL' }]);
    expect(made.queued().get('jobs')?.messages).toBe(3);
  });
});

describe('a message that nobody needs any more', () => {
  it('is taken back from the queue of a role that is away', () => {
    const { dispatcher: made, come } = dispatcher();
    const message = dispatch('a');
    made.place(message);
    made.cancel('a', ['jobs', 'mails']);
    expect([message.outcomes, come('1').got(), made.nextExpiry]).toEqual([
      [{ cancelled: true }],
      [],
      undefined,
    ]);
  });

  it('is taken back from an instance that it still waits for, and not from one that has it', () => {
    const { dispatcher: made, come } = dispatcher();
    const { instance, got } = come('1');
    const [had, , waits] = ['a', 'b', 'c'].map((id) => {
      const one = dispatch(id);
      made.place(one);
      return one;
    });
    made.cancel('a', ['jobs']);
    made.cancel('c', ['jobs']);
    expect([had?.outcomes, waits?.outcomes]).toEqual([[], [{ cancelled: true }]]);
    instance.handled('a');
    expect(got()).toEqual(['a', 'b']);
  });
});
