/**
 * A network of two: this machine, and a namespace behind a pair of virtual interfaces, whose link can be pulled. Needs
 * Linux, root, and `ip` of iproute2.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';

/** The end of the link on this machine, or the one in the namespace. */
export type LinkEnd = 'here' | 'there';

export class NetworkNamespace {
  readonly #name: string;
  readonly #ends: Readonly<Record<LinkEnd, string>>;
  /** Of this machine, as the namespace sees it. */
  readonly address: string;
  /** By which a program is run in the namespace. */
  readonly command: readonly string[];

  /** Where the test's process ends before it could. */
  readonly #removeAtExit = (): void => this.remove();

  /** Throws, and leaves nothing behind, where this machine does not allow it. */
  constructor() {
    process.once('exit', this.#removeAtExit);
    const [id, network] = [randomBytes(3).toString('hex'), randomBytes(2)];
    this.#name = `nyota-${id}`;
    // An interface's name has 15 characters at most.
    this.#ends = { here: `nyota-${id}-a`, there: `nyota-${id}-b` };
    // A network of two addresses, of those that are meant for tests of networks (RFC 2544).
    const [high = 0, low = 0] = network;
    const prefix = `198.18.${high}`;
    const first = low & 0xfc;
    this.address = `${prefix}.${first + 1}`;
    this.command = ['ip', 'netns', 'exec', this.#name, process.execPath];
    const { here, there } = this.#ends;
    try {
      ip('netns', 'add', this.#name);
      ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', this.#name);
      ip('address', 'add', `${this.address}/30`, 'dev', here);
      ip('-n', this.#name, 'address', 'add', `${prefix}.${first + 2}/30`, 'dev', there);
      this.set('here', 'up');
      this.set('there', 'up');
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  /** Pulls the link at one of its ends, or puts it back. */
  set(end: LinkEnd, state: 'up' | 'down'): void {
    const where = end === 'here' ? [] : ['-n', this.#name];
    ip(...where, 'link', 'set', this.#ends[end], state);
  }

  /** Removes the namespace, and with it both ends of the link. Processes in it must have ended. */
  remove(): void {
    process.off('exit', this.#removeAtExit);
    spawnSync('ip', ['link', 'delete', this.#ends.here]);
    spawnSync('ip', ['netns', 'delete', this.#name]);
  }
}

function ip(...args: string[]): void {
  const { error, status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`ip: ${error.message}`);
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}
