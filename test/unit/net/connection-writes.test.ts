/** Writing: how much waits in the socket, large frames in slices, and what hangs for too long. */
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Connection } from '../../../src/net/connection.js';
import { createFakeClock } from '../../../src/testing/index.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodePreamble } from '../../../src/wire/preamble.js';
import { FrameType } from '../../support/frame-type.js';
import { collect, recorder, turns, wire } from '../../support/session-connection.js';

const KIB = 1024;
const pattern = (bytes: number): Buffer => Buffer.alloc(bytes, 'abcdefghijklmnopq');

describe('a large write', () => {
  it('goes out whole and in order, in slices, and then the writer is asked for more', async () => {
    for (const highWaterMark of [1_000, 16 * KIB, 64 * KIB, 512 * KIB, 4_096 * KIB]) {
      const { connection, seen, received } = wire({ highWaterMark });
      const piece = pattern(3_000_000);
      connection.write(piece);
      await turns(3_200);
      expect(received().subarray(8).equals(piece)).toBe(true);
      expect([connection.canWrite, connection.nextDeadline]).toEqual([true, Number.POSITIVE_INFINITY]);
      if (highWaterMark <= 512 * KIB) expect(seen.writables).toBeGreaterThan(0);
    }
  });

  it('goes over a real socket, corked or not, with any high-water mark', async () => {
    for (const highWaterMark of [16 * KIB, 600 * KIB, 8_192 * KIB]) {
      for (const corked of [true, false]) {
        const pieces: Buffer[] = [];
        const server = net.createServer((socket) => collect(socket, pieces));
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        const { port } = server.address() as net.AddressInfo;
        // TypeScript's options for net.connect do not know it; node does.
        const options: net.NetConnectOpts & { highWaterMark: number } = {
          port,
          host: '127.0.0.1',
          highWaterMark,
        };
        const socket = net.connect(options);
        await once(socket, 'connect');
        const clock = createFakeClock();
        const connection = new Connection(socket, recorder(), {
          clock,
          maxFrameBytes: 1e9,
          stallTimeoutMs: 1_000,
        });
        const piece = pattern(5_000_000);
        if (corked) connection.cork();
        connection.write(piece);
        if (corked) connection.uncork();
        while (bytesOf(pieces) < piece.length + 8) await turns(1);
        expect(Buffer.concat(pieces).subarray(8).equals(piece)).toBe(true);
        await turns();
        expect([connection.canWrite, connection.nextDeadline]).toEqual([true, Number.POSITIVE_INFINITY]);
        connection.destroy();
        server.close();
        await once(server, 'close');
      }
    }
  });

  it('goes on as long as the system takes slices at once, and waits where it does not', async () => {
    const taken: number[] = [];
    let later: (() => void) | undefined;
    const socket = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        taken.push(chunk.length);
        if (taken.length === 4) later = done;
        else done();
      },
    });
    const connection = new Connection(socket, recorder(), {
      clock: createFakeClock(),
      maxFrameBytes: 1e9,
      stallTimeoutMs: 1_000,
    });
    connection.write(Buffer.alloc(1_024 * KIB));
    const slice = 256 * KIB;
    expect([taken, socket.writableLength, connection.canWrite]).toEqual([
      [8, slice, slice, slice],
      slice,
      false,
    ]);
    later?.();
    await turns();
    expect([taken, connection.canWrite]).toEqual([[8, slice, slice, slice, slice], true]);
    connection.write(Buffer.alloc(600 * KIB));
    expect([taken.slice(5), connection.canWrite]).toEqual([[slice, slice, 88 * KIB], true]);
    connection.destroy();
  });

  it('fills the socket only so far where nobody reads', async () => {
    const { connection, near } = wire({ farReads: false });
    await turns();
    let written = 0;
    while (connection.canWrite && written < 100_000_000) {
      connection.write(Buffer.alloc(10_000));
      written += 10_000;
    }
    expect(written).toBeLessThan(1_000_000);
    expect(near.writableLength).toBeLessThan(512 * KIB);
  });
});

describe('what hangs', () => {
  it('is a peer that reads nothing for stallTimeoutMs; one that pauses is waited for', async () => {
    const { clock, connection, far } = wire({ farReads: false, stallTimeoutMs: 500 });
    await turns();
    connection.write(Buffer.alloc(2_000_000));
    expect(connection.nextDeadline).toBe(500);
    expect(connection.overdue(499, false)).toBeUndefined();
    expect(connection.overdue(500, false)?.code).toBe('NYOTA_STALLED');
    expect(connection.overdue(500, true)).toBeUndefined();
    await clock.advance(500);
    expect(connection.nextDeadline).toBe(1_000);
    far.resume();
    await turns(500);
    expect(connection.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('is not a peer that reads slowly: each slice counts anew', async () => {
    const { clock, connection, far } = wire({ farReads: false, stallTimeoutMs: 500 });
    await turns();
    connection.write(Buffer.alloc(1_500_000));
    for (let i = 0; i < 6 && connection.nextDeadline !== Number.POSITIVE_INFINITY; i++) {
      await clock.advance(400);
      expect(connection.overdue(clock.now(), false)).toBeUndefined();
      let read = 0;
      while (read < 400_000) {
        const piece: Buffer | null = far.read();
        if (piece === null) {
          await turns(1);
          if (far.readableLength === 0 && connection.socket.writableLength === 0) break;
        } else read += piece.length;
      }
      await turns();
    }
    expect(connection.overdue(clock.now(), false)).toBeUndefined();
  });

  it('is a frame that stays partial for stallTimeoutMs, since its last progress', async () => {
    const { clock, connection, far } = wire({ stallTimeoutMs: 500 });
    const frame = encodeFrame(FrameType.EVENT, {}, Buffer.alloc(100));
    far.write(frame.subarray(0, 10));
    await turns();
    expect(connection.nextDeadline).toBe(500);
    await clock.advance(300);
    far.write(frame.subarray(10, 20)); // more bytes of the same frame are no progress
    await turns();
    expect(connection.nextDeadline).toBe(500);
    far.write(Buffer.concat([frame.subarray(20), frame.subarray(0, 10)]));
    await turns();
    expect(connection.nextDeadline).toBe(800);
    expect(connection.overdue(800, true)?.message).toContain('partial');
    far.write(frame.subarray(10));
    await turns();
    expect(connection.nextDeadline).toBe(Number.POSITIVE_INFINITY);
  });

  it('is no frame that stays partial because this side does not read', async () => {
    const { clock, connection, far } = wire({ stallTimeoutMs: 500 });
    const frame = encodeFrame(FrameType.EVENT, {}, Buffer.alloc(100));
    far.write(frame.subarray(0, 10));
    await turns();
    connection.setReading(false);
    await clock.advance(5_000);
    expect([connection.nextDeadline, connection.overdue(clock.now(), false)]).toEqual([
      Number.POSITIVE_INFINITY,
      undefined,
    ]);
    connection.setReading(true);
    expect(connection.nextDeadline).toBe(5_500);
  });
});

describe('a socket that is still connecting', () => {
  it('gets the preamble first and the frames behind it', async () => {
    const pieces: Buffer[] = [];
    const server = net.createServer((socket) => collect(socket, pieces));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
    const clock = createFakeClock();
    const connection = new Connection(socket, recorder(), { clock, maxFrameBytes: 1_000, stallTimeoutMs: 1 });
    connection.end(Buffer.from('only words'));
    await connection.whenClosed();
    while (bytesOf(pieces) < 18) await turns(1);
    server.close();
    await once(server, 'close');
    expect(Buffer.concat(pieces).equals(Buffer.concat([encodePreamble(), Buffer.from('only words')]))).toBe(
      true,
    );
  });
});

function bytesOf(pieces: readonly Buffer[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}
