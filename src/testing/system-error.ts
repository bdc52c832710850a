/** Errors that look like those of a real socket. A leaf: imports nothing. */

/** What `error.code`, `error.syscall`, `error.address` and `error.port` say on a real one. */
interface SystemErrorDetails {
  syscall: string;
  address?: string;
  port?: number;
}

/** An error as Node makes it: `connect ECONNREFUSED 127.0.0.1:5555`. */
export function systemError(code: string, details: SystemErrorDetails): NodeJS.ErrnoException {
  const { syscall, address, port } = details;
  const where = address === undefined ? '' : ` ${address}${port === undefined ? '' : `:${port}`}`;
  return Object.assign(new Error(`${syscall} ${code}${where}`), { code, ...details });
}

/** What a RST looks like to the one who gets it. */
export function connectionReset(): NodeJS.ErrnoException {
  return systemError('ECONNRESET', { syscall: 'read' });
}
