package rabbitmq

import (
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/tiffin-food/tiffin/internal/broker"
)

// Our own headers. Where a message was published first is kept while it waits or is a dead letter.
const (
	ours           = "x-tiffin-"
	headerExchange = ours + "exchange"
	headerKey      = ours + "key"
	headerAttempt  = ours + "attempt" // how often a handler has failed on it
	headerLetter   = ours + "letter"  // the dead letter's id
	headerQueue    = ours + "queue"   // which it was taken from
	headerReason   = ours + "reason"
	headerWhen     = ours + "when"
)

const (
	maxBody    = 16 << 20 // what RabbitMQ 4 takes; a bigger one would close the channel
	maxHeaders = 64 << 10 // they must fit in one frame, which is of 128 KiB
	maxText    = 255      // bytes of an AMQP short string
	maxReason  = 4 << 10
)

// isReserved says whether a header is the broker's, ours, or has the server do something.
func isReserved(header string) bool {
	switch header {
	case "CC", "BCC", "x-death", "x-delivery-count":
		return true
	}
	return strings.HasPrefix(header, ours) || strings.HasPrefix(header, "x-first-death-") || strings.HasPrefix(header, "x-last-death-")
}

// encode checks what the server or the driver would answer by closing the channel under everybody.
func encode(m broker.Message) (amqp.Publishing, error) {
	var none amqp.Publishing
	for what, text := range map[string]string{"id": m.ID, "type": m.Type, "routing key": m.Key} {
		if len(text) > maxText {
			return none, fmt.Errorf("the %s has %d bytes, AMQP takes %d", what, len(text), maxText)
		}
	}
	if len(m.Body) > maxBody {
		return none, fmt.Errorf("the body has %d bytes, at most %d are taken", len(m.Body), maxBody)
	}
	size := 0
	headers := amqp.Table{}
	for k, v := range m.Header {
		if isReserved(k) {
			return none, fmt.Errorf("the header %s is the broker's own", k)
		}
		if len(k) > maxText {
			return none, fmt.Errorf("the name of a header has %d bytes, AMQP takes %d", len(k), maxText)
		}
		size += len(k) + len(v) + 6
		headers[k] = v
	}
	if size > maxHeaders {
		return none, fmt.Errorf("the headers have %d bytes, at most %d are taken", size, maxHeaders)
	}
	p := amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent,
		MessageId: m.ID, Type: m.Type, Timestamp: m.Time, Body: m.Body,
	}
	if len(headers) > 0 {
		p.Headers = headers
	}
	return p, nil
}

// decode takes what it finds: a message of somebody else may lack everything.
func decode(d *amqp.Delivery) broker.Message {
	m := broker.Message{
		ID: d.MessageId, Type: d.Type, Exchange: d.Exchange, Key: d.RoutingKey, Time: d.Timestamp, Body: d.Body,
	}
	if key, ok := d.Headers[headerKey].(string); ok {
		m.Exchange, m.Key = text(d.Headers, headerExchange), key
	}
	for k, v := range d.Headers {
		if s, ok := v.(string); ok && !isReserved(k) {
			if m.Header == nil {
				m.Header = map[string]string{}
			}
			m.Header[k] = s
		}
	}
	return m
}

// again is a delivery's message for another queue, with the given headers beside its own. Where its own are so
// many that both might not fit in a frame it loses them.
func again(d *amqp.Delivery, m broker.Message, more amqp.Table) amqp.Publishing {
	headers := amqp.Table{}
	size := 0
	for k, v := range d.Headers { // also those that a Message cannot hold
		if !isReserved(k) {
			headers[k] = v
			size += len(k) + len(fmt.Sprint(v)) + 6
		}
	}
	if size > maxHeaders {
		clear(headers)
	}
	headers[headerExchange], headers[headerKey] = m.Exchange, m.Key
	for k, v := range more {
		headers[k] = v
	}
	return amqp.Publishing{
		Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: amqp.Persistent,
		Priority: d.Priority, ReplyTo: d.ReplyTo, MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, AppId: d.AppId,
		Body: d.Body,
	}
}

func text(t amqp.Table, header string) string {
	s, _ := t[header].(string)
	return s
}

// attempts is how often a handler has failed on the message.
func attempts(d *amqp.Delivery) int {
	n, _ := d.Headers[headerAttempt].(int32)
	return max(0, int(n))
}

// death is what the server notes of a message that it has dead-lettered itself.
type death struct {
	queue, reason, exchange, key string
	at                           time.Time
}

// lastDeath reads the latest entry of x-death.
func lastDeath(d *amqp.Delivery) (death, bool) {
	all, _ := d.Headers["x-death"].([]any)
	if len(all) == 0 {
		return death{}, false
	}
	t, ok := all[0].(amqp.Table)
	if !ok {
		return death{}, false
	}
	last := death{queue: text(t, "queue"), reason: text(t, "reason"), exchange: text(t, "exchange")}
	last.at, _ = t["time"].(time.Time)
	if keys, _ := t["routing-keys"].([]any); len(keys) > 0 {
		last.key, _ = keys[0].(string)
	}
	return last, true
}
