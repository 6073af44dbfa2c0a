<?php

declare(strict_types=1);

namespace Malabar;

/** Not now: the task is called again, as long as the topic's retry policy allows. */
class RetryException extends \RuntimeException
{
    /** @var float|null */
    private $afterSeconds;

    /** @param float|null $afterSeconds when; null leaves it to the retry policy */
    public function __construct(string $message, ?float $afterSeconds = null, int $code = 0)
    {
        parent::__construct($message, $code);
        $this->afterSeconds = $afterSeconds;
    }

    public function afterSeconds(): ?float
    {
        return $this->afterSeconds;
    }
}
