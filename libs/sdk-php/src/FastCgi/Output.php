<?php

declare(strict_types=1);

namespace Malabar\FastCgi;

/** What handlers print, kept from the answer: the end of it, for the words of a failure. */
final class Output
{
    private const CHUNK_BYTES = 4096;
    private const KEPT_BYTES = 2048;

    /** @var string */
    private $tail = '';

    /** @var int */
    private $level;

    public function __construct()
    {
        ob_start(function (string $printed): string {
            $this->tail = substr($this->tail . $printed, -self::KEPT_BYTES);
            return '';
        }, self::CHUNK_BYTES);
        $this->level = ob_get_level();
    }

    /** Ends keeping, and says what was printed last. */
    public function end(): string
    {
        while (ob_get_level() >= $this->level) {
            ob_end_flush();
        }
        return $this->tail;
    }
}
