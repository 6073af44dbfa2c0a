<?php

declare(strict_types=1);

namespace Malabar;

/** Somebody else is at the same work; inside a task: try again when that has ended. */
final class AlreadyRunningException extends RetryException
{
}
