<?php

/** A handler as async-task-lib's users have it. */
class TaskOrderModel
{
    public function closeOrderTask($params)
    {
        file_put_contents($params['record'], json_encode($params) . "\n", FILE_APPEND);
    }
}
