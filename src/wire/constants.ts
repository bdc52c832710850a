/**
 * The numbers of the wire: preamble, frame types, flags, features. A leaf.
 * docs/protocol.md is the normative text; what is changed here is changed there.
 */

/** Every connection starts with these six bytes, then the lowest and the highest version spoken. */
export const MAGIC: readonly number[] = [0xd5, 0x4e, 0x59, 0x4f, 0x0d, 0x0a];
export const PREAMBLE_BYTES = 8;
/** The lowest and the highest version of the protocol that this code speaks. */
export const VERSION_MIN = 1;
export const VERSION_MAX = 1;

/** `u32 length` of what follows it, then `u8 type`, `u8 flags`. */
export const LENGTH_BYTES = 4;
export const HEADER_BYTES = LENGTH_BYTES + 2;
/** A sequence number on the wire: 48 bits, big endian, never wraps in practice. */
export const SEQ_BYTES = 6;
/** Where the payload of a sequenced frame without an ack begins. */
export const SEQUENCED_HEADER_BYTES = HEADER_BYTES + SEQ_BYTES;

/** The link's own frames. Those of a feature are in its folder: 0x10 to 0x14 and 0x20 to 0x22 are taken so far (docs/protocol.md). */
export const FrameType = {
  OPEN: 0x01,
  WELCOME: 0x02,
  REJECT: 0x03,
  CLOSE: 0x04,
  GOAWAY: 0x05,
  PING: 0x06,
  PONG: 0x07,
  ACK: 0x08,
  /** A sequenced frame whose content was withdrawn before it was ever sent: it holds the number only. */
  SKIP: 0x15,
} as const;

export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const Flag = {
  /** A sequence number follows the flags. */
  SEQ: 0x01,
  /** A cumulative ack follows the flags (and the sequence number). */
  ACK: 0x02,
  /** The sender waits for this frame's ack: send it as soon as the frame is settled. */
  ACK_NOW: 0x04,
  /** A receiver that doesn't know the type may skip the frame; without it, an unknown type is an error. */
  OPTIONAL: 0x40,
} as const;

/** What a peer accepts at the least: with less, not even an error could be told. */
export const MIN_FRAME_BYTES = 1024;
export const MIN_DEPTH = 4;
export const MIN_VALUES = 64;
/** What one payload may be unless an option says otherwise, and the deepest that an option may allow. */
export const DEFAULT_DEPTH = 64;
export const DEFAULT_VALUES = 65_536;
export const MAX_DEPTH = 512;
/** Largest `maxFrameBytes` that may be agreed on. */
export const MAX_FRAME_BYTES_LIMIT = 16 * 1024 * 1024;
/** What a frame before WELCOME may be at most: OPEN carries credentials, nothing large. */
export const MAX_HANDSHAKE_FRAME_BYTES = 64 * 1024;

/** The one msgpack extension type of nyota's own (`N`); its first payload byte tells the kind. */
export const EXT_TYPE = 0x4e;
export const ExtKind = {
  MAP: 0x01,
  SET: 0x02,
  ERROR: 0x03,
  TYPED_ARRAY: 0x04,
} as const;

/** A msgpack extension of type 0 with the one byte 0: undefined. */
export const EXT_UNDEFINED = 0x00;
/** The msgpack timestamp extension (type -1 as an unsigned byte): a Date. */
export const EXT_TIMESTAMP = 0xff;
/** The second payload byte of `ExtKind.TYPED_ARRAY`: what the raw little-endian bytes after it are. */
export const ElementType = {
  INT8: 0x01,
  UINT8: 0x02,
  UINT8_CLAMPED: 0x03,
  INT16: 0x04,
  UINT16: 0x05,
  INT32: 0x06,
  UINT32: 0x07,
  FLOAT32: 0x08,
  FLOAT64: 0x09,
  BIGINT64: 0x0a,
  BIGUINT64: 0x0b,
  ARRAY_BUFFER: 0x20,
  DATA_VIEW: 0x21,
} as const;

/** The largest sequence number, request id or revision: 48 bits. */
export const MAX_U48 = 0xffff_ffff_ffff;
export const MAX_U32 = 0xffff_ffff;
/** Length of the secret in OPEN. */
export const SECRET_BYTES = 32;
