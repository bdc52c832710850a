/**
 * The bodies within an open connection that are the link's own: PING and PONG. Pure.
 *
 * `encode…` returns a body in memory of its own. `parse…` takes a decoded body, ignores elements of later versions at the end, and
 * throws `NYOTA_PROTOCOL_ERROR` naming the message and the field.
 */
import { bodyOf, bool, encodeFields, u32 } from './message-fields.js';

/** `[id, paused]` */
export interface PingMessage {
  id: number;
  /** The sender has stopped dispatching for now: it is alive, and acks nothing new. */
  paused: boolean;
}

export function encodePing(message: PingMessage): Buffer {
  return encodeFields([message.id, message.paused]);
}

export function parsePing(value: unknown): PingMessage {
  const body = bodyOf(value, 'PING', 2);
  return { id: u32(body[0], 'PING', 'id'), paused: bool(body[1], 'PING', 'paused') };
}

/** `[id]` of the PING that it answers. */
export interface PongMessage {
  id: number;
}

export function encodePong(message: PongMessage): Buffer {
  return encodeFields([message.id]);
}

export function parsePong(value: unknown): PongMessage {
  return { id: u32(bodyOf(value, 'PONG', 1)[0], 'PONG', 'id') };
}
