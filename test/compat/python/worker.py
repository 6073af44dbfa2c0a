"""A Malabar worker in Python: takes jobs of one topic over gRPC, prints each, says what became of it.

    python3 worker.py 127.0.0.1:7404 orders/ship [--password P] [--capacity 50]

Needs grpcio and the code that protoc makes from proto/ (docs/workers.md says how). A job whose body
begins with "fail" is retried, one that begins with "dead" is given up.
"""

import argparse
import json
import os
import queue
import sys

import grpc

from malabar.common.v1 import job_pb2
from malabar.dispatcher.v1 import dispatcher_pb2, dispatcher_pb2_grpc


def handle(item):
    """Does the work. Returns an Outcome for anything but a plain yes."""
    body = item.job.body.decode("utf-8", "replace")
    line = {
        "job_id": item.job_id,
        "attempt": item.attempt,
        "body": body,
        "headers": dict(item.job.headers),
    }
    print(json.dumps(line), flush=True)
    if body.startswith("fail"):
        return job_pb2.Outcome(
            lease_id=item.lease_id,
            kind=job_pb2.OUTCOME_KIND_RETRY,
            error_code="OutOfStock",
            error="no stock for " + body,
        )
    if body.startswith("dead"):
        return job_pb2.Outcome(
            lease_id=item.lease_id, kind=job_pb2.OUTCOME_KIND_DEAD, error="no such order"
        )
    return None


def requests(options, outbox):
    """What the worker says: first who it is, then what became of jobs."""
    yield dispatcher_pb2.WorkRequest(
        topic=options.topic,
        password=options.password,
        capacity=options.capacity,
        worker="python-%d" % os.getpid(),
    )
    while True:
        yield outbox.get()


def work(options):
    """Serves one stream until it ends; raises grpc.RpcError when it breaks."""
    outbox = queue.Queue()
    with grpc.insecure_channel(options.address) as channel:
        stub = dispatcher_pb2_grpc.WorkerServiceStub(channel)
        for response in stub.Work(requests(options, outbox)):
            answer = dispatcher_pb2.WorkRequest()
            for item in response.items:
                outcome = handle(item)
                if outcome is None:
                    answer.done.append(item.lease_id)
                else:
                    answer.outcomes.append(outcome)
            outbox.put(answer)


def main():
    parser = argparse.ArgumentParser(description="A Malabar worker in Python.")
    parser.add_argument("address")
    parser.add_argument("topic", help="queue/topic")
    parser.add_argument("--password", default="")
    parser.add_argument("--capacity", type=int, default=50)
    try:
        work(parser.parse_args())
    except grpc.RpcError as error:
        sys.exit("%s: %s" % (error.code().name, error.details()))


if __name__ == "__main__":
    main()
