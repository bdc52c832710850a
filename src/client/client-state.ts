/** Where a client stands, and what it is after; see the diagram in client.ts. Types alone. */

export type ClientState =
  | 'idle'
  | 'connecting'
  | 'opening'
  | 'replaying'
  | 'open'
  | 'backing-off'
  | 'draining'
  | 'closed';

/** What the client is after: to stay connected, to end this connection, or to be done. */
export type Goal = 'stay' | 'disconnect' | 'close';
export type Dialling = 'idle' | 'connecting' | 'opening' | 'backing-off';
