import { parseArgs } from 'node:util';
import { benchAccept } from './accept.js';
import { benchDelayed } from './delayed.js';
import { benchEndToEnd } from './end-to-end.js';
import { benchKeeperPush } from './keeper-push.js';
import { benchLatency } from './latency.js';
import { describeMachine, watchMachine } from './machine.js';
import { benchMemory } from './memory.js';
import { benchPhp } from './php.js';
import { Stage } from './stage.js';

const SECTIONS = ['accept', 'end-to-end', 'php', 'latency', 'memory', 'delayed', 'keeper'] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    /** Multiplies the number of jobs of every measurement. */
    scale: { type: 'string', default: '1' },
  },
});
const rounds = Number(values.rounds);
const scale = Number(values.scale);
const wanted = positionals.length > 0 ? positionals : SECTIONS;

console.log(
  `${describeMachine()}; medians of ${rounds} interleaved rounds, minimum to maximum in brackets`,
);
const stage = new Stage();
const machine = watchMachine();
try {
  for (const section of wanted) {
    const since = watchMachine();
    if (section === 'accept') await benchAccept(stage, rounds, scale);
    else if (section === 'end-to-end') await benchEndToEnd(stage, rounds, scale);
    else if (section === 'php') await benchPhp(stage, rounds, scale);
    else if (section === 'latency') await benchLatency(stage, rounds, scale);
    else if (section === 'memory') await benchMemory(scale);
    else if (section === 'delayed') await benchDelayed(rounds, scale);
    else if (section === 'keeper') await benchKeeperPush(scale);
    else throw new Error(`no section '${section}'; there are: ${SECTIONS.join(', ')}`);
    console.log(`  (machine meanwhile: ${since()})`);
  }
} finally {
  await stage.stop();
}
console.log(`\nmachine over the whole run: ${machine()}`);
process.exit(0);
