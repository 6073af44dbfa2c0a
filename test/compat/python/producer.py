"""A Malabar producer in Python: pushes its arguments as jobs over gRPC and prints their ids.

    python3 producer.py 127.0.0.1:7402 orders [--password P] body [body ...]

Needs grpcio and the code that protoc makes from proto/ (docs/workers.md says how).
"""

import argparse
import base64
import sys

import grpc

from malabar.common.v1 import job_pb2
from malabar.ingest.v1 import ingest_pb2, ingest_pb2_grpc


def credentials(options):
    """The queue and its password, as HTTP's Basic authentication writes them."""
    if not options.password:
        return []
    pair = "%s:%s" % (options.queue, options.password)
    return [("authorization", "Basic " + base64.b64encode(pair.encode()).decode())]


def main():
    parser = argparse.ArgumentParser(description="A Malabar producer in Python.")
    parser.add_argument("address")
    parser.add_argument("queue")
    parser.add_argument("bodies", nargs="+")
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    jobs = [
        job_pb2.Job(body=body.encode(), headers={"producer": "python"}) for body in options.bodies
    ]
    with grpc.insecure_channel(options.address) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        request = ingest_pb2.SubmitBatchRequest(queue=options.queue, jobs=jobs)
        try:
            answer = stub.SubmitBatch(request, timeout=30, metadata=credentials(options))
        except grpc.RpcError as error:
            sys.exit("%s: %s" % (error.code().name, error.details()))
    for result in answer.results:
        print(result.job_id or "%s: %s" % (result.fault.code, result.fault.message))


if __name__ == "__main__":
    main()
