<?php

declare(strict_types=1);

namespace Malabar;

/** Tells the bus about a job whose handler ends the process: out of memory, out of time, exit(). */
final class LastWords
{
    private const FATAL = E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR | E_USER_ERROR
        | E_RECOVERABLE_ERROR;

    /** Enough to speak with when the memory is exhausted. */
    private const RESERVE_BYTES = 512 * 1024;

    /** @var callable|null */
    private $say;

    /** @var string|null */
    private $reserve;

    public function __construct()
    {
        register_shutdown_function(function (): void {
            $this->reserve = null;
            if ($this->say !== null) {
                ($this->say)(self::verdict());
            }
        });
    }

    /** @param callable $say gets the Verdict if the process ends before `disarm` */
    public function arm(callable $say): void
    {
        $this->say = $say;
        $this->reserve = str_repeat(' ', self::RESERVE_BYTES);
    }

    public function disarm(): void
    {
        $this->say = null;
        $this->reserve = null;
    }

    private static function verdict(): Verdict
    {
        $last = error_get_last();
        if ($last === null || ($last['type'] & self::FATAL) === 0) {
            return Verdict::retry('the handler ended the process (exit or die)', 'EXIT');
        }
        $words = "PHP Fatal error: {$last['message']} at {$last['file']}:{$last['line']}";
        return Verdict::crash($words, 'FATAL');
    }
}
