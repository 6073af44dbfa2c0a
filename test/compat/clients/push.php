<?php
// phpredis pushes one job and one with options: php push.php <port> <queue> <body>
[, $port, $queue, $body] = $argv;
$redis = new Redis();
$redis->connect('127.0.0.1', (int) $port, 3.0);
$redis->ping();
echo $redis->lPush($queue, $body), "\n";
echo $redis->rawCommand('ADDJOB', $queue, $body . ' later', '0', 'DELAY', '1'), "\n";
echo $redis->lLen($queue), "\n";
$redis->close();
