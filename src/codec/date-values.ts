/** Dates from their bytes: the timestamp extension of msgpack, in each of its three lengths. Pure. */

const NANOSECONDS_PER_MS = 1_000_000;
const MAX_NANOSECONDS = 999_999_999;
const MAX_DATE_SECONDS = 8_640_000_000_000;
const TWO_POW_32 = 0x1_0000_0000;

/** The Date in `source[from..from + length)`; undefined where there is none. */
export function dateOf(source: Buffer, from: number, length: number): Date | undefined {
  let seconds: number;
  let nanoseconds = 0;
  if (length === 4) {
    seconds = source.readUInt32BE(from);
  } else if (length === 8) {
    const high = source.readUInt32BE(from);
    nanoseconds = high >>> 2;
    seconds = (high & 3) * TWO_POW_32 + source.readUInt32BE(from + 4);
  } else if (length === 12) {
    nanoseconds = source.readUInt32BE(from);
    seconds = source.readInt32BE(from + 4) * TWO_POW_32 + source.readUInt32BE(from + 8);
  } else {
    return undefined;
  }
  if (nanoseconds > MAX_NANOSECONDS || isBeyondDates(seconds, nanoseconds)) return undefined;
  return new Date(seconds * 1000 + Math.floor(nanoseconds / NANOSECONDS_PER_MS));
}

/** More than 100 million days from the epoch, by however little. */
function isBeyondDates(seconds: number, nanoseconds: number): boolean {
  return Math.abs(seconds) > MAX_DATE_SECONDS || (seconds === MAX_DATE_SECONDS && nanoseconds > 0);
}
