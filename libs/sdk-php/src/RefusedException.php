<?php

declare(strict_types=1);

namespace Malabar;

use Malabar\Redis\ErrorReply;

/** The bus said no. The codes are those of Malabar's docs/errors.md. */
class RefusedException extends \RuntimeException implements MalabarException
{
    /** @var ErrorReply */
    private $reply;

    public function __construct(ErrorReply $reply)
    {
        parent::__construct($reply->errorCode() . ': ' . $reply->message());
        $this->reply = $reply;
    }

    /** E.g. `UNKNOWN_QUEUE` or `QUEUE_FULL`. */
    public function errorCode(): string
    {
        return $this->reply->errorCode();
    }

    /** The very same request may succeed later. */
    public function isRetryable(): bool
    {
        return $this->reply->isRetryable();
    }
}
