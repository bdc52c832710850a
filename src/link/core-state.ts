/** Where the core of a session stands; see the diagram in session-core.ts. Pure: types and one constant. */
import type { NyotaError } from '../errors.js';

export type CoreState =
  | { readonly is: 'detached' }
  | { readonly is: 'attached'; readonly generation: number }
  | { readonly is: 'ended'; readonly error: NyotaError };

export const DETACHED: CoreState = { is: 'detached' };
