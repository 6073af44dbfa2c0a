<?php

declare(strict_types=1);

namespace Malabar\FastCgi;

use Malabar\Idempotence\Store;
use Malabar\LastWords;
use Malabar\Registry;
use Malabar\Runner;
use Malabar\Verdict;

/** The script that php-fpm runs for each request of the bus. */
final class Consumer
{
    /** @var Registry */
    private $registry;

    /** @var Runner */
    private $runner;

    private function __construct(Registry $registry, ?Store $store)
    {
        $this->registry = $registry;
        $this->runner = new Runner($registry, $store);
    }

    /**
     * Does what the request asks for and answers it. All that a script needs:
     *
     *     Consumer::serve(require __DIR__ . '/tasks.php');
     *
     * @param Store|null $store remembers which jobs are done; useful where one request carries
     *   several (`chunk`), because all of them are delivered again when one fails
     */
    public static function serve(Registry $registry, ?Store $store = null): void
    {
        $form = new Form($_POST, (float) ($_SERVER['REQUEST_TIME_FLOAT'] ?? microtime(true)));
        (new self($registry, $store))->answer($form)->send();
    }

    private function answer(Form $form): Answer
    {
        if (!$form->isFromBus()) {
            return Answer::notHere('not a request of the bus');
        }
        if ($form->isPing()) {
            return new Answer(['Code' => '200'], implode(',', $this->registry->paths()));
        }
        $output = new Output();
        $lastWords = new LastWords();
        $lastWords->arm(static function (Verdict $verdict) use ($output): void {
            Answer::verdict($verdict->withPrinted($output->end()))->send();
        });
        $verdict = $this->verdict($form);
        $lastWords->disarm();
        $printed = $output->end();
        return Answer::verdict($verdict->isDone() ? $verdict : $verdict->withPrinted($printed));
    }

    /** One for all jobs of the request: the first failure ends it. */
    private function verdict(Form $form): Verdict
    {
        try {
            $jobs = $form->jobs();
        } catch (\UnexpectedValueException $fault) {
            return Verdict::retry($fault->getMessage(), 'BAD_FORM');
        }
        foreach ($jobs as [$body, $context]) {
            $verdict = $this->runner->run($body, $context);
            if (!$verdict->isDone()) {
                $count = count($jobs);
                return $count === 1 ? $verdict : $verdict->forAllOf($count, $context->jobId());
            }
        }
        return Verdict::done();
    }
}
