<?php

namespace PepperBus;

require_once __DIR__ . '/Request.php';

/** Calls the handler of a queue's topic and answers by headers. */
class Server
{
    private $handlers = [];

    /** $path is "queue/topic". */
    public function register($path, $className, $method)
    {
        $this->handlers[$path] = [$className, $method];
    }

    /** Whatever the handler returns is a success; only what it throws is none. */
    public function run()
    {
        $request = new Request();
        if ($request->isPing()) {
            return $this->commit(200, 0, implode(',', array_keys($this->handlers)));
        }
        if (!$request->isData()) {
            return $this->commit(404, 404, 'cgi process not subscribe to this queue');
        }
        if ($request->getQueue() === '') {
            return $this->commit(500, 500, 'Queue is empty');
        }
        $path = $request->getQueuePath();
        if (!isset($this->handlers[$path])) {
            return $this->commit(404, 404, "The className or method empty. Queue: $path");
        }
        list($className, $method) = $this->handlers[$path];
        if (!class_exists($className) || !method_exists($className, $method)) {
            return $this->commit(404, 404, "$className::$method does not exist. Queue: $path");
        }
        $this->commit(200, 0, call_user_func([new $className(), $method], $request));
    }

    public function commit($code, $errorCode, $content)
    {
        header("Code: $code");
        header("Error-Code: $errorCode");
        header('Body-Length: ' . mb_strlen((string) $content));
        echo $content;
    }
}
