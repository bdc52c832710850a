/** How arguments are read. A value that is no good throws commander's InvalidArgumentError: exit code 2. Pure. */
import { InvalidArgumentError } from 'commander';

/** JSON where it is JSON, the string itself where it is not. */
export function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function parsePort(text: string): number {
  return parseWhole('A port is a whole number', 0, 65_535)(text);
}

/** Node's timers take no more than 31 bits of milliseconds. */
export const parseMs = parseWhole('It takes milliseconds', 1, 2 ** 31 - 1);

/** A parser of whole numbers in a range. */
export function parseWhole(what: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`${what} from ${min} to ${max}.`);
  };
}
