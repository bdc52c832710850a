/**
 * Checks routes strictly, and says where they are wrong and why: a misspelt key or a name that is no name would otherwise
 * show as messages that silently don't arrive. Pure.
 */

import { HUB_ROLE, isName, SECURITY_ROLE } from '../exorelay/message.js';
import { NyotaError } from '../index.js';
import { isReserved, type Routes, type ServiceRoutes, type Translation } from './routes.js';

const SERVICE_KEYS = ['receives', 'sends', 'translations'];
const TRANSLATION_KEYS = ['public', 'internal'];
/** A role that reads as it is in a place: `users.receives[0]`. Others are put in quotes. */
const PLAIN = /^[\w-]+$/;

/**
 * @param source where they come from, for the error: `routes file 'routes.json'`
 * @throws NyotaError `NYOTA_INVALID_OPTION` with source, place and reason
 */
export function checkRoutes(value: unknown, source: string): Routes {
  const wrong = (place: string, reason: string): NyotaError =>
    new NyotaError('NYOTA_INVALID_OPTION', `${source}: ${place === '' ? '' : `${place}: `}${reason}`);

  const record = (place: string, item: unknown, what: string): Record<string, unknown> => {
    if (typeof item === 'object' && item !== null && !Array.isArray(item))
      return item as Record<string, unknown>;
    throw wrong(place, `takes ${what}, not ${kindOf(item)}`);
  };

  const onlyKeys = (place: string, item: object, keys: readonly string[]): void => {
    for (const key of Object.keys(item)) {
      if (keys.includes(key)) continue;
      throw wrong(`${place}.${key}`, `there is no such key; a service has ${keys.join(', ')}`);
    }
  };

  const name = (place: string, role: string, item: unknown): string => {
    if (!isName(item)) {
      throw wrong(place, `takes a message name, a string of 1 to 256 characters, not ${kindOf(item)}`);
    }
    if (isReserved(item) && role !== SECURITY_ROLE) {
      throw wrong(
        place,
        `'${item}' is a message of the '${SECURITY_ROLE}' role's: no other role can have it`,
      );
    }
    return item;
  };

  const list = (place: string, item: unknown, what: string): unknown[] => {
    if (item === undefined) return [];
    if (!Array.isArray(item)) throw wrong(place, `takes a list of ${what}, not ${kindOf(item)}`);
    return item;
  };

  const names = (place: string, role: string, item: unknown): string[] => {
    const seen = new Set<string>();
    list(place, item, 'message names').forEach((one, i) => {
      const checked = name(`${place}[${i}]`, role, one);
      if (seen.has(checked)) throw wrong(`${place}[${i}]`, `'${checked}' is named twice`);
      seen.add(checked);
    });
    return [...seen];
  };

  const translations = (place: string, role: string, item: unknown): Translation[] => {
    const seen = { public: new Set<string>(), internal: new Set<string>() };
    return list(place, item, 'translations').map((one, i) => {
      const at = `${place}[${i}]`;
      const given = record(at, one, '{ public, internal }');
      for (const key of Object.keys(given)) {
        if (!TRANSLATION_KEYS.includes(key)) {
          throw wrong(`${at}.${key}`, 'there is no such key; a translation has public, internal');
        }
      }
      const checked = {
        public: name(`${at}.public`, role, given.public),
        internal: name(`${at}.internal`, role, given.internal),
      };
      for (const side of ['public', 'internal'] as const) {
        if (seen[side].has(checked[side])) {
          throw wrong(`${at}.${side}`, `'${checked[side]}' is translated twice`);
        }
        seen[side].add(checked[side]);
      }
      return checked;
    });
  };

  const checked: [string, ServiceRoutes][] = [];
  for (const [role, item] of Object.entries(record('', value, 'an object of services by role'))) {
    const place = PLAIN.test(role) ? role : JSON.stringify(role);
    if (!isName(role)) throw wrong(place, 'a role is a string of 1 to 256 characters');
    if (role === HUB_ROLE)
      throw wrong(place, `'${HUB_ROLE}' is the hub itself: no service can have this role`);
    const service = record(place, item, '{ receives, sends, translations }');
    onlyKeys(place, service, SERVICE_KEYS);
    checked.push([
      role,
      {
        receives: names(`${place}.receives`, role, service.receives),
        sends: names(`${place}.sends`, role, service.sends),
        translations: translations(`${place}.translations`, role, service.translations),
      },
    ]);
  }
  return Object.fromEntries(checked);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return value === '' ? 'an empty string' : 'a string';
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`;
}
