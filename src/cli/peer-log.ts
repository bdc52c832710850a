/** Prints what a peer hears, a line each: the other side's events, and what becomes of the connection and the store. */
import type { NyotaError, Peer, PeerEvents } from '../index.js';
import { describeError } from './failures.js';
import { escapeText, toShortJson } from './text.js';

type AnyCalls = Record<string, (...args: unknown[]) => unknown>;
/** A client or a server's session, without a contract. */
export type AnyPeer = Peer<AnyCalls, AnyCalls, Record<string, unknown>, PeerEvents>;

/** Takes a line. A promise where its reader is slow: what is printed next may wait for it. */
export type Print = (line: string) => undefined | Promise<unknown>;

export function eventLine(event: string, args: readonly unknown[]): string {
  return ['event', escapeText(event), ...args.map((arg) => toShortJson(arg))].join(' ');
}

/** What client and session have in common. Remote events are left to the caller. */
export function logPeer(peer: AnyPeer, print: Print): void {
  peer.on('disconnect', (reason) => {
    print(`disconnected${reason === undefined ? '' : `: ${describeError(reason)}`}`);
  });
  peer.on('change', (key, value, revision) => {
    print(
      value === undefined
        ? `store ${escapeText(key)} deleted, revision ${revision}`
        : `store ${escapeText(key)} = ${toShortJson(value)}, revision ${revision}`,
    );
  });
  peer.on('conflict', ({ key, attempted, current }) => {
    const values = `${toShortJson(attempted)} refused, it is ${toShortJson(current)}`;
    print(`store ${escapeText(key)} conflict: ${values}`);
  });
  peer.on('error', (error: NyotaError) => {
    print(`error ${describeError(error)}`);
  });
}
