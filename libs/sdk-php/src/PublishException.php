<?php

declare(strict_types=1);

namespace Malabar;

use Malabar\Redis\ErrorReply;

/** At least one event was refused; its words are those of the first that was. */
final class PublishException extends RefusedException
{
    /** @var array<int, string> */
    private $ids;

    /** @var array<int, RefusedException> */
    private $refusals;

    /**
     * @param array<int, string|ErrorReply> $answers one for each event, in their order
     */
    public function __construct(array $answers)
    {
        $replies = array_filter($answers, static fn ($answer) => $answer instanceof ErrorReply);
        parent::__construct(reset($replies));
        $this->ids = array_diff_key($answers, $replies);
        $this->refusals = array_map(static fn ($reply) => new RefusedException($reply), $replies);
    }

    /** @return array<int, string> the jobs' ids of the events that were accepted, by position */
    public function ids(): array
    {
        return $this->ids;
    }

    /** @return array<int, RefusedException> of the events that were refused, by position */
    public function refusals(): array
    {
        return $this->refusals;
    }
}
