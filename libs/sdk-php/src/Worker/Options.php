<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\Registry;

/** What the command line of malabar-worker says. */
final class Options
{
    public const USAGE = <<<'TEXT'
malabar-worker --bootstrap FILE [options] [queue/topic ...]

  --bootstrap FILE    PHP file that returns the Malabar\Registry; loaded by each process
  --queue NAME        serve this queue's registered topics only ...
  --topic NAME        ... or this one of them
  --processes N       how many jobs at once (1); needs ext-pcntl
  --timeout SECONDS   let a job run so long, beyond the topic's own timeout; then kill its process
  --max-jobs N        start a process anew after so many jobs (1000; 0: never)
  --max-memory MIB    start a process anew when it has grown so large (128)
  --drain SECONDS     on SIGTERM, how long running jobs may take to end (30)

TEXT;

    private const NUMBERS = [
        'processes' => 1,
        'timeout' => 0,
        'max-jobs' => 1000,
        'max-memory' => 128,
        'drain' => 30,
    ];

    private const TEXTS = ['bootstrap' => '', 'queue' => '', 'topic' => ''];

    /** @var array<string, int|string> */
    private $values = self::NUMBERS + self::TEXTS;

    /** @var list<string> */
    private $places = [];

    /** @param list<string> $words the command line without the command itself */
    public function __construct(array $words)
    {
        while ($words !== []) {
            $word = array_shift($words);
            if (strncmp($word, '--', 2) !== 0) {
                $this->places[] = $word;
                continue;
            }
            [$name, $value] = explode('=', substr($word, 2), 2) + [1 => null];
            $this->set($name, $value ?? array_shift($words));
        }
        $this->check();
    }

    public function text(string $name): string
    {
        return $this->values[$name];
    }

    public function number(string $name): int
    {
        return $this->values[$name];
    }

    /** @return list<string> each `queue/topic` to fetch from */
    public function places(Registry $registry): array
    {
        $queue = $this->text('queue');
        if ($this->places !== []) {
            return $this->places;
        }
        if ($this->text('topic') !== '') {
            return ["$queue/{$this->text('topic')}"];
        }
        $isWanted = static fn (string $path) => $queue === '' || strpos($path, "$queue/") === 0;
        return array_values(array_filter($registry->paths(), $isWanted));
    }

    private function set(string $name, ?string $value): void
    {
        if (!isset($this->values[$name])) {
            throw new \InvalidArgumentException("there is no option --$name");
        }
        if ($value === null || $value === '') {
            throw new \InvalidArgumentException("--$name needs a value");
        }
        $isNumber = isset(self::NUMBERS[$name]);
        if ($isNumber && preg_match('/^\d{1,7}$/D', $value) !== 1) {
            throw new \InvalidArgumentException("--$name must be a whole number, got '$value'");
        }
        $this->values[$name] = $isNumber ? (int) $value : $value;
    }

    private function check(): void
    {
        if ($this->values['bootstrap'] === '') {
            throw new \InvalidArgumentException('--bootstrap is needed');
        }
        if ($this->values['topic'] !== '' && $this->values['queue'] === '') {
            throw new \InvalidArgumentException('--topic needs its --queue');
        }
        if ($this->values['processes'] < 1) {
            throw new \InvalidArgumentException('--processes must be 1 or more');
        }
        foreach ($this->places as $place) {
            if (preg_match('#^[^/]+/[^/]+$#D', $place) !== 1) {
                throw new \InvalidArgumentException("'$place' is not queue/topic");
            }
        }
    }
}
