<?php

declare(strict_types=1);

namespace Malabar\Worker;

use Malabar\Bus;
use Malabar\LastWords;
use Malabar\MalabarException;
use Malabar\Registry;
use Malabar\Runner;
use Malabar\Verdict;

/** Does one job after the other, until it is told to stop or has done its share. */
final class Child
{
    /** Short, so that a stop is heard soon: a fetch under way is never cut, or its job would wait. */
    private const WAIT_SECONDS = 1.0;
    private const SETTLE_TRIES = 6;

    /** @var Options */
    private $options;

    /** @var Report */
    private $report;

    /** @var list<string> */
    private $places;

    /** @var Source */
    private $source;

    /** @var Runner */
    private $runner;

    /** @var LastWords */
    private $lastWords;

    /** @var bool */
    private $stopping = false;

    public function __construct(Options $options, Registry $registry, Report $report)
    {
        $this->options = $options;
        $this->report = $report;
        $this->places = $options->places($registry);
        if ($this->places === []) {
            throw new \InvalidArgumentException('no task is registered for what shall be served');
        }
        $this->source = new Source(Bus::shared());
        $this->runner = new Runner($registry);
        $this->lastWords = new LastWords();
        $report->bus(Bus::shared()->options());
    }

    public function stop(): void
    {
        $this->stopping = true;
    }

    public function run(): void
    {
        $backoff = new Backoff(0.5, 30.0);
        for ($done = 0; !$this->stopping && !$this->isSpent($done); ) {
            try {
                $job = $this->source->fetch($this->places, self::WAIT_SECONDS);
                $backoff->succeeded();
            } catch (MalabarException $fault) {
                Log::line($fault->getMessage());
                $this->pause($backoff->failed());
                continue;
            }
            if ($job !== null) {
                $this->work($job);
                $done++;
            }
            $this->stopping = $this->stopping || $this->report->masterIsGone();
        }
    }

    private function isSpent(int $done): bool
    {
        $jobsMax = $this->options->number('max-jobs');
        $bytesMax = $this->options->number('max-memory') * 1024 * 1024;
        return ($jobsMax > 0 && $done >= $jobsMax) || memory_get_usage(true) > $bytesMax;
    }

    private function work(Job $job): void
    {
        $lease = $job->lease();
        if ($this->stopping) {
            $this->settle($lease, Verdict::release('the worker is stopping'));
            return;
        }
        $this->report->begun($lease);
        $this->lastWords->arm(fn (Verdict $verdict) => $this->settle($lease, $verdict));
        $verdict = $this->runner->run($job->body(), $job->context());
        $this->lastWords->disarm();
        $this->settle($lease, $verdict);
    }

    /** Tells the bus, again if the connection breaks: to say it twice changes nothing. */
    private function settle(Lease $lease, Verdict $verdict): void
    {
        $backoff = new Backoff(0.1, 2.0);
        for ($try = 1; $try <= self::SETTLE_TRIES; $try++) {
            try {
                if (!$this->source->settle($lease, $verdict)) {
                    Log::line("{$lease->receipt()}: too late, its lease had ended");
                }
                break;
            } catch (MalabarException $fault) {
                Log::line("{$lease->receipt()}: {$fault->getMessage()}");
                $this->pause($backoff->failed());
            }
        }
        $this->report->ended();
    }

    /** A signal ends it early. */
    private function pause(float $seconds): void
    {
        usleep((int) ($seconds * 1e6));
    }
}
