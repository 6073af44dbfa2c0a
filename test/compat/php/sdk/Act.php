<?php

use Malabar\Context;
use Malabar\RetryException;
use Malabar\Task;
use Malabar\TaskException;

/** Writes down that it began, then does what `do` says; only at the first attempt if `once` is set. */
final class Act implements Task
{
    public function handle(array $params, Context $context)
    {
        self::record($params, $context);
        $act = $params['do'] ?? 'nothing';
        if (($params['once'] ?? false) && $context->attempt() > 1) {
            return false;
        }
        switch ($act) {
            case 'retry':
                throw new RetryException('not yet', $params['after'] ?? null, 7);
            case 'dead':
                throw new TaskException('no such order');
            case 'throw':
                print 'looking for stock';
                throw new RuntimeException('kein Bestand: 0 Stück');
            case 'error':
                return no_such_function();
            case 'memory':
                return str_repeat('x', 1 << 30);
            case 'exit':
                exit('that is it');
            case 'print':
                print str_repeat('.', 100000);
                return null;
            case 'die':
                posix_kill(getmypid(), SIGKILL);
                return null;
            case 'sleep':
                for ($until = microtime(true) + $params['seconds']; microtime(true) < $until; ) {
                    usleep(20000);
                }
        }
        return null;
    }

    private static function record(array $params, Context $context): void
    {
        $line = json_encode([
            'id' => $context->jobId(),
            'try' => $context->attempt(),
            'path' => $context->queue() . '/' . $context->topic(),
            'event' => $context->event(),
            'headers' => $context->headers(),
            'acceptedAt' => $context->acceptedAt()->format('U.v'),
            'secondsLeft' => $context->secondsLeft(),
            'params' => $params,
            'n' => $params['n'] ?? null,
            'pid' => getmypid(),
            'at' => microtime(true),
        ]);
        file_put_contents($params['record'], "$line\n", FILE_APPEND | LOCK_EX);
    }
}
