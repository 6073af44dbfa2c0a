<?php
// A consumer without SDK: one script, one form, one header as the answer.
//   Malabar-Outcome: done | retry | dead | release, with Retry-After in seconds where wanted
// A job's content may name its outcome ("outcome", "after"); else it is done when act() returns.

require_once __DIR__ . '/act.php';

if (($_POST['type'] ?? '') !== 'data') {
    header('Malabar-Outcome: retry');
    exit('not a delivery');
}

foreach (json_decode($_POST['jobs'], true) as $job) {
    try {
        act($job, $_POST['queue'], $_POST['topic']);
    } catch (Exception $exception) {
        header('Malabar-Outcome: retry');
        header('Error-Code: ' . $exception->getCode());
        exit($exception->getMessage());
    }
    $order = json_decode($job['content'], true);
    if (isset($order['after'])) {
        header('Retry-After: ' . $order['after']);
    }
    $outcome = $order['outcome'] ?? 'done';
    if ($outcome !== 'nothing') {
        header("Malabar-Outcome: $outcome");
    }
    echo $order['say'] ?? '';
}
