<?php

declare(strict_types=1);

namespace Malabar\FastCgi;

use Malabar\Context;

/** The form that the bus posts, see docs/php.md. */
final class Form
{
    /** @var array<string, mixed> */
    private $post;

    /** @var float */
    private $startedAt;

    /**
     * @param array<string, mixed> $post `$_POST`
     * @param float $startedAt Unix seconds
     */
    public function __construct(array $post, float $startedAt)
    {
        $this->post = $post;
        $this->startedAt = $startedAt;
    }

    public function isFromBus(): bool
    {
        return ($this->post['IS_PEPPER_BUS_REQUEST'] ?? '') === 'true';
    }

    public function isPing(): bool
    {
        return ($this->post['type'] ?? '') === 'ping';
    }

    /** @return list<array{string, Context}> the body and the context of each job */
    public function jobs(): array
    {
        $jobs = json_decode($this->post['jobs'] ?? '', true);
        if (!is_array($jobs) || $jobs === []) {
            throw new \UnexpectedValueException('the form has no jobs; is post_max_size too small?');
        }
        return array_map(fn (array $job) => [self::body($job), $this->context($job)], $jobs);
    }

    /** @param array<string, mixed> $job */
    private static function body(array $job): string
    {
        $isBinary = ($job['encoding'] ?? '') === 'base64';
        return $isBinary ? base64_decode($job['content']) : $job['content'];
    }

    /** @param array<string, mixed> $job */
    private function context(array $job): Context
    {
        $timeoutMs = $job['timeoutMs'] ?? null;
        return new Context([
            'jobId' => (string) $job['id'],
            'queue' => (string) $this->post['queue'],
            'topic' => (string) $this->post['topic'],
            'attempt' => (int) $job['RetryTimes'],
            'headers' => $job['headers'] ?? [],
            'acceptedAtMs' => $job['acceptedAtMs'] ?? $this->startedAt * 1000,
            'deadline' => $timeoutMs === null ? null : $this->startedAt + $timeoutMs / 1000,
        ]);
    }
}
