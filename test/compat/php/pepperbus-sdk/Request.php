<?php

namespace PepperBus;

/** A request of the bus, as the consumer's handlers get it. Only the form counts. */
class Request
{
    private $type = '';
    private $queue = '';
    private $topic = 'default';
    private $outTraceId = '';
    private $jobs = [];

    public function __construct()
    {
        if (!$this->isBusRequest()) {
            return;
        }
        $this->type = $this->field('type');
        if ($this->type !== 'data') {
            return;
        }
        $this->outTraceId = $this->field('outTraceId');
        $this->queue = $this->field('queue');
        $this->topic = $this->field('topic') ?: 'default';
        $this->jobs = json_decode($this->field('jobs'), true) ?: [];
    }

    public function isBusRequest()
    {
        return $this->field('IS_PEPPER_BUS_REQUEST') === 'true';
    }

    public function isPing()
    {
        return $this->type === 'ping';
    }

    public function isData()
    {
        return $this->type === 'data';
    }

    public function getQueue()
    {
        return $this->queue;
    }

    public function getTopic()
    {
        return $this->topic;
    }

    public function getQueuePath()
    {
        return $this->queue . '/' . $this->topic;
    }

    public function getOutTraceId()
    {
        return $this->outTraceId;
    }

    /** List of arrays with id, inTraceId, content, retrying, RetryTimes, RetryTime, IsRetry ... */
    public function getJobs()
    {
        return $this->jobs;
    }

    private function field($name)
    {
        return isset($_POST[$name]) ? $_POST[$name] : '';
    }
}
