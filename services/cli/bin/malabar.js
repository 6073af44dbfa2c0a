#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('malabar: not built yet. Run `make build` in the checkout first.');
  process.exitCode = 1;
}
