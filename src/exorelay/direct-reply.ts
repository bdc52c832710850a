/**
 * A reply to what came to this service's own port: it goes back the way it came, and is kept nowhere. Pure, apart from
 * the id that it gives the reply.
 */
import { randomUUID } from 'node:crypto';
import { sendFault } from './checks.js';
import type { Envelope } from './message.js';
import type { Headers } from './messenger.js';
import { snapshot } from './snapshot.js';

/** @throws NyotaError what is wrong with the call */
export function directReply(
  headers: Headers & { activityId: string },
  name: unknown,
  payload: unknown,
  from: { readonly sender: string; readonly now: number },
): Envelope {
  const fault = sendFault(name, payload, 'reply');
  if (fault !== undefined) throw fault;
  const { activityId, auth, responseTo, causedBy, last } = headers;
  const copy = snapshot(payload).value;
  return {
    id: randomUUID(),
    name: name as string,
    ...(copy !== undefined && { payload: copy }),
    activityId,
    ...(auth !== undefined && { auth }),
    ...(responseTo !== undefined && { responseTo }),
    ...(causedBy !== undefined && { causedBy }),
    ...(last === true && { last }),
    sender: from.sender,
    timestamp: Math.round(from.now),
  };
}
