<?php
// The consumer of `make run-php`: a plain script, no SDK. docs/php.md tells all that it may answer.

$jobs = json_decode($_POST['jobs'], true);
$job = $jobs[0];                         // one job a request, unless the topic says `chunk: 20`
$order = json_decode($job['content'], true)['order'] ?? $job['content'];
$attempt = $job['RetryTimes'];           // 1 is the first try

// Comes out of php-fpm's log, and so in the demo's window.
function say(string $text): void
{
    file_put_contents('php://stderr', "$text\n");
}

if ($attempt <= 2) {
    // Anything but a yes is tried again; body and STDERR are kept as the attempt's error.
    header('Malabar-Outcome: retry');
    echo "mailbox of order $order is busy";
    say("order $order, attempt $attempt: busy, later please");
    exit;
}

header('Malabar-Outcome: done');
say("order $order, attempt $attempt: done");
