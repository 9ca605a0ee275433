// Predict sends records to Millrace over RabbitMQ and prints one answer a line, as JSON.
//
// It reads one record (a JSON object) a line from standard input:
//
//	MILLRACE_BROKER_URL=amqp://user:password@host:5672/millrace go run . -queue digits -model digits < records.jsonl
//
// The form of the message is docs/wire-format.md of Millrace; nothing else of Millrace is needed.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	exchange = "millrace"
	task     = "millrace.predict"
	// One line may be a whole image.
	maxLineBytes = 16 << 20
)

type item struct {
	ID     string          `json:"id"`
	Record json.RawMessage `json:"record"`
}

type payload struct {
	Model    map[string]string `json:"model"`
	Items    []item            `json:"items"`
	Deadline float64           `json:"deadline"`
}

func main() {
	queue := flag.String("queue", "", "queue of the worker pool")
	model := flag.String("model", "", "name of the model on the pool's Triton")
	wait := flag.Duration("wait", time.Minute, "how long the answers may take")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *wait)
	defer cancel()
	// The password stays out of the argument list, which everybody on the machine can read.
	if err := run(ctx, os.Getenv("MILLRACE_BROKER_URL"), *queue, *model, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "predict:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, queue, model string, in io.Reader, out io.Writer) error {
	items, err := readItems(in)
	if err != nil || len(items) == 0 {
		return err
	}
	connection, err := amqp.Dial(url)
	if err != nil {
		return fmt.Errorf("RabbitMQ is not reachable (MILLRACE_BROKER_URL): %w", err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	// A queue of this connection alone, gone with it.
	replies, err := channel.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return err
	}
	answers, err := channel.ConsumeWithContext(ctx, replies.Name, "", true, true, false, false, nil)
	if err != nil {
		return err
	}
	if err := send(ctx, channel, queue, replies.Name, model, items); err != nil {
		return err
	}
	return receive(ctx, answers, items, out)
}

// readItems gives each record an id, by which its answer is found again.
func readItems(in io.Reader) ([]item, error) {
	var items []item
	batch := newID()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) || line[0] != '{' {
			return nil, fmt.Errorf("record %d is not a JSON object", len(items)+1)
		}
		items = append(items, item{ID: fmt.Sprintf("%s-%d", batch, len(items)), Record: bytes.Clone(line)})
	}
	return items, lines.Err()
}

// send returns when RabbitMQ has the message safely in the queue.
func send(ctx context.Context, channel *amqp.Channel, queue, replyTo, model string, items []item) error {
	if err := channel.Confirm(false); err != nil {
		return err
	}
	refused := channel.NotifyReturn(make(chan amqp.Return, 1))
	deadline, _ := ctx.Deadline()
	kwargs := map[string]any{"payload": payload{
		Model:    map[string]string{"name": model},
		Items:    items,
		Deadline: float64(deadline.UnixMilli()) / 1000,
	}}
	// Positional arguments, keyword arguments, and what is chained to the task: nothing.
	body, err := json.Marshal([]any{[]any{}, kwargs, map[string]any{"callbacks": nil, "errbacks": nil, "chain": nil, "chord": nil}})
	if err != nil {
		return err
	}
	id := newID()
	confirm, err := channel.PublishWithDeferredConfirmWithContext(ctx, exchange, queue, true, false, amqp.Publishing{
		Headers: amqp.Table{
			"lang": "py", "task": task, "id": id, "root_id": id,
			"argsrepr": "()", "kwargsrepr": "{...}", "origin": "go-example", "ignore_result": true,
		},
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   id,
		ReplyTo:         replyTo,
		Body:            body,
	})
	if err != nil {
		return err
	}
	isTaken, err := confirm.WaitContext(ctx)
	if err != nil {
		return err
	}
	select {
	case <-refused:
		return fmt.Errorf("there is no queue %q: name that of a worker pool", queue)
	default:
	}
	if !isTaken {
		return errors.New("RabbitMQ refused the message: the queue is full")
	}
	return nil
}

// receive prints the first answer to each record; a later one of the same id repeats it.
func receive(ctx context.Context, answers <-chan amqp.Delivery, items []item, out io.Writer) error {
	waiting := make(map[string]bool, len(items))
	for _, one := range items {
		waiting[one.ID] = true
	}
	for len(waiting) > 0 {
		select {
		case answer, isOpen := <-answers:
			if !isOpen {
				return fmt.Errorf("the connection was lost; %d answers are missing", len(waiting))
			}
			if waiting[answer.CorrelationId] {
				delete(waiting, answer.CorrelationId)
				fmt.Fprintf(out, "%s\n", answer.Body)
			}
		case <-ctx.Done():
			return fmt.Errorf("%d answers are missing: %w", len(waiting), ctx.Err())
		}
	}
	return nil
}

func newID() string {
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails on the systems that Go supports
	return hex.EncodeToString(random)
}
