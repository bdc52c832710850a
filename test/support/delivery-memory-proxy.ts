/**
 * A proxy in a memory network that cuts its first connection behind a byte: exactly `bytes` bytes of one direction
 * arrive, then the stream ends for their receiver and breaks for their sender. Later connections pass untouched.
 */
import type { MemoryNetwork, MemorySocket, OneWay } from '../../src/testing/index.js';

export interface MemoryProxy {
  readonly port: number;
  /** Bytes that have passed on the first connection. */
  readonly bytes: Record<OneWay, number>;
  readonly cut: boolean;
  readonly connections: number;
}

export interface MemoryCut {
  readonly bytes: number;
  readonly direction: OneWay;
}

/** Starts the proxy in front of `target`. Without a cut it only counts. */
export function startMemoryProxy(network: MemoryNetwork, target: number, cut?: MemoryCut): MemoryProxy {
  const bytes: Record<OneWay, number> = { up: 0, down: 0 };
  const state = { cut: false, connections: 0 };
  const server = network.createServer({ allowHalfOpen: true }, (client) => {
    const isFirst = ++state.connections === 1;
    const upstream = network.createConnection({ port: target, allowHalfOpen: true });
    for (const socket of [client, upstream]) socket.on('error', () => {});

    const cutBehind = (way: OneWay): void => {
      state.cut = true;
      const [source, sink] = way === 'up' ? [client, upstream] : [upstream, client];
      source.removeAllListeners('data');
      sink.removeAllListeners('data');
      sink.resume();
      sink.end();
      source.resetAndDestroy();
    };

    const carry = (way: OneWay, source: MemorySocket, sink: MemorySocket): void => {
      source.on('data', (chunk: Buffer) => {
        const planned = isFirst && cut?.direction === way && !state.cut;
        const piece = planned ? chunk.subarray(0, cut.bytes - bytes[way]) : chunk;
        if (isFirst) bytes[way] += piece.length;
        sink.write(piece);
        if (planned && bytes[way] === cut.bytes) cutBehind(way);
      });
      source.on('end', () => sink.end());
      source.on('close', () => {
        if (!state.cut || !isFirst) sink.destroy();
      });
    };

    upstream.once('connect', () => {
      if (isFirst && cut?.bytes === 0) {
        cutBehind(cut.direction);
        return;
      }
      carry('up', client, upstream);
      carry('down', upstream, client);
    });
  });
  server.listen(0);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    port: address.port,
    bytes,
    get cut() {
      return state.cut;
    },
    get connections() {
      return state.connections;
    },
  };
}
