/**
 * What a measure is: two halves, each run in a process of its own, and the numbers that come of what they return.
 * One measure a file in measures/.
 */
import type { Address, Stack } from './stack.js';

/** Numbers that steer a half: how many events, how large. JSON. */
export type Params = Readonly<Record<string, number>>;

/** What runs, and in which turn: floor, nyota, floor, nyota. */
export interface Contender {
  /** Its name in the results. */
  readonly label: string;
  /** The file of the stack; for what has a stack of its own, `none`. */
  readonly stack: string;
  readonly params: Params;
}

/** Words between the two halves. */
export interface Channel {
  tell(word: string): void;
  /** Resolves when the other half has said the word, or has said it before. */
  heard(word: string): Promise<void>;
}

export interface ServerHalf {
  readonly address: Address;
  /** What it has measured; the run is over when this and the client's half are. */
  readonly result: Promise<unknown>;
}

/** How much there is to do: 1 for a real run, less for a smoke test. */
export type Effort = number;

export interface Measure {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** @param peers names of stacks besides the floor and nyota */
  contenders(effort: Effort, peers: readonly StackInfo[]): Contender[];
  /** Absent where one process does it all. */
  server?(stack: Stack, params: Params, channel: Channel): Promise<ServerHalf>;
  client(stack: Stack, address: Address, params: Params, channel: Channel): Promise<unknown>;
  /** The first one is what is compared; the others go along. */
  values(client: unknown, server: unknown, params: Params): Record<string, number>;
}

/** What the runner knows of a stack before it runs. */
export interface StackInfo {
  /** The file's name. */
  readonly file: string;
  readonly name: string;
  readonly version: string;
  readonly scale: number;
  readonly broadcasts: boolean;
  readonly requests: boolean;
}

/** A number that every measure must have. */
export function param(params: Params, name: string): number {
  const value = params[name];
  if (value === undefined) throw new Error(`the parameter ${name} is missing`);
  return value;
}

/** At least `least` and at most `most`, whatever the effort. */
export function share(of: number, effort: Effort, least = 1, most = Number.POSITIVE_INFINITY): number {
  return Math.min(most, Math.max(least, Math.round(of * effort)));
}

/** Floor, nyota, and the peers that can. */
export function usual(
  params: (scale: number) => Params,
  peers: readonly StackInfo[],
  can: (info: StackInfo) => boolean = () => true,
): Contender[] {
  return [
    { label: 'floor', stack: 'floor', params: params(1) },
    { label: 'nyota', stack: 'nyota', params: params(1) },
    ...peers
      .filter(can)
      .map(({ name, file, scale }) => ({ label: name, stack: file, params: params(scale) })),
  ];
}
