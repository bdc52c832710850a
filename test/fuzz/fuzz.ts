/** Time-boxed, seeded fuzzing: a run is its seed and how far it came. What it finds is printed as hex, to be kept. */
import { Random } from '../simulation/random.js';
import { checkFrames, checkPayload, MAX_MS } from './decoder-target.js';
import { conversation, keptCorpus, open, payloads } from './inputs.js';
import { mutate, mutateFrames } from './mutate.js';
import { SessionTarget } from './session-target.js';

export interface Outcome {
  readonly target: string;
  readonly executions: number;
  readonly seconds: number;
  /** What was let through, or said codes: that the fuzzer gets anywhere. */
  readonly reached: string;
}

const MAX_PAYLOAD_BYTES = 8 * 1024;
/** How many inputs that were let through are changed again. */
const MAX_KEPT = 2_000;

export async function fuzzDecoder(seed: number, ms: number): Promise<Outcome> {
  const random = new Random(seed, 0xdec0);
  const until = performance.now() + ms;
  const pool = payloads();
  const streams = [...keptCorpus('frames'), Buffer.concat(conversation(random))];
  let executions = 0;
  let passed = 0;
  let frames = 0;
  const attempt = (input: Buffer, check: () => void): void => {
    const started = performance.now();
    found(input, seed, executions, check);
    if (performance.now() - started > MAX_MS) found(input, seed, executions, () => checkTime(check));
    executions++;
  };
  for (const input of [...pool]) attempt(input, () => checkPayload(input));
  while (performance.now() < until) {
    const input = mutate(random.pick(pool), pool, random, MAX_PAYLOAD_BYTES);
    attempt(input, () => {
      if (!checkPayload(input)) return;
      passed++;
      if (pool.length < MAX_KEPT) pool.push(input);
      else pool[random.int(MAX_KEPT)] = input;
    });
    if (executions % 4 !== 0) continue;
    const stream = random.chance(0.5)
      ? mutateFrames(conversation(random), pool, random)
      : mutate(random.pick(streams), streams, random, 64 * 1024);
    attempt(stream, () => {
      frames += checkFrames(stream, random);
    });
  }
  const reached = `${passed} payloads let through, ${frames} frames`;
  return { target: 'decoder', executions, seconds: ms / 1_000, reached };
}

/** The target is made anew after so many connections: what one left behind may not hide what the next does. */
const CONNECTIONS_A_TARGET = 200;

export async function fuzzSession(seed: number, ms: number): Promise<Outcome> {
  const until = performance.now() + ms;
  let executions = 0;
  const codes = new Map<string, number>();
  const kept = keptCorpus('session');
  const others = payloads();
  for (let round = 0; performance.now() < until; round++) {
    const random = new Random(seed, 0x5e55, round);
    const target = new SessionTarget(seed + round);
    const secret = random.bytes(32);
    for (let i = 0; i < CONNECTIONS_A_TARGET && performance.now() < until; i++) {
      const input =
        round === 0 && i < kept.length ? (kept[i] as Buffer) : sessionInput(secret, others, random);
      await foundAsync(input, seed, executions, () => target.run(input, random, random.chance(0.97)));
      executions++;
    }
    await foundAsync(Buffer.alloc(0), seed, executions, () => target.finish());
    for (const [code, count] of target.refused) codes.set(code, (codes.get(code) ?? 0) + count);
  }
  const reached = [...codes].map(([code, count]) => `${code} ${count}`).join(', ');
  return { target: 'session', executions, seconds: ms / 1_000, reached };
}

/** A handshake that mostly is as it should be, and a conversation that mostly is not. */
function sessionInput(secret: Buffer, others: readonly Buffer[], random: Random): Buffer {
  const own = random.chance(0.6) ? random.bytes(32) : secret;
  const opening = open(own, own === secret && random.chance(0.5), random.pick([0, 0, 1, 3]));
  if (random.chance(0.1)) return mutateFrames([opening], others, random);
  const frames = conversation(random);
  return Buffer.concat([
    opening,
    random.chance(0.1) ? Buffer.concat(frames) : mutateFrames(frames, others, random),
  ]);
}

/** It took long, or the machine was busy: again, and what counts is this process's own time. */
function checkTime(check: () => void): void {
  const before = process.cpuUsage();
  check();
  const { user, system } = process.cpuUsage(before);
  if ((user + system) / 1_000 > MAX_MS) throw new Error(`it took more than ${MAX_MS} ms`);
}

function found(input: Buffer, seed: number, execution: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    throw finding(input, seed, execution, error);
  }
}

async function foundAsync(
  input: Buffer,
  seed: number,
  execution: number,
  check: () => Promise<void>,
): Promise<void> {
  try {
    await check();
  } catch (error) {
    throw finding(input, seed, execution, error);
  }
}

function finding(input: Buffer, seed: number, execution: number, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new Error(
    `fuzzing with seed ${seed}, execution ${execution}: ${text}\n  input (keep it in test/fuzz/corpus): ${input.toString('hex')}`,
    { cause },
  );
}
