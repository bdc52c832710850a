/** The pace at which a server writes to all of its sessions: when a round comes, what shares it, and what does not wait for it. */
import { describe, expect, it } from 'vitest';
import type { Clock, ClockTimer } from '../../../src/clock.js';
import { type Planned, planFlush } from '../../../src/peer/flush-queue.js';
import { FanOut } from '../../../src/server/fan-out.js';
import { turns } from '../../support/session-connection.js';

/** A clock whose time is set by hand, and the timers that wait on it. */
function handClock() {
  const timers: Array<ClockTimer & { fn: () => void; at: number }> = [];
  const clock = {
    time: 0,
    timers,
    now: () => clock.time,
    setTimeout: (fn: () => void, ms: number) => {
      const timer: (typeof timers)[0] = { fn, at: clock.time + ms };
      timers.push(timer);
      return timer;
    },
    clearTimeout: (timer: ClockTimer) => void timers.splice(timers.indexOf(timer as (typeof timers)[0]), 1),
    /** Moves on to the one timer that there is. */
    fire: () => {
      const [timer] = timers.splice(0);
      if (timer === undefined) throw new Error('no timer');
      clock.time = timer.at;
      timer.fn();
    },
  };
  return clock satisfies Clock;
}

/** Sessions that write down what is flushed; a flush of each takes so long. */
function sessionsOf(clock: { time: number }, flushMs: number, count = 2) {
  const log: string[] = [];
  const sessions = Array.from({ length: count }, (_, i) => {
    let waiting = 0;
    let planned: Planned | undefined;
    const session = {
      room: true,
      /** As `session.send` does. */
      add: () => {
        waiting++;
        planned = planFlush(session, planned);
      },
      flush: () => {
        planned = undefined;
        if (waiting > 0) log.push(`${i}: ${waiting}`);
        waiting = 0;
        clock.time += flushMs;
      },
    };
    return session;
  });
  return { sessions, log };
}

/** As the server does it. */
const sendTo = (sessions: ReturnType<typeof sessionsOf>['sessions']) => (): boolean => {
  for (const session of sessions) session.add();
  return sessions.every(({ room }) => room);
};

describe('an event to all sessions', () => {
  it('goes out behind the tick, with what else the tick brings', async () => {
    const clock = handClock();
    const { sessions, log } = sessionsOf(clock, 0);
    const fanOut = new FanOut(clock);
    fanOut.send(sendTo(sessions));
    fanOut.send(sendTo(sessions));
    expect(log).toEqual([]);
    await turns(1);
    expect(log).toEqual(['0: 2', '1: 2']);
  });

  it('says whether all of them have room', () => {
    const clock = handClock();
    const { sessions } = sessionsOf(clock, 0);
    const fanOut = new FanOut(clock);
    expect(fanOut.send(sendTo(sessions))).toBe(true);
    (sessions[0] as (typeof sessions)[0]).room = false;
    expect(fanOut.send(sendTo(sessions))).toBe(false);
  });

  it('waits for as long as the round before it took, and shares its writes with what comes meanwhile', async () => {
    const clock = handClock();
    const { sessions, log } = sessionsOf(clock, 3);
    const fanOut = new FanOut(clock);
    fanOut.send(sendTo(sessions));
    await turns(1);
    expect([log.splice(0), clock.time]).toEqual([['0: 1', '1: 1'], 6]);
    for (let i = 0; i < 5; i++) {
      fanOut.send(sendTo(sessions));
      await turns(1);
    }
    expect(log).toEqual([]);
    expect(clock.timers.map(({ at }) => at)).toEqual([12]);
    clock.fire();
    expect(log).toEqual(['0: 5', '1: 5']);
  });

  it('waits for nothing where the rest is over, and after a short round', async () => {
    const clock = handClock();
    const slow = sessionsOf(clock, 3);
    const fanOut = new FanOut(clock);
    fanOut.send(sendTo(slow.sessions));
    await turns(1);
    clock.time += 6;
    fanOut.send(sendTo(slow.sessions));
    await turns(1);
    expect(slow.log).toHaveLength(4);
    const fast = sessionsOf(clock, 0.4);
    clock.time += 6;
    for (let i = 0; i < 3; i++) {
      fanOut.send(sendTo(fast.sessions));
      await turns(1);
    }
    expect(fast.log).toHaveLength(6);
    expect(clock.timers).toEqual([]);
  });

  it('waits 20 ms at most', async () => {
    const clock = handClock();
    const { sessions } = sessionsOf(clock, 500);
    const fanOut = new FanOut(clock);
    fanOut.send(sendTo(sessions));
    await turns(1);
    fanOut.send(sendTo(sessions));
    expect(clock.timers.map(({ at }) => at)).toEqual([1_020]);
  });

  it('is taken along by whatever else its session has to write', async () => {
    const clock = handClock();
    const { sessions, log } = sessionsOf(clock, 3);
    const fanOut = new FanOut(clock);
    fanOut.send(sendTo(sessions));
    await turns(1);
    log.splice(0);
    fanOut.send(sendTo(sessions));
    sessions[1]?.add();
    await turns(1);
    expect(log.splice(0)).toEqual(['1: 2']);
    fanOut.send(sendTo(sessions));
    clock.fire();
    expect(log).toEqual(['0: 2', '1: 1']);
  });

  it('has no timer left once it is stopped', async () => {
    const clock = handClock();
    const { sessions } = sessionsOf(clock, 3);
    const fanOut = new FanOut(clock);
    fanOut.send(sendTo(sessions));
    await turns(1);
    fanOut.send(sendTo(sessions));
    fanOut.stop();
    expect(clock.timers).toEqual([]);
  });
});
