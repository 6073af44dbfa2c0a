import { expect, test } from 'vitest';
import { federate } from './exposition.js';

const one = `# HELP http_seconds How long
# TYPE http_seconds histogram
http_seconds_bucket{le="1",path="/a"} 2
http_seconds_bucket{le="+Inf",path="/a"} 3
http_seconds_sum{path="/a"} 4.5
http_seconds_count{path="/a"} 3

# HELP jobs_total Jobs
# TYPE jobs_total counter
jobs_total 7 1700000000000
`;

test('figures of two processes become one text, with each family once', () => {
  const two = '# HELP jobs_total Jobs\n# TYPE jobs_total counter\njobs_total 9\n';
  const text = federate([
    { instance: 'a', text: one },
    { instance: 'b', text: two },
  ]);
  expect(text).toBe(`# HELP http_seconds How long
# TYPE http_seconds histogram
http_seconds_bucket{instance="a",le="1",path="/a"} 2
http_seconds_bucket{instance="a",le="+Inf",path="/a"} 3
http_seconds_sum{instance="a",path="/a"} 4.5
http_seconds_count{instance="a",path="/a"} 3
# HELP jobs_total Jobs
# TYPE jobs_total counter
jobs_total{instance="a"} 7 1700000000000
jobs_total{instance="b"} 9
`);
});

test('samples without a type keep to themselves, and what is no sample is dropped', () => {
  const text = 'loose 1\nloose_total 2\n<html>\n# a comment\n{} 3\n';
  expect(federate([{ instance: 'a', text }])).toBe(
    'loose{instance="a"} 1\nloose_total{instance="a"} 2\n',
  );
  expect(federate([])).toBe('');
});

test('names and values with quotes, braces and backslashes stay what they are', () => {
  const text = 'odd{path="a}b \\"c\\" {"} 1\n';
  expect(federate([{ instance: 'C:\\bus "x"', text }])).toBe(
    'odd{instance="C:\\\\bus \\"x\\"",path="a}b \\"c\\" {"} 1\n',
  );
});
