import { dueAt } from '@malabar/schedule';
import { newFire } from './fires.js';
import { type Fire, type FinalStatus, type ParentRun, runIdOf } from './record.js';
import type { Turn } from './turn.js';

/** What the end of another schedule's run makes of one that may follow it: whether it heard, and what it fires. */
