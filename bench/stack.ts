/**
 * What the harness needs of a library, so that each is measured by the same code: a server and a client that send
 * events and requests. One file a library: floor.ts, nyota.ts and those of peers/.
 */

/** Where a server listens: whatever its own client understands. */
export type Address = number | string;

export interface Handlers {
  /** An event of a client's has reached its listener. */
  event(value: unknown): void;
  /** Answers a request. */
  request(value: unknown): unknown;
}

export interface ServerSide {
  readonly address: Address;
  /** One event to every client. */
  broadcast?(value: unknown): void;
  close(): void | Promise<void>;
}

export interface ClientSide {
  send(value: unknown): void;
  /** A promise where the library wants the sender to wait. Asked after every batch. */
  congested?(): Promise<unknown> | undefined;
  request?(value: unknown): Promise<unknown>;
  close(): void | Promise<void>;
}

export interface Stack {
  readonly name: string;
  /** Of all that is measured here, such as `socket.io 4.8.1`. */
  readonly version: string;
  /** Which share of the usual number of events and requests it gets: a slow one must not take all the time. */
  readonly scale?: number;
  /** False where it can't send one event to all clients, or has no requests. */
  readonly broadcasts?: boolean;
  readonly requests?: boolean;
  /** How many messages it bears unsettled; all others are not limited. */
  readonly window?: number;
  serve(handlers: Handlers): Promise<ServerSide>;
  /** @param received is called with every event of the server's */
  connect(address: Address, received?: (value: unknown) => void): Promise<ClientSide>;
}
