const QUEUES = 'Malabar is a task bus, not a database:';
const FETCH = 'a fetched job has to be acknowledged: use GETJOB FROM <queue>/<topic> and ACKJOB';
const TRANSACTIONS =
  'transactions are not supported: each push is durable by itself, pipeline them instead';
const DELIVERY = 'there is no publish and subscribe: LPUSH to the queue, every topic gets the job';
const STORE = `${QUEUES} push jobs with LPUSH or ADDJOB`;
const COUNT = `${QUEUES} LLEN <queue> counts what is ready`;
const SCRIPTS = 'scripts are not supported';

const REASONS: ReadonlyArray<readonly [string, string]> = [
  [TRANSACTIONS, 'MULTI EXEC DISCARD WATCH UNWATCH'],
  [DELIVERY, 'SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE PUBLISH SPUBLISH PUBSUB'],
  [FETCH, 'RPOP LPOP BRPOP BLPOP LMPOP BLMPOP RPOPLPUSH BRPOPLPUSH LMOVE BLMOVE XREADGROUP XREAD'],
  [`${QUEUES} look at jobs with SHOW <id> or malabar jobs list`, 'LRANGE LINDEX LPOS XRANGE'],
  [
    STORE,
    'SET GET SETEX SETNX PSETEX GETSET GETDEL GETEX MSET MGET APPEND STRLEN INCR INCRBY DECR DECRBY ' +
      'HSET HGET HMSET HMGET HGETALL HDEL HINCRBY SADD SREM SMEMBERS SISMEMBER ZADD ZREM ZRANGE ' +
      'ZRANGEBYSCORE ZPOPMIN BZPOPMIN LSET LINSERT LREM LTRIM LPUSHX RPUSHX XADD SETBIT PFADD GEOADD',
  ],
  [
    `${QUEUES} jobs end by delivery, expiry (ADDJOB ... TTL) or retention`,
    'DEL UNLINK EXPIRE PEXPIRE TTL PTTL',
  ],
  [COUNT, 'EXISTS TYPE KEYS SCAN DBSIZE RANDOMKEY'],
  [SCRIPTS, 'EVAL EVALSHA EVAL_RO EVALSHA_RO SCRIPT FCALL FCALL_RO FUNCTION'],
  ['queues are never emptied from here', 'FLUSHALL FLUSHDB'],
  ['this is not a Redis node', 'CLUSTER SENTINEL REPLICAOF SLAVEOF PSYNC SYNC WAIT FAILOVER'],
  ['stop the process with SIGTERM', 'SHUTDOWN'],
];

const BY_NAME: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([reason, names]) => names.split(' ').map((name) => [name, reason] as const)),
);

/** Why a command of redis is refused and what to use instead; undefined if redis has none such. */
export function whyRefused(name: string): string | undefined {
  const reason = BY_NAME.get(name.toUpperCase());
  return reason && `${name.toUpperCase()} is refused: ${reason}`;
}
