<?php
// What the consumers of the tests do with a job. Its content is a JSON object:
//   do      what happens, see below; default "succeed"
//   record  a file that gets one line of JSON for each time that the job starts
//   ms      for "slow": how long
//   times   for "fail-until": the try that succeeds
// "hang-at-first" never ends at its first try and succeeds at the others.
// Content that is no JSON object succeeds.

function act(array $job, string $queue, string $topic)
{
    $order = json_decode($job['content'], true);
    if (!is_array($order)) {
        return 0;
    }
    record($order, $job, "$queue/$topic");
    switch ($order['do'] ?? 'succeed') {
        case 'succeed':
            return 0;
        case 'false':
            return false;
        case 'throw':
            throw new RuntimeException($order['message'] ?? 'the handler says no', 42);
        case 'fail-until':
            if ($job['RetryTimes'] < $order['times']) {
                throw new RuntimeException("not before try {$order['times']}", 43);
            }
            return 0;
        case 'warn':
            error_log('a line for the log');
            echo $undefined;
            return 0;
        case 'slow':
            // A signal ends usleep early, hence the loop.
            $until = microtime(true) + $order['ms'] / 1000;
            while (($left = $until - microtime(true)) > 0) {
                usleep((int) ($left * 1e6) + 1);
            }
            return 0;
        case 'hang-at-first':
            if ($job['RetryTimes'] == 1) {
                sleep(60);
            }
            return 0;
        case 'error':
            // An Error, not an Exception: the entry script does not catch it.
            return no_such_function();
        case 'fatal-after-code':
            header('Code: 200');
            return no_such_function();
        case 'memory':
            ini_set('memory_limit', '8M');
            return strlen(str_repeat('x', 64 << 20));
        case 'exit':
            exit;
        case 'kill':
            posix_kill(getmypid(), 9);
            sleep(60);
            return 0;
    }
    throw new LogicException("unknown do: {$order['do']}");
}

function record(array $order, array $job, string $path): void
{
    if (!isset($order['record'])) {
        return;
    }
    $line = json_encode([
        'id' => $job['id'],
        'try' => $job['RetryTimes'],
        'path' => $path,
        'n' => $order['n'] ?? null,
        'pid' => getmypid(),
    ]);
    file_put_contents($order['record'], "$line\n", FILE_APPEND | LOCK_EX);
}
