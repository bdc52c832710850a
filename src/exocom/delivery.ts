/**
 * One message on its way to one role: what is kept of it until its handler has finished. Types alone.
 */
import type { DeliveredEnvelope, RejectionCode } from '../exorelay/message.js';

/** How a delivery ended: the handler has finished (and may have thrown), nobody got the message, or nobody needs it. */
export type Outcome =
  | { readonly error: string | undefined }
  | { readonly failed: RejectionCode }
  | { readonly cancelled: true };

export interface Delivery {
  /** `messageKey(sender, id)`. */
  readonly key: string;
  /** Who receives it. */
  readonly role: string;
  /** As the receiver calls it. */
  readonly envelope: DeliveredEnvelope;
  /** The only instance that can have it: who asked gets the reply. */
  readonly only?: string;
  /** The instance that had it before the hub was restarted, if it is still there. */
  readonly known?: string | undefined;
  readonly size: number;
  /** Whether it is kept while nobody is there to receive it. */
  readonly waits: boolean;
  /** It was given to an instance that died. */
  redelivered: boolean;
  /** An instance has been given it. More than once where one died. */
  given(instance: string): void;
  /** Called once. */
  settled(outcome: Outcome): void;
}
