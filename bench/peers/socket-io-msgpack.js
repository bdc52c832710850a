/** socket.io with its msgpack parser. */
import * as parser from 'socket.io-msgpack-parser';
import { socketIo } from './socket-io-stack.js';
import { versionOf } from './version.js';

export const stack = socketIo(
  'socket.io, msgpack parser',
  parser.default ?? parser,
  ` with socket.io-msgpack-parser ${versionOf('socket.io-msgpack-parser')}`,
);
