/** How a line typed at `nyota connect` is understood. */
import { describe, expect, it } from 'vitest';
import { nameOfWord, parseLine, valueOfWord } from '../../../src/cli/command-line.js';

/** The line as its command and the values of its words. */
function understood(line: string): [string, unknown[]] {
  const { name, words } = parseLine(line);
  return [name, words.map(valueOfWord)];
}

describe('a typed line', () => {
  it.each([
    ['send ping', 'send', ['ping']],
    ['  send   ping  1 -2.5 true null ', 'send', ['ping', 1, -2.5, true, null]],
    ['send e {"a": 1, "b": [1, {"c": "} ]"}]} [ ]', 'send', ['e', { a: 1, b: [1, { c: '} ]' }] }, []]],
    ['send e "two words" "a \\" b"', 'send', ['e', 'two words', 'a " b']],
    [`send e 'two words' '{"a": "it"}'`, 'send', ['e', 'two words', { a: 'it' }]],
    ['send e {"a":1}{"b":2}', 'send', ['e', { a: 1 }, { b: 2 }]],
    ['set key no-json', 'set', ['key', 'no-json']],
    ['send e {not json}', 'send', ['e', '{not json}']],
    ['', '', []],
    ['   ', '', []],
  ])('%j', (line, name, values) => {
    expect(understood(line)).toEqual([name, values]);
  });

  it.each(['send e "open', "send e 'open", 'send e {"a": 1', 'send e [1, [2]', 'send e ["]'])(
    'that leaves something open is refused: %s',
    (line) => {
      expect(() => parseLine(line)).toThrow('not closed');
    },
  );

  it('names events and keys by their text, also where it looks like a number', () => {
    expect(['42', '"my event"', "'my event'", 'plain', 'true'].map(nameOfWord)).toEqual([
      '42',
      'my event',
      'my event',
      'plain',
      'true',
    ]);
  });
});
