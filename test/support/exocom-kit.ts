/**
 * For the tests of ExoCom: starts hubs and relays, records what they say, and closes all of it. `StubRelay` is a relay
 * without manners: a bare nyota client that sends what the test says.
 */
import { ExoCom, type ExoComOptions, type HubWarning } from '../../src/exocom/index.js';
import { ExoRelay, type ExoRelayOptions, type Rejection } from '../../src/exorelay/index.js';
import {
  type AwaitedReply,
  type Envelope,
  type Message,
  type MessageRef,
  openEnvelope,
  type Registration,
  type RelayContract,
  sealMessage,
} from '../../src/exorelay/message.js';
import { type Client, type ClientOptions, createClient } from '../../src/index.js';
import { eventually, once } from './delivery-wait.js';

export const LOCAL = '127.0.0.1';

export function portOf(hub: ExoCom): number {
  const address = hub.address();
  if (typeof address !== 'object' || address === null) throw new Error('the hub does not listen');
  return address.port;
}

/** A relay without manners. Registers, accepts what it is told to, and never answers by itself. */
export class StubRelay {
  readonly client: Client<RelayContract>;
  readonly delivered: (Message & { readonly sender: string })[] = [];
  readonly accepted: string[] = [];
  readonly rejected: Rejection[] = [];
  readonly cancelled: MessageRef[] = [];
  known: readonly MessageRef[] = [];
  asked: MessageRef[] = [];
  registered = 0;
  hub = '';
  #ids = 0;
  readonly role: string;
  readonly registration: Registration;
  readonly awaiting: AwaitedReply[];

  constructor(
    role: string,
    options: ClientOptions,
    registration: Registration,
    awaiting: AwaitedReply[] = [],
  ) {
    this.role = role;
    this.registration = registration;
    this.awaiting = awaiting;
    const client = createClient<RelayContract>(options);
    this.client = client;
    client.on('error', () => {});
    client.on('exo.hello', ({ hub }) => {
      this.hub = hub;
      client.send('exo.register', this.registration);
      if (this.awaiting.length > 0) client.send('exo.awaiting', this.awaiting);
    });
    client.on('exo.registered', () => {
      this.registered++;
    });
    client.on('exo.deliver', (envelope) => {
      this.delivered.push(openEnvelope(envelope));
    });
    client.on('exo.accepted', ({ id }) => {
      this.accepted.push(id);
    });
    client.on('exo.rejected', (rejection) => {
      this.rejected.push(rejection);
    });
    client.on('exo.cancel', (ref) => {
      this.cancelled.push(ref);
    });
    client.handle('exo.known', (refs) => {
      this.asked.push(...refs);
      return this.known.filter((one) => refs.some((ref) => ref.id === one.id && ref.sender === one.sender));
    });
  }

  /** Sends a message; returns its id. */
  send(name: string, more: Partial<Message> = {}): string {
    return this.sendAsIs(name, sealMessage(more));
  }

  /** What no relay would send, too. */
  sendAsIs(name: string, more: Partial<Envelope> = {}): string {
    const id = more.id ?? `${this.registration.instance}-${this.#ids++}`;
    this.client.send('exo.message', { id, name, activityId: `activity of ${id}`, ...more });
    return id;
  }

  handled({ sender, id }: MessageRef, error?: string): void {
    this.client.send('exo.handled', { sender, id, ...(error !== undefined && { error }) });
  }

  async got(count: number): Promise<StubRelay['delivered']> {
    await eventually(() => this.delivered.length >= count, `${count} messages for ${this.role}`);
    return this.delivered;
  }

  async settled(id: string): Promise<void> {
    await eventually(() => this.accepted.includes(id), `${id} is accepted`);
  }
}

/** What a hub said. */
export interface Said {
  readonly warnings: HubWarning[];
  readonly lines: string[];
  readonly errors: Error[];
}

export class ExoComKit {
  readonly #close: (() => unknown)[] = [];

  /** A hub at a free port of this machine, and what it says. */
  async hub(options: ExoComOptions = {}, port = 0): Promise<{ hub: ExoCom; said: Said }> {
    const said: Said = { warnings: [], lines: [], errors: [] };
    const hub = new ExoCom({ instanceGraceMs: 200, log: (line) => said.lines.push(line), ...options });
    this.#close.push(() => hub.destroy());
    hub.on('warning', (warning) => said.warnings.push(warning));
    hub.on('error', (error) => said.errors.push(error));
    hub.listen(port, LOCAL);
    await once(hub, 'listening');
    return { hub, said };
  }

  /** A relay that is made and not connected. Its errors and rejections are kept. */
  relay(at: ExoCom | number, role: string, options: Partial<ExoRelayOptions> = {}): TestRelay {
    const exocomPort = typeof at === 'number' ? at : portOf(at);
    const relay = new TestRelay({ exocomHost: LOCAL, exocomPort, serviceName: role, ...options });
    this.#close.push(() => relay.destroy());
    return relay;
  }

  stub(
    at: ExoCom | number,
    role: string,
    options: {
      instance?: string;
      handles?: string[];
      before?: string;
      token?: string;
      awaiting?: AwaitedReply[];
      client?: Partial<ClientOptions>;
    } = {},
  ): StubRelay {
    const { instance = `${role} 1`, handles = [], before, token, awaiting, client } = options;
    const stub = new StubRelay(
      role,
      {
        ...{ host: LOCAL, port: typeof at === 'number' ? at : portOf(at) },
        auth: { role, ...(token !== undefined && { token }) },
        reconnect: { minDelayMs: 5, maxDelayMs: 50 },
        ...client,
      },
      { instance, handles, ...(before !== undefined && { before }) },
      awaiting,
    );
    this.#close.push(() => stub.client.destroy());
    return stub;
  }

  /** Also closes this. */
  closes(close: () => unknown): void {
    this.#close.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#close.splice(0).reverse()) await close();
  }
}

/** An ExoRelay that keeps what it reports. */
export class TestRelay extends ExoRelay {
  readonly errors: Error[] = [];
  readonly rejections: Rejection[] = [];

  constructor(options: ExoRelayOptions) {
    super(options);
    this.on('error', (error) => this.errors.push(error));
    this.on('rejected', (rejection) => this.rejections.push(rejection));
  }

  /** Connects, without a port of its own, and waits until it is registered. */
  async up(): Promise<this> {
    this.connect();
    await once(this, 'online');
    return this;
  }
}

/** Resolves once a warning of that code was given. */
export async function warned(said: Said, code: HubWarning['code']): Promise<HubWarning> {
  await eventually(
    () => said.warnings.some((warning) => warning.code === code),
    () => `a warning ${code}; there were: ${said.warnings.map(({ message }) => message).join(' / ')}`,
  );
  return said.warnings.find((warning) => warning.code === code) as HubWarning;
}
