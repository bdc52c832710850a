/** The judge of the kill tests finds what it is there for: each log here has one thing wrong, and the first has nothing. */
import { describe, expect, it } from 'vitest';
import { KillLog } from '../support/kill-log.js';

/** A client sends three events and a request; the server is killed in between and comes back. */
const GOOD = [
  ...['server 0 B 0', 'client 0 B 0'],
  ...['client 0 S 1', 'client 0 S 2', 'client 0 Q 1'],
  ...['server 0 H 1 0 0 s/1', 'server 0 H 2 0 0 s/2', 'client 0 K 1'],
  'server 1 B 1',
  ...['server 1 H 2 0 1 s/2', 'server 1 R 1 0 0 s/3', 'client 0 A 1 1', 'client 0 K 2'],
  ...['client 0 S 3', 'server 1 H 3 0 0 s/4'],
];

function judge(lines: readonly string[], sent = 3) {
  const nobody = { sent: 0, asked: 0 };
  const text = lines.map((line) => `\n${line};`).join('');
  return new KillLog().read(text).judge({ client: { sent, asked: 1 }, server: nobody });
}

/** The log with one line in the place of another; undefined: without it. */
function changed(line: string, ...by: string[]): string[] {
  const at = GOOD.indexOf(line);
  expect(at).toBeGreaterThanOrEqual(0);
  return GOOD.toSpliced(at, 1, ...by);
}

describe('the judge', () => {
  it('is content where nothing is lost, and counts what was flagged', () => {
    const { problems, lost, repeated, counts } = judge(GOOD);
    expect(problems).toEqual([]);
    expect({ lost, repeated }).toEqual({ lost: 0, repeated: 0 });
    expect(counts.server).toEqual({ events: 3, requests: 1, redelivered: 1 });
  });

  it('does not count a line that a kill has torn', () => {
    expect(new KillLog().read('\nserver 0 H 1 0').judge(NOTHING).problems).toEqual([]);
  });

  it.each<[string, string[], string]>([
    ['a lost event', changed('server 1 H 3 0 0 s/4'), "the client's event: 1 of 3 lost"],
    [
      'a hole that is filled later',
      changed('server 0 H 1 0 0 s/1').toSpliced(-1, 1, 'server 1 H 3 0 0 s/4', 'server 1 H 1 0 1 s/1'),
      "the client's event 2 was dispatched next after 0",
    ],
    [
      'a repetition without the flag',
      changed('server 1 H 2 0 1 s/2', 'server 1 H 2 0 0 s/2'),
      "the client's event 2 was dispatched again without the flag",
    ],
    [
      'another id',
      changed('server 1 H 2 0 1 s/2', 'server 1 H 2 0 1 s/9'),
      "the client's event 2 had the id s/2, and now has s/9",
    ],
    [
      'a repetition of what was acknowledged',
      changed('server 1 H 2 0 1 s/2', 'server 1 H 1 0 1 s/1', 'server 1 H 2 0 1 s/2'),
      "the client's event 1 was dispatched again after it had been acknowledged",
    ],
    [
      'an acknowledgement that comes too early',
      changed('client 0 S 3', 'client 0 S 3', 'client 0 K 3'),
      "the client's event 3 was acknowledged before it was dispatched",
    ],
    [
      'an event that nobody has sent',
      changed('client 0 S 3'),
      "the client's event 3 of process 0 was dispatched, and not sent by it",
    ],
    [
      'a second effect',
      changed('client 0 A 1 1', 'client 0 A 1 2'),
      "the client's request 1 was answered with the balance 2",
    ],
    [
      'what a process has found itself',
      [...GOOD, 'client 0 V the ack of 2 failed'],
      'client 0: the ack of 2 failed',
    ],
  ])('finds %s', (_what, lines, problem) => {
    expect(judge(lines).problems).toContain(problem);
  });

  it('finds an acknowledgement before the promise of a slow listener', () => {
    const sixteen = Array.from({ length: 16 }, (_, i) => i + 1);
    const messages = sixteen.flatMap((n) => [`client 0 S ${n}`, `server 0 H ${n} 0 0 s/${n}`]);
    const lines = ['server 0 B 0', 'client 0 B 0', ...messages];
    expect(judge([...lines, 'client 0 K 15', 'client 0 K 16'], 16).problems).toContain(
      "the client's event 16 was acknowledged before its listener was done",
    );
    expect(judge([...lines, 'server 0 E 16', 'client 0 K 16'], 16).problems).toEqual([
      "the client's request: 1 of 1 lost",
    ]);
  });

  it('allows a process that lost the session and did not know it one dispatch without the flag, and not two', () => {
    const late = [...GOOD, 'server 2 B 1', 'client 0 S 4', 'server 2 H 4 0 1 s/5'];
    expect(judge([...late, 'server 1 H 4 0 0 s/5'], 4).problems).toEqual([]);
    expect(judge([...late, 'server 1 H 4 0 0 s/5', 'server 0 H 4 0 0 s/5'], 4).repeated).toBe(1);
  });
});

const NOTHING = { client: { sent: 0, asked: 0 }, server: { sent: 0, asked: 0 } };
