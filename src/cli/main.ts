#!/usr/bin/env node
/** The `nyota` command: runs what was asked for and sets the exit code. All else is in program.ts. */
import { runProgram } from './program.js';
import { prepareProcess } from './terminal.js';

prepareProcess();
process.exitCode = await runProgram(process.argv.slice(2));
