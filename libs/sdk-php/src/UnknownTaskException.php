<?php

declare(strict_types=1);

namespace Malabar;

/** Nobody here does this task: a failure, so that the job is still there when somebody does. */
final class UnknownTaskException extends \RuntimeException
{
}
