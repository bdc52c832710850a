/** The entry of `npm run simulate -- --fuzz`: one target in one process. */
import { fuzzDecoder, fuzzSession } from './fuzz.js';

// Stacks are most of the cost of a refusal, and nobody reads them here.
Error.stackTraceLimit = 3;
const [target, seconds, seed] = process.argv.slice(2);
const ms = Number(seconds) * 1_000;
const outcome = await (target === 'decoder' ? fuzzDecoder(Number(seed), ms) : fuzzSession(Number(seed), ms));
const rate = (outcome.executions / outcome.seconds).toFixed(0);
console.log(
  `fuzz ${outcome.target}, seed ${seed}: ${outcome.executions} executions, ${rate} a second; ${outcome.reached}`,
);
await new Promise((resolve) => process.send?.(outcome.executions, resolve));
process.exit(0);
