package outgoing

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/badupstream"
)

// What an upstream says that it has not looked at is told from all other ways in which a request ends badly, by
// net/http's connections and by those of a pool.
func TestUnprocessed(t *testing.T) {
	for _, protocol := range bothHTTP2 {
		for fault, faulty := range protocol.Faults() {
			says := (strings.HasPrefix(fault, "GOAWAY") || strings.HasPrefix(fault, "RST_STREAM REFUSED_STREAM,")) &&
				!strings.Contains(fault, "includes it") && !strings.Contains(fault, "answer's head")
			for _, way := range []string{byNetHTTP, pooled} {
				t.Run(strings.Join([]string{string(protocol), fault, way}, "/"), func(t *testing.T) {
					t.Parallel()
					_, url, base := badupstream.Start(t, protocol, faulty, 1)
					transport := NewTransport(base)
					defer transport.CloseIdleConnections()
					if way == pooled {
						defer keep(t, transport, url, Keeping{Max: 1}).Close()
					}
					ask := func() error {
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
						defer cancel()
						return post(ctx, transport, url, "{}")
					}
					if err := ask(); err != nil { // what ends the first stream of a connection might end the first of the next
						t.Fatal(err)
					}
					if err := ask(); (err != nil && Unprocessed(err)) != says {
						t.Errorf("%v counts as unprocessed: %v, want %v", err, !says, says)
					}
				})
			}
		}
	}
}
