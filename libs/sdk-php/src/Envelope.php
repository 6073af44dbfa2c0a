<?php

declare(strict_types=1);

namespace Malabar;

/**
 * The body of a published event, the same in every language: `{"v":1,"event":...,"params":...}`.
 * Bodies that others pushed as they are become parameters too.
 */
final class Envelope
{
    private const VERSION = 1;
    /** What an envelope has. Results (docs/formats.md) name a version and an event, too. */
    private const KEYS = ['v' => true, 'event' => true, 'params' => true];
    private const FLAGS = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PRESERVE_ZERO_FRACTION;

    /** @var string */
    private $event;

    /** @var array<mixed> */
    private $params;

    /** @param array<mixed> $params */
    private function __construct(string $event, array $params)
    {
        $this->event = $event;
        $this->params = $params;
    }

    /** @param array<mixed> $params */
    public static function write(string $event, array $params): string
    {
        $params = $params === [] ? new \stdClass() : $params;
        $body = ['v' => self::VERSION, 'event' => $event, 'params' => $params];
        return json_encode($body, self::FLAGS | JSON_THROW_ON_ERROR);
    }

    /**
     * A body that is no envelope is an event named as its queue: a JSON object or list is its
     * parameters, anything else its parameter `body`.
     *
     * @throws \UnexpectedValueException an envelope of a version that this package does not know
     */
    public static function read(string $body, string $queue): self
    {
        $found = json_decode($body, true);
        if (!is_array($found)) {
            return new self($queue, ['body' => $body]);
        }
        if (!isset($found['v'], $found['event']) || !is_string($found['event'])) {
            return new self($queue, $found);
        }
        if ($found['v'] !== self::VERSION) {
            $version = json_encode($found['v']);
            throw new \UnexpectedValueException(
                "event {$found['event']} has version $version; this malabar/malabar knows 1"
            );
        }
        if (array_diff_key($found, self::KEYS) !== []) {
            return new self($queue, $found);
        }
        return new self($found['event'], (array) ($found['params'] ?? []));
    }

    public function event(): string
    {
        return $this->event;
    }

    /** @return array<mixed> */
    public function params(): array
    {
        return $this->params;
    }
}
