/** The numbers of all frame types, the link's and the features': for tests that write and read frames by hand. */
import { EventFrame } from '../../src/features/events.js';
import { RequestFrame } from '../../src/features/requests.js';
import { StoreFrameType } from '../../src/features/store/frames.js';
import { FrameType as LinkFrame } from '../../src/wire/constants.js';

export const FrameType = { ...LinkFrame, ...EventFrame, ...RequestFrame, ...StoreFrameType } as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];
