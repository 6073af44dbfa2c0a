<?php
// php produce.php HOST PORT QUEUE PASSWORD CONTENT...: prints the bus's answer to each, one a line.

require_once __DIR__ . '/Client.php';

list(, $host, $port, $queue, $password) = $argv;
$client = new PepperBus\Client($host, (int) $port);
foreach (array_slice($argv, 5) as $content) {
    echo $client->addJob($queue, $password, $content), "\n";
}
