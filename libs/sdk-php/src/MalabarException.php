<?php

declare(strict_types=1);

namespace Malabar;

/** What goes wrong between this program and the bus. */
interface MalabarException extends \Throwable
{
}
