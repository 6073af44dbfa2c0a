<?php

declare(strict_types=1);

namespace Malabar;

use Malabar\Idempotence\Store;

/** Does a job and judges how it went. Whatever a handler throws ends here. */
final class Runner
{
    private const TRACE_LINES = 8;

    private const REMEMBERED_SECONDS = 7 * 86400;

    /** @var Registry */
    private $registry;

    /** @var Store|null */
    private $store;

    /** @param Store|null $store remembers which jobs are done, so that none is done twice */
    public function __construct(Registry $registry, ?Store $store = null)
    {
        $this->registry = $registry;
        $this->store = $store;
    }

    public function run(string $body, Context $context): Verdict
    {
        try {
            $this->handle($body, $context);
            return Verdict::done();
        } catch (\Throwable $thrown) {
            return self::judge($thrown, $context->attempt());
        }
    }

    private function handle(string $body, Context $context): void
    {
        $envelope = Envelope::read($body, $context->queue());
        $path = $context->queue() . '/' . $context->topic();
        $handler = $this->registry->handler($path, $envelope->event());
        $work = static function () use ($handler, $envelope, $context): void {
            $handler($envelope->params(), $context->withEvent($envelope->event()));
        };
        if ($this->store === null) {
            $work();
        } else {
            $key = "$path/{$context->jobId()}";
            Idempotent::once($key, $work, self::REMEMBERED_SECONDS, $this->store);
        }
    }

    private static function judge(\Throwable $thrown, int $attempt): Verdict
    {
        $said = self::className($thrown) . ': ' . $thrown->getMessage() . " (attempt $attempt)";
        $code = self::code($thrown);
        if ($thrown instanceof UnknownTaskException) {
            return Verdict::unknown($said);
        }
        if ($thrown instanceof TaskException) {
            return Verdict::dead($said, $code);
        }
        if ($thrown instanceof RetryException) {
            return Verdict::retry($said, $code, $thrown->afterSeconds());
        }
        return Verdict::retry($said, $code)->withDetails(self::whence($thrown));
    }

    /** What nobody foresaw needs its place, too: the calls between it and us. */
    private static function whence(\Throwable $thrown): string
    {
        $lines = ["at {$thrown->getFile()}:{$thrown->getLine()}"];
        foreach (explode("\n", $thrown->getTraceAsString()) as $call) {
            if (strpos($call, __DIR__) !== false || count($lines) > self::TRACE_LINES) {
                break;
            }
            $lines[] = $call;
        }
        return implode("\n", $lines);
    }

    private static function code(\Throwable $thrown): string
    {
        // PDO's codes are texts.
        $code = (string) $thrown->getCode();
        return in_array($code, ['', '0'], true) ? self::className($thrown) : $code;
    }

    /** Without the file that PHP appends to the name of an anonymous class. */
    private static function className(\Throwable $thrown): string
    {
        return explode("\0", get_class($thrown))[0];
    }
}
