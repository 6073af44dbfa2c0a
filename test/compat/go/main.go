// A Malabar producer and worker in Go:
//
//	peer produce 127.0.0.1:7402 orders body...    pushes each body and prints the job's id
//	peer work    127.0.0.1:7404 orders/ship       prints each job and says what became of it
//
// A job whose body begins with "fail" is retried, one that begins with "dead" is given up.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"

	common "malabar/common/v1"
	dispatcher "malabar/dispatcher/v1"
	ingest "malabar/ingest/v1"
)

const capacity = 50

func main() {
	log.SetFlags(0)
	connection, err := grpc.Dial(os.Args[2], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	if os.Args[1] == "produce" {
		err = produce(connection, os.Args[3], os.Args[4:])
	} else {
		err = work(connection, os.Args[3])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func produce(connection *grpc.ClientConn, queue string, bodies []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := ingest.NewIngestServiceClient(connection)
	for _, body := range bodies {
		job := &common.Job{Body: []byte(body), Headers: map[string]string{"producer": "go"}}
		answer, err := client.Submit(ctx, &ingest.SubmitRequest{Queue: queue, Job: job})
		if err != nil {
			return err
		}
		fmt.Println(answer.JobId)
	}
	return nil
}

// work serves one stream until it ends.
func work(connection *grpc.ClientConn, topic string) error {
	stream, err := dispatcher.NewWorkerServiceClient(connection).Work(context.Background())
	if err != nil {
		return err
	}
	hello := &dispatcher.WorkRequest{Topic: topic, Capacity: capacity, Worker: "go"}
	if err := stream.Send(hello); err != nil {
		return err
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		answer := &dispatcher.WorkRequest{}
		for _, item := range response.Items {
			if outcome := handle(item); outcome == nil {
				answer.Done = append(answer.Done, item.LeaseId)
			} else {
				answer.Outcomes = append(answer.Outcomes, outcome)
			}
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// handle does the work; nil is a plain yes.
func handle(item *dispatcher.WorkItem) *common.Outcome {
	body := string(item.Job.Body)
	line, _ := json.Marshal(map[string]interface{}{
		"job_id": item.JobId, "attempt": item.Attempt, "body": body, "headers": item.Job.Headers,
	})
	fmt.Println(string(line))
	switch {
	case strings.HasPrefix(body, "fail"):
		return &common.Outcome{
			LeaseId: item.LeaseId, Kind: common.OutcomeKind_OUTCOME_KIND_RETRY,
			ErrorCode: "OutOfStock", Error: "no stock for " + body,
		}
	case strings.HasPrefix(body, "dead"):
		return &common.Outcome{
			LeaseId: item.LeaseId, Kind: common.OutcomeKind_OUTCOME_KIND_DEAD, Error: "no such order",
		}
	}
	return nil
}
