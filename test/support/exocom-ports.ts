/** The hub's way to a relay without a session: a port that remembers, and dispatches for it. */
import type { Dispatch, RelayPort } from '../../src/exocom/instances.js';
import type { DeliveredEnvelope, MessageRef, Rejection } from '../../src/exorelay/message.js';

export class FakePort implements RelayPort {
  connected = true;
  answers: ('sent' | 'slow' | 'full' | 'impossible')[] = [];
  delivered: DeliveredEnvelope[] = [];
  /** What it was told of its own messages: ids that were accepted, and rejections. */
  told: unknown[] = [];
  cancelled: MessageRef[] = [];
  paused = false;
  invalidated = false;
  /** Answers a question for what it knows; by default it knows nothing. */
  knows: (refs: readonly MessageRef[]) => Promise<readonly MessageRef[]> = async () => [];

  deliver(envelope: DeliveredEnvelope): 'sent' | 'slow' | 'full' | 'impossible' {
    const answer = this.answers.shift() ?? 'sent';
    if (answer === 'sent' || answer === 'slow') this.delivered.push(envelope);
    return answer;
  }
  registered(): void {}
  accepted(id: string): void {
    this.told.push(id);
  }
  rejected({ id, code }: Rejection): void {
    this.told.push([id, code]);
  }
  cancel(ref: MessageRef): void {
    this.cancelled.push(ref);
  }
  known(refs: readonly MessageRef[]): Promise<readonly MessageRef[]> {
    return this.knows(refs);
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  invalidate(): void {
    this.invalidated = true;
  }
}

export const LIMITS = { maxInFlight: 2, maxInFlightBytes: 100, maxWaiting: 3, maxWaitingBytes: 1_000 };

export function dispatch(id: string, more: Partial<Dispatch> = {}): Dispatch & { outcomes: unknown[] } {
  const outcomes: unknown[] = [];
  return {
    key: id,
    role: 'jobs',
    envelope: { id, name: 'job', activityId: id, sender: 'web' },
    size: 10,
    waits: true,
    redelivered: false,
    given: () => undefined,
    settled: (outcome) => outcomes.push(outcome),
    outcomes,
    ...more,
  };
}
