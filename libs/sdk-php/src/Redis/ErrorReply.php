<?php

declare(strict_types=1);

namespace Malabar\Redis;

/** An error reply of the Redis port: Malabar's code and the words behind it. */
final class ErrorReply
{
    /** First word of a reply => Malabar's code. `ERR` stands for several; all of them are final. */
    public const CODES = [
        'ERR' => 'INVALID',
        'NOAUTH' => 'UNAUTHENTICATED',
        'WRONGPASS' => 'WRONG_PASSWORD',
        'NOPERM' => 'FORBIDDEN',
        'NOQUEUE' => 'UNKNOWN_QUEUE',
        'NOTOPIC' => 'UNKNOWN_TOPIC',
        'NOJOB' => 'UNKNOWN_JOB',
        'CONFLICT' => 'CONFLICT',
        'TOOBIG' => 'TOO_LARGE',
        'QUEUEFULL' => 'QUEUE_FULL',
        'BUSY' => 'BUSY',
        'DISKFULL' => 'DISK_FULL',
        'TRYAGAIN' => 'UNAVAILABLE',
        'TIMEOUT' => 'TIMEOUT',
        'STALELEASE' => 'STALE_LEASE',
        'CORRUPT' => 'CORRUPT',
    ];

    private const RETRYABLE = ['QUEUE_FULL', 'BUSY', 'DISK_FULL', 'UNAVAILABLE', 'TIMEOUT'];

    /** @var string */
    private $prefix;

    /** @var string */
    private $message;

    /** @param string $line as it came, without the leading `-` */
    public function __construct(string $line)
    {
        [$this->prefix, $this->message] = explode(' ', $line, 2) + [1 => ''];
    }

    public function errorCode(): string
    {
        return self::CODES[$this->prefix] ?? $this->prefix;
    }

    public function message(): string
    {
        return $this->message;
    }

    public function isRetryable(): bool
    {
        return in_array($this->errorCode(), self::RETRYABLE, true);
    }
}
