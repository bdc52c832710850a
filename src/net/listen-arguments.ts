/** The arguments of `listen`, in all the forms that net.Server has, with a longer queue of connections than Node's own default. */

/**
 * How many connections the system keeps until the process takes them; it cuts that to its own limit (`net.core.somaxconn`).
 * Node's own default is 511. When thousands of clients come back at once, the system drops what comes above that, and the
 * clients' systems try again only after 1 and 3 s.
 */
const BACKLOG = 65_535;

/** The same arguments, with a backlog where the user has given none. */
export function withBacklog(args: readonly unknown[]): readonly unknown[] {
  const [first] = args;
  if (typeof first === 'object' && first !== null) {
    const isAddress = 'port' in first || 'path' in first;
    return isAddress ? [{ backlog: BACKLOG, ...first }, ...args.slice(1)] : args;
  }
  // listen([port or path], [host], [backlog], [callback])
  const callbackAt = args.findIndex((arg) => typeof arg === 'function');
  const given = callbackAt < 0 ? args : args.slice(0, callbackAt);
  if (given.slice(1).some(isBacklog)) return args;
  const where = given.length === 0 ? [0] : given;
  return [...where, BACKLOG, ...args.slice(given.length)];
}

/** True for what net.Server takes as a backlog, at whatever place it stands. */
function isBacklog(value: unknown): boolean {
  return (typeof value === 'number' || typeof value === 'string') && value !== '' && Number(value) >= 0;
}
