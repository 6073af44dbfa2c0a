<?php

declare(strict_types=1);

namespace Malabar;

/** No retry can help: the job is dead, and kept with these words until somebody looks. */
class TaskException extends \RuntimeException
{
}
