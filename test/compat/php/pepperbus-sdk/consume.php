<?php
// An application's entry script, as its authors would write it. A test that needs other topics
// writes its own, which sets $topics to a list of "queue/topic" and requires this one.

require_once __DIR__ . '/../act.php';
require_once __DIR__ . '/Server.php';

class OrderHandler
{
    public function handle(PepperBus\Request $request)
    {
        $result = 0;
        foreach ($request->getJobs() as $job) {
            $result = act($job, $request->getQueue(), $request->getTopic());
        }
        return $result;
    }
}

$server = new PepperBus\Server();
foreach ($topics ?? ['shop/ship', 'shop/sms'] as $path) {
    $server->register($path, 'OrderHandler', 'handle');
}
try {
    $server->run();
} catch (Exception $exception) {
    $server->commit(500, $exception->getCode(), $exception->getMessage());
}
