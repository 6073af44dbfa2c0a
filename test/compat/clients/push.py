"""redis-py pushes one job, a pipeline of ten, and one with options: push.py <port> <queue> <body>"""
import sys

import redis

port, queue, body = sys.argv[1:]
client = redis.Redis(port=int(port), client_name="push.py")
assert client.ping()
print(client.lpush(queue, body))
pipeline = client.pipeline(transaction=False)
for number in range(10):
    pipeline.rpush(queue, f"{body} {number}")
print(len(pipeline.execute()))
print(client.execute_command("ADDJOB", queue, body + " later", 0, "DELAY", 1).decode())
