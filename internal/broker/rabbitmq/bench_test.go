package rabbitmq_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/tiffin-food/tiffin/internal/broker"
	"github.com/tiffin-food/tiffin/internal/broker/rabbitmq"
)

// BenchmarkPublishAndConsume has so many publishers at once, each of which waits for its confirm, and a consumer
// that acknowledges. It ends when the last message is handled.
func BenchmarkPublishAndConsume(b *testing.B) {
	for _, classic := range []bool{false, true} {
		for _, outstanding := range []int{1, 32, 256} {
			b.Run(fmt.Sprintf("classic=%v/outstanding=%d", classic, outstanding), func(b *testing.B) {
				br := open(b).open(b, rabbitmq.Options{Classic: classic, Log: slog.New(slog.DiscardHandler)})
				var handled sync.WaitGroup
				err := br.Subscribe(b.Context(), broker.Queue{Name: "q"}, func(context.Context, broker.Message) error {
					handled.Done()
					return nil
				})
				must(b, err)
				m := broker.Message{
					ID: "0190b6f1-0000-7000-8000-000000000000", Type: "order.status", Key: "q", Body: make([]byte, 300),
					Header: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
				}
				handled.Add(b.N)
				next := make(chan struct{}, b.N)
				for range b.N {
					next <- struct{}{}
				}
				close(next)
				b.ResetTimer()
				var publishers sync.WaitGroup
				for range outstanding {
					publishers.Go(func() {
						for range next {
							if err := br.Publish(b.Context(), m); err != nil {
								b.Error(err)
								handled.Done()
							}
						}
					})
				}
				publishers.Wait()
				handled.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}
