/**
 * Errors as values: what of an Error travels, and how it is built again. Pure.
 *
 * Name, message and own properties travel (`code` and `cause` too); stacks never do: they tell
 * a stranger about the inside of the process.
 */

type ErrorClass = new (message: string) => Error;

const STANDARD: ReadonlyMap<string, ErrorClass> = new Map<string, ErrorClass>([
  ['Error', Error],
  ['TypeError', TypeError],
  ['RangeError', RangeError],
  ['SyntaxError', SyntaxError],
  ['ReferenceError', ReferenceError],
  ['EvalError', EvalError],
  ['URIError', URIError],
]);

/** Travel as fields of their own, or not at all. */
const NOT_PROPERTIES: ReadonlySet<string> = new Set(['name', 'message', 'stack']);

/** A real Error from what came over the wire. Properties are defined, never assigned: no setter runs. */
export function makeError(name: string, message: string, props: Record<string, unknown>): Error {
  const Class = STANDARD.get(name);
  const error = new (Class ?? Error)(message);
  if (Class === undefined) define(error, 'name', name, false);
  // The stack of this function would only mislead.
  define(error, 'stack', `${name}: ${message}`, false);
  for (const key of Object.keys(props)) {
    if (!NOT_PROPERTIES.has(key) && key !== '__proto__') define(error, key, props[key], key !== 'cause');
  }
  return error;
}

/** The properties of an error that travel with it, as a plain object. Runs the error's getters. */
export function errorProperties(error: Error): Record<string, unknown> {
  const props: Record<string, unknown> = {};
  for (const key of Object.keys(error)) {
    if (!NOT_PROPERTIES.has(key)) define(props, key, Reflect.get(error, key), true);
  }
  const code: unknown = Reflect.get(error, 'code');
  if (code !== undefined && !Object.hasOwn(props, 'code')) props.code = code;
  if (Object.hasOwn(error, 'cause') && !Object.hasOwn(props, 'cause')) props.cause = error.cause;
  return props;
}

function define(target: object, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true });
}
