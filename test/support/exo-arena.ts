/**
 * ExoCom and the services of one test, on ports of 127.0.0.1. What fails in the background fails the test: errors of
 * relays that the test doesn't look at are kept, for `quiet` to find.
 */
import { ExoCom, type ExoComOptions } from '../../src/exocom/index.js';
import { ExoRelay, type ExoRelayOptions } from '../../src/exorelay/index.js';

export class ExoArena {
  hub!: ExoCom;
  port = 0;
  readonly relays: ExoRelay[] = [];
  readonly errors: Error[] = [];
  readonly warnings: string[] = [];

  async start(options: ExoComOptions = {}, port = 0): Promise<this> {
    const hub = new ExoCom({ development: true, instanceGraceMs: 200, ...options });
    this.hub = hub;
    hub.on('warning', ({ message }) => this.warnings.push(message));
    hub.on('error', (error) => this.errors.push(error));
    await new Promise<void>((resolve) => hub.listen(port, '127.0.0.1', () => resolve()));
    this.port = (hub.address() as { port: number }).port;
    return this;
  }

  /** A hub of another process at the same port, as far as relays can tell. */
  async restart(options: ExoComOptions = {}): Promise<void> {
    const gone = new Promise<void>((resolve) => void this.hub.once('close', () => resolve()));
    this.hub.destroy();
    await gone;
    await this.start(options, this.port);
  }

  /** A relay that is not started. */
  relay(role: string, options: ExoRelayOptions = {}): ExoRelay {
    const relay = new ExoRelay({ exocomHost: '127.0.0.1', exocomPort: this.port, role, ...options });
    relay.on('error', (error) => this.errors.push(error));
    this.relays.push(relay);
    return relay;
  }

  /** A relay that is online, with its handlers. */
  async service(
    role: string,
    handlers: Parameters<ExoRelay['registerHandlers']>[0] = {},
    options: ExoRelayOptions = {},
  ): Promise<ExoRelay> {
    const relay = this.relay(role, options);
    relay.registerHandlers(handlers);
    relay.connect();
    await new Promise((resolve) => relay.once('online', resolve));
    return relay;
  }

  /** The texts of the errors so far. */
  get texts(): string[] {
    return this.errors.map(({ message }) => message);
  }

  stop(): void {
    for (const relay of this.relays.splice(0)) relay.destroy();
    this.hub.destroy();
  }
}
