<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\Bootstrap;

/** The command malabar-worker. */
final class Command
{
    /**
     * @param list<string> $words
     * @return int the exit code
     */
    public static function run(array $words): int
    {
        if (in_array('--help', $words, true)) {
            echo Options::USAGE;
            return 0;
        }
        try {
            $options = new Options($words);
        } catch (\InvalidArgumentException $fault) {
            fwrite(STDERR, 'malabar-worker: ' . $fault->getMessage() . "\n\n" . Options::USAGE);
            return 2;
        }
        if (Master::isPossible()) {
            (new Master($options, static fn (Report $report) => self::work($options, $report)))->run();
        } elseif ($options->number('processes') > 1) {
            fwrite(STDERR, "malabar-worker: --processes above 1 needs ext-pcntl and ext-posix\n");
            return 2;
        } else {
            self::work($options, new Report());
        }
        return 0;
    }

    /** Ends the process with code 1 if the program cannot be loaded. */
    private static function work(Options $options, Report $report): void
    {
        try {
            $child = new Child($options, Bootstrap::load($options->text('bootstrap')), $report);
        } catch (\Throwable $thrown) {
            Log::line((string) $thrown);
            exit(1);
        }
        if (function_exists('pcntl_signal')) {
            pcntl_async_signals(true);
            foreach ([SIGTERM, SIGINT] as $signal) {
                pcntl_signal($signal, [$child, 'stop']);
            }
            pcntl_sigprocmask(SIG_UNBLOCK, [SIGTERM, SIGINT]);
        }
        $child->run();
    }
}
