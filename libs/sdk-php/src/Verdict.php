<?php

declare(strict_types=1);

namespace Malabar;

/** What became of a job, as the bus hears it and as its attempt history shows it. */
final class Verdict
{
    public const DONE = 'done';
    public const RETRY = 'retry';
    public const DEAD = 'dead';
    public const CRASH = 'crash';
    public const RELEASE = 'release';
    public const UNKNOWN = 'unknown';

    private const MESSAGE_BYTES = 8192;

    /** @var string */
    private $kind;

    /** @var string */
    private $message;

    /** @var string where it came from, for whoever looks closer */
    private $details = '';

    /** @var string */
    private $code;

    /** @var float|null */
    private $afterSeconds;

    private function __construct(string $kind, string $message, string $code, ?float $afterSeconds)
    {
        $this->kind = $kind;
        $this->message = $message;
        $this->code = $code;
        $this->afterSeconds = $afterSeconds;
    }

    public static function done(): self
    {
        return new self(self::DONE, '', '', null);
    }

    public static function retry(string $message, string $code, ?float $afterSeconds = null): self
    {
        return new self(self::RETRY, $message, $code, $afterSeconds);
    }

    public static function dead(string $message, string $code): self
    {
        return new self(self::DEAD, $message, $code, null);
    }

    /** What did the job died of it. */
    public static function crash(string $message, string $code): self
    {
        return new self(self::CRASH, $message, $code, null);
    }

    /** Untouched: burns no attempt. */
    public static function release(string $message): self
    {
        return new self(self::RELEASE, $message, 'RELEASED', null);
    }

    /** Nobody serves the topic here. */
    public static function unknown(string $message): self
    {
        return new self(self::UNKNOWN, $message, 'UNKNOWN_TASK', null);
    }

    /** As the one answer for several jobs: what is dead of one must not end the others. */
    public function forAllOf(int $jobs, string $jobId): self
    {
        $copy = clone $this;
        $copy->message = "job $jobId, one of $jobs that share this answer: {$this->message}";
        $copy->kind = $this->kind === self::DEAD ? self::RETRY : $this->kind;
        return $copy;
    }

    public function withDetails(string $details): self
    {
        $copy = clone $this;
        $copy->details = $details;
        return $copy;
    }

    /** What the handler printed before. */
    public function withPrinted(string $printed): self
    {
        $copy = clone $this;
        $copy->message .= $printed === '' ? '' : "\nprinted: $printed";
        return $copy;
    }

    public function isDone(): bool
    {
        return $this->kind === self::DONE;
    }

    public function isUnknown(): bool
    {
        return $this->kind === self::UNKNOWN;
    }

    public function kind(): string
    {
        return $this->kind;
    }

    /** For people: what matters most comes first, because lists show the beginning only. */
    public function message(): string
    {
        return self::clip(rtrim("{$this->message}\n{$this->details}"));
    }

    /** For programs: the exception's code, or its class. */
    public function code(): string
    {
        return $this->code;
    }

    public function afterSeconds(): ?float
    {
        return $this->afterSeconds;
    }

    /** Cut at the limit, never inside a character. */
    private static function clip(string $text): string
    {
        if (strlen($text) <= self::MESSAGE_BYTES) {
            return $text;
        }
        return preg_replace('/[\xC0-\xFF][\x80-\xBF]*$/', '', substr($text, 0, self::MESSAGE_BYTES));
    }
}
