/** socket.io as it comes: packets are JSON. */
import { socketIo } from './socket-io-stack.js';

export const stack = socketIo('socket.io');
