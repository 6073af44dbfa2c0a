<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\Context;

/** A job that was fetched. */
final class Job
{
    /** @var Lease */
    private $lease;

    /** @var string */
    private $body;

    /** @var Context */
    private $context;

    public function __construct(Lease $lease, string $body, Context $context)
    {
        $this->lease = $lease;
        $this->body = $body;
        $this->context = $context;
    }

    public function lease(): Lease
    {
        return $this->lease;
    }

    public function body(): string
    {
        return $this->body;
    }

    public function context(): Context
    {
        return $this->context;
    }
}
