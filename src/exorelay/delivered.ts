/**
 * Reads what ExoCom delivers: an envelope, with what ExoCom alone may say of it. Pure.
 */
import { type DeliveredEnvelope, isName, type MessageRef, readEnvelope } from './message.js';

/** Or a text of what is wrong with it. */
export function readDelivered(value: unknown): DeliveredEnvelope | string {
  const envelope = readEnvelope(value);
  if (typeof envelope === 'string') return envelope;
  const { sender, isSecurity, responseTime } = value as Record<string, unknown>;
  if (!isName(sender)) return 'missing message sender';
  return {
    ...envelope,
    sender,
    ...(isSecurity === true && { isSecurity: true }),
    ...(typeof responseTime === 'number' && { responseTime }),
  };
}

export function refOf({ sender, id }: DeliveredEnvelope): MessageRef {
  return { sender, id };
}
