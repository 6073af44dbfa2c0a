<?php

declare(strict_types=1);

namespace Malabar\FastCgi;

use Malabar\Seconds;
use Malabar\Verdict;

/** What the script says: headers that the bus goes by, and words that it keeps. */
final class Answer
{
    /** @var array<string, string> */
    private $headers;

    /** @var string */
    private $body;

    /** @param array<string, string> $headers */
    public function __construct(array $headers, string $body)
    {
        $this->headers = $headers;
        $this->body = $body;
    }

    public static function verdict(Verdict $verdict): self
    {
        if ($verdict->isUnknown()) {
            return self::notHere($verdict->message());
        }
        $headers = [
            'Malabar-Outcome' => $verdict->kind(),
            'Code' => $verdict->isDone() ? '200' : '500',
            'Error-Code' => $verdict->isDone() ? '0' : $verdict->code(),
        ];
        if ($verdict->afterSeconds() !== null) {
            $headers['Retry-After'] = Seconds::text(max(0.0, $verdict->afterSeconds()));
        }
        return new self($headers, $verdict->message());
    }

    /** Makes the bus ask again what is served here, if it asks at all. */
    public static function notHere(string $words): self
    {
        return new self(['Code' => '404', 'Error-Code' => 'UNKNOWN_TASK'], $words);
    }

    public function send(): void
    {
        foreach ($this->headers as $name => $value) {
            header("$name: " . preg_replace('/[^\x20-\x7E]+/', ' ', $value));
        }
        echo $this->body;
    }
}
