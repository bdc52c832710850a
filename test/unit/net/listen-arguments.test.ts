/** The backlog that `listen` gets where its user has given none, in all forms of its arguments. */
import { describe, expect, it } from 'vitest';
import { withBacklog } from '../../../src/net/listen-arguments.js';

const callback = (): void => {};
const signal = new AbortController().signal;

describe('the arguments of listen', () => {
  it.each([
    [[], [0, 65_535]],
    [[callback], [0, 65_535, callback]],
    [[5555], [5555, 65_535]],
    [
      ['5555', callback],
      ['5555', 65_535, callback],
    ],
    [
      [5555, 'localhost', callback],
      [5555, 'localhost', 65_535, callback],
    ],
    [
      [5555, '127.0.0.1'],
      [5555, '127.0.0.1', 65_535],
    ],
    [
      ['/run/x.sock', callback],
      ['/run/x.sock', 65_535, callback],
    ],
    [
      [undefined, callback],
      [undefined, 65_535, callback],
    ],
    [
      [{ port: 1, signal }, callback],
      [{ backlog: 65_535, port: 1, signal }, callback],
    ],
    [[{ path: '/run/x.sock' }], [{ backlog: 65_535, path: '/run/x.sock' }]],
  ])('%j get a long backlog', (given, expected) => {
    expect(withBacklog(given)).toEqual(expected);
  });

  it.each([
    [[5555, 10]],
    [[5555, '10', callback]],
    [[5555, 'localhost', 10, callback]],
    [['/run/x.sock', 10]],
    [[{ port: 1, backlog: 10 }]],
    [[{ fd: 3 }, callback]],
    [[{ _handle: {} }]],
  ])('%j stay as they are', (given) => {
    expect(withBacklog(given)).toEqual(given);
  });
});
