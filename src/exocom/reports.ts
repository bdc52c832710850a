/**
 * What the hub tells its operator: warnings, alarms, and one report for each message that it passed on. Types, and the
 * texts that docs/exocom.md promises.
 */
import type { RejectionCode } from '../exorelay/message.js';

/** Every warning's code: why a message was refused, or what is wrong with a service or with the hub's setting up. */
export type WarningCode =
  | RejectionCode
  /** The security role said no, or nothing, or was not there. */
  | 'EXO_UNAUTHORIZED'
  /** A role was taken at its word. */
  | 'EXO_UNVERIFIED'
  /** Nobody can prove a role: every service is refused. */
  | 'EXO_NO_CREDENTIALS'
  /** A connection that could not prove its role, or broke the protocol. */
  | 'EXO_REFUSED'
  /** A registration that makes no sense. */
  | 'EXO_BAD_REGISTRATION';

/** Something was refused or is not as it should be. Nothing else is affected. */
export interface HubWarning {
  readonly message: string;
  readonly code: WarningCode;
  /** Whose message it was, where it was a message. */
  readonly role?: string;
}

/** Traffic that looks wrong. */
export interface Alarm {
  readonly code: 'EXO_RATE';
  readonly message: string;
  readonly role: string;
  /** Messages a second that this role may send. */
  readonly limit: number;
  /** Whether the role is being slowed down. */
  readonly throttled: boolean;
}

/** One message that was passed on, or kept for those who will receive it. Without its payload. */
export interface MessageReport {
  readonly id: string;
  /** Its public name. */
  readonly name: string;
  readonly sender: string;
  /** The roles that receive it. */
  readonly receivers: readonly string[];
  readonly activityId: string;
  readonly responseTo?: string;
  /** Of a reply, in ms. */
  readonly responseTime?: number;
  readonly redelivered: boolean;
  readonly isSecurity: boolean;
}

/** One instance of a service that came or went. */
export interface Presence {
  readonly role: string;
  readonly instance: string;
}

export const texts = {
  notAllowed: (role: string, name: string) =>
    `Service '${role}' is not allowed to broadcast the message '${name}'`,
  noReceivers: (name: string) => `No receivers for message '${name}' registered`,
  unauthorized: (name: string, role: string, activityId: string) =>
    `Unauthorized message '${name}' from '${role}' with activityId '${activityId}'`,
  unknownReply: (role: string, name: string) =>
    `Reply '${name}' from '${role}' answers no message that it got`,
  gone: (name: string, role: string) => `The service '${role}' that waited for the reply '${name}' is gone`,
  expired: (name: string, role: string, ms: number) =>
    `Message '${name}' for '${role}' waited longer than ${ms} ms and was dropped`,
  full: (name: string, role: string) => `Too many messages wait for '${role}': '${name}' was dropped`,
  unclaimed: (name: string, ms: number) => `No service came within ${ms} ms to receive the message '${name}'`,
  unreadable: (name: string, role: string) => `Reply '${name}' from '${role}' has a payload that is none`,
  overloaded: (role: string) => `Service '${role}' has too many messages that are not decided over yet`,
  undeliverable: (name: string, role: string) => `Message '${name}' can't be passed on to '${role}'`,
  unverified: (role: string) =>
    `Service '${role}' is taken at its word: no token or certificate proves its role (development mode)`,
} as const;

/** `web  --[ users create ]-[ mongo create ]->  users` */
export function consoleLine(sender: string, sent: string, received: string, receiver: string): string {
  const names = sent === received ? `[ ${sent} ]` : `[ ${sent} ]-[ ${received} ]`;
  return `${sender}  --${names}->  ${receiver}`;
}
