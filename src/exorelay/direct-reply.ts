/**
 * A reply to what came to this service's own port: it goes back the way it came, and is kept nowhere. Pure, apart from
 * the id that it gives the reply.
 */
import { randomUUID } from 'node:crypto';
import { encode } from '../index.js';
import { sendFault } from './checks.js';
import type { Message } from './message.js';

/**
 * @param to the message that is answered
 * @throws NyotaError what is wrong with the call
 */
export function directReply(
  to: Message,
  name: unknown,
  payload: unknown,
  last: boolean,
  from: { readonly sender: string; readonly now: number },
): Message {
  const fault = sendFault(name, payload, 'reply');
  if (fault !== undefined) throw fault;
  const { id, activityId, auth } = to;
  return {
    id: randomUUID(),
    name: name as string,
    ...(payload !== undefined && { payload: encode(payload, { name: 'payload' }) }),
    activityId,
    ...(auth !== undefined && { auth }),
    responseTo: id,
    causedBy: id,
    ...(last && { last }),
    sender: from.sender,
    timestamp: Math.round(from.now),
  };
}
