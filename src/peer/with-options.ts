/**
 * What `peer.with(options)` returns: the same peer, whose calls are made with these options. Made anew for each `with`, and
 * touches nothing of the peer but its members.
 */
import { type CallOptions, readCallOptions } from './call-options.js';
import type { Calls } from './calls.js';

export function withOptions<P extends object>(peer: P, calls: Calls, call: Readonly<CallOptions>): P {
  const own: Record<PropertyKey, unknown> = {
    send: (event: string, ...args: unknown[]) => calls.send(call, event, args),
    sendWithAck: (event: string, ...args: unknown[]) => calls.sendWithAck(call, event, args),
    request: (event: string, ...args: unknown[]) => calls.request(call, event, args),
    with: (more: CallOptions) => withOptions(peer, calls, { ...call, ...readCallOptions(more) }),
  };
  return new Proxy(peer, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
