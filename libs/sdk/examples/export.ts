// Prints the tasks as documents of malabar.yaml: node export.ts > malabar.yaml
import { tasks } from './tasks.ts';

process.stdout.write(tasks.toYaml());
