/** Sixteen events in one go to every session: what falls into one tick may share a write. */
import { fanOut } from './fan-out.js';

export const measure = fanOut('fan-out-bursts', '16 events at a time to 1,000 sessions', 16);
