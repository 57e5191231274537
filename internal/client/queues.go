package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Queue is how a queue stands.
type Queue struct {
	Name      string `json:"name"`
	Ready     int    `json:"ready"`
	Consumers int    `json:"consumers"`
}

// Letter is a message that could not be applied.
type Letter struct {
	ID        string    `json:"id"`
	Queue     string    `json:"queue"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
	MessageID string    `json:"message_id,omitempty"`
	Body      string    `json:"body"` // the beginning of it
}

// Event is a domain event.
type Event struct {
	Key  string          `json:"key"`
	ID   string          `json:"id,omitempty"`
	At   time.Time       `json:"at"`
	Body json.RawMessage `json:"body"`
}

// Queues lists the queues.
func (c *Client) Queues(ctx context.Context) (queues []Queue, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/v1/queues", "", nil, &queues)
	return queues, err
}

// Letters lists up to limit dead letters, the latest first.
func (c *Client) Letters(ctx context.Context, limit int) ([]Letter, error) {
	letters := []Letter{}
	err := Each(ctx, c, "/v1/dead-letters?limit="+strconv.Itoa(min(limit, 100)), func(l Letter) bool {
		letters = append(letters, l)
		return len(letters) < limit
	})
	return letters, err
}

// Requeue puts a dead letter's message into its queue again.
func (c *Client) Requeue(ctx context.Context, id string) error {
	_, err := c.Do(ctx, http.MethodPost, "/v1/dead-letters/"+url.PathEscape(id)+"/requeue", "", nil, nil)
	return err
}

// Send puts a JSON message into a queue.
func (c *Client) Send(ctx context.Context, queue string, body json.RawMessage) error {
	_, err := c.Do(ctx, http.MethodPost, "/v1/queues/"+url.PathEscape(queue)+"/messages", "", body, nil)
	return err
}

// Tail hands over the domain events with one of the keys (* is a word, # any rest) from the moment of listening on,
// until ctx ends or the stream does, which is an error.
func (c *Client) Tail(ctx context.Context, topics []string, listening func(), each func(Event)) error {
	query := url.Values{"topic": topics}
	err := c.events(ctx, "/v1/events?"+query.Encode(), nil, listening, func(data []byte) error {
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("event: %w", err)
		}
		each(e)
		return nil
	})
	if err == nil && ctx.Err() == nil {
		err = fmt.Errorf("%s ended the stream", c.base)
	}
	return err
}
