export { groupNumber, userAccount } from './accounts.js';
export { describeEnding, type Ending, isCrash } from './ending.js';
export { LastWill } from './last-will.js';
export { OutputKeeper } from './output-keeper.js';
export { RotatedFile, type RotatedFileOptions } from './rotated-file.js';
export { type CommandOptions, type OutputName, type RunningCommand, runCommand } from './run.js';
