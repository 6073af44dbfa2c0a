<?php

declare(strict_types=1);

namespace Malabar;

/** The bus could not be reached, or the connection broke before the answer came. */
final class ConnectionException extends \RuntimeException implements MalabarException
{
    /** @var bool */
    private $sent;

    /** @var bool */
    private $repeatable;

    /**
     * @param bool $sent the request was on its way: the bus may have carried it out
     * @param bool $repeatable carrying it out twice does no harm
     */
    public function __construct(string $message, bool $sent, bool $repeatable = false)
    {
        parent::__construct($message);
        $this->sent = $sent;
        $this->repeatable = $repeatable;
    }

    /** The bus may have carried out the request although its answer never came. */
    public function mayHaveHappened(): bool
    {
        return $this->sent;
    }

    /** To do the same again cannot do it twice: nothing was sent, or every event has a unique key. */
    public function isSafeToRetry(): bool
    {
        return !$this->sent || $this->repeatable;
    }
}
