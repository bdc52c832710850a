/** One socket as a stream of frames: preamble, handing over, holding, and errors that a reader throws. */
import { describe, expect, it } from 'vitest';
import { NyotaError } from '../../../src/errors.js';
import { Connection } from '../../../src/net/connection.js';
import { createLink } from '../../../src/testing/index.js';
import { encodeFrame } from '../../../src/wire/frame-encoder.js';
import { encodePreamble } from '../../../src/wire/preamble.js';
import { FrameType } from '../../support/frame-type.js';
import { recorder, turns, wire } from '../../support/session-connection.js';

const PING = encodeFrame(FrameType.PING);
const ofBytes = (bytes: number): Buffer => encodeFrame(FrameType.EVENT, {}, Buffer.alloc(bytes));
const codes = (closings: ReadonlyArray<NyotaError | undefined>): unknown[] =>
  closings.map((error) => error?.code);

describe('the preamble', () => {
  it('is the first that is written, and may come byte by byte', async () => {
    const { seen, far, received } = wire({ preamble: false });
    for (const byte of encodePreamble()) {
      far.write(Buffer.from([byte]));
      await turns(3);
    }
    far.write(PING);
    await turns();
    expect([seen.frames, seen.chunks]).toEqual([[[FrameType.PING, 0]], [PING.length]]);
    expect(received().equals(encodePreamble())).toBe(true);
  });

  it('may come in one piece with the first frames', async () => {
    const { seen, far } = wire({ preamble: false });
    far.write(Buffer.concat([encodePreamble(), PING, ofBytes(5).subarray(0, 7)]));
    far.write(ofBytes(5).subarray(7));
    await turns();
    expect(seen.frames).toEqual([
      [FrameType.PING, 0],
      [FrameType.EVENT, 5],
    ]);
  });

  it('that is none of ours ends the connection at its first wrong byte, with last words', async () => {
    const { connection, seen, far, received } = wire({ preamble: false });
    far.write('GET / HTTP/1.1\r\n\r\n');
    await turns();
    expect([codes(seen.closings), connection.open]).toEqual([['NYOTA_BAD_PREAMBLE'], false]);
    expect(received().toString('latin1')).toContain('last words: NYOTA_BAD_PREAMBLE');
  });

  it('of another version ends the connection', async () => {
    const { seen, far } = wire({ preamble: false });
    far.write(encodePreamble(200, 201));
    await turns();
    expect(codes(seen.closings)).toEqual(['NYOTA_VERSION_MISMATCH']);
  });
});

describe('reading', () => {
  it('tells of chunks and whole frames, however they are sliced', async () => {
    const { seen, near, far } = wire();
    near.connection?.slice(3);
    far.write(Buffer.concat([PING, ofBytes(20), PING]));
    await turns(200);
    expect(seen.frames).toEqual([
      [FrameType.PING, 0],
      [FrameType.EVENT, 20],
      [FrameType.PING, 0],
    ]);
    expect(seen.chunks.every((bytes) => bytes <= 3)).toBe(true);
    expect(seen.chunkEnds).toBeGreaterThanOrEqual(seen.chunks.length);
  });

  it('ends for a frame above the limit, and for what the reader throws', async () => {
    for (const [bytes, thrown, code] of [
      [2_000, undefined, 'NYOTA_PROTOCOL_ERROR'],
      [1, new NyotaError('NYOTA_SEQUENCE_GAP', 'gap'), 'NYOTA_SEQUENCE_GAP'],
      [1, new TypeError('a bug'), 'NYOTA_INTERNAL'],
    ] as const) {
      const { seen, far, received } = wire();
      seen.onFrame = () => {
        if (thrown !== undefined) throw thrown;
      };
      far.write(Buffer.concat([ofBytes(bytes), PING]));
      await turns();
      expect(codes(seen.closings)).toEqual([code]);
      expect(seen.frames.length).toBeLessThan(2);
      expect(received().toString('latin1')).toContain(`last words: ${code}`);
      if (code === 'NYOTA_INTERNAL') expect(seen.closings[0]?.cause).toBe(thrown);
    }
  });

  it('goes on with another reader from the next frame', async () => {
    const { connection, seen, far } = wire();
    const next = recorder();
    seen.onFrame = () => connection.read(next);
    far.write(Buffer.concat([PING, ofBytes(3)]));
    await turns();
    expect([seen.frames, next.frames]).toEqual([[[FrameType.PING, 0]], [[FrameType.EVENT, 3]]]);
  });

  it('stops while it is held: frames wait, also those of the same chunk, and none is lost', async () => {
    const { connection, seen, far } = wire();
    seen.onFrame = (frame) => {
      if (frame.type === FrameType.PING) connection.hold();
    };
    far.write(Buffer.concat([ofBytes(1), PING, ofBytes(2)]));
    await turns();
    far.write(ofBytes(3));
    await turns();
    expect(seen.frames.length).toBe(2);
    connection.release();
    await turns();
    expect(seen.frames.map(([, bytes]) => bytes)).toEqual([1, 0, 2, 3]);
  });

  it('may be released from within the frame that held it', async () => {
    const { connection, seen, far } = wire();
    seen.onFrame = () => {
      connection.hold();
      connection.release();
    };
    far.write(Buffer.concat([ofBytes(1), ofBytes(2)]));
    await turns();
    expect(seen.frames.length).toBe(2);
  });

  it('stays stopped where it is released while the session does not read', async () => {
    const { connection, seen, far } = wire();
    connection.hold();
    connection.setReading(false);
    connection.release();
    far.write(PING);
    await turns();
    expect(seen.frames).toEqual([]);
    connection.setReading(true);
    await turns();
    expect(seen.frames.length).toBe(1);
  });

  it('drops a chunk that nobody is interested in', async () => {
    const [near, far] = createLink();
    const seen = recorder();
    const connection = new Connection(
      near,
      { ...seen, chunkStart: () => false },
      { clock: wire().clock, maxFrameBytes: 1_000, stallTimeoutMs: 1_000 },
    );
    far.write(Buffer.concat([encodePreamble(), PING]));
    await turns();
    expect([seen.frames, connection.open]).toEqual([[], true]);
    connection.destroy();
  });
});

describe('the end', () => {
  it('with last words: they are flushed, the reader hears at once, and the socket closes with the other side’s end', async () => {
    const { clock, connection, seen, near, far, received } = wire();
    await turns();
    const error = new NyotaError('NYOTA_STALLED', 'why');
    connection.end(Buffer.from('bye'), error);
    expect([seen.closings, connection.open, connection.closed]).toEqual([[error], false, false]);
    far.write(PING); // thrown away
    await turns();
    expect(received().toString('latin1').endsWith('bye')).toBe(true);
    expect([seen.frames, near.destroyed, connection.closed, clock.pendingTimers]).toEqual([
      [],
      true,
      true,
      0,
    ]);
    await connection.whenClosed();
    expect(seen.closings.length).toBe(1);
  });

  it('waits a second for the other side’s end, and cuts then', async () => {
    const clock = wire().clock;
    const network = wire();
    network.near.connection?.stall();
    network.connection.end(undefined);
    await network.clock.advance(999);
    expect(network.near.destroyed).toBe(false);
    await network.clock.advance(1);
    expect([network.near.destroyed, network.clock.pendingTimers, clock.pendingTimers]).toEqual([true, 0, 0]);
  });

  it('by the other side is a clean one; an error says what broke', async () => {
    const ended = wire();
    await turns();
    ended.far.end();
    const broken = wire();
    await turns();
    broken.near.connection?.cut(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    await turns();
    expect([ended.seen.closings, ended.near.destroyed]).toEqual([[undefined], true]);
    expect(codes(broken.seen.closings)).toEqual(['NYOTA_CONNECTION_LOST']);
    expect(broken.seen.closings[0]?.message).toContain('ECONNRESET');
  });

  it('by destroy is told at once and once; what comes after it is ignored', async () => {
    const { connection, seen, near, far } = wire();
    const error = new NyotaError('NYOTA_PING_TIMEOUT', 'dead');
    await turns();
    far.write(PING);
    connection.destroy(error);
    connection.destroy();
    connection.end(Buffer.from('late'));
    connection.write(Buffer.from('late'));
    near.emit('error', new Error('late'));
    connection.setReading(true);
    connection.release();
    await turns();
    expect([seen.closings, seen.frames, connection.canWrite]).toEqual([[error], [], false]);
    await connection.whenClosed();
  });

  it('may come from within a frame: nothing behind it is read', async () => {
    for (const end of ['end', 'destroy'] as const) {
      const { connection, seen, far } = wire();
      seen.onFrame = () => connection[end](undefined);
      far.write(Buffer.concat([PING, PING]));
      await turns();
      expect([seen.frames.length, seen.closings, seen.chunkEnds]).toEqual([1, [undefined], 0]);
    }
  });

  it('may come from within closed', async () => {
    const { connection, seen } = wire();
    seen.closed = (error) => {
      seen.closings.push(error);
      connection.destroy();
      connection.end(undefined);
    };
    connection.end(undefined);
    await turns();
    expect(seen.closings).toEqual([undefined]);
  });

  it('needs no words where a frame is half written: the connection is cut', async () => {
    const { connection, seen, near } = wire({ farReads: false });
    await turns();
    connection.write(Buffer.alloc(2_000_000));
    connection.end(Buffer.from('bye'));
    expect([near.destroyed, seen.closings]).toEqual([true, [undefined]]);
  });
});
