package outgoing

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
)

// dialContext is how connections are made.
type dialContext func(ctx context.Context, network, addr string) (net.Conn, error)

// tellingWhy makes dial's errors wrap what the resolver or the system said: Caddy's
// reverseproxy.DialError has no Unwrap, so that nothing but its text would tell a
// connection that was refused from a name that cannot be resolved.
func tellingWhy(dial dialContext) dialContext {
	if dial == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var mu sync.Mutex // addresses of both families are tried side by side
		var cause error
		note := func(err error) {
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			cause = err
		}
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			DNSDone:     func(info httptrace.DNSDoneInfo) { note(info.Err) },
			ConnectDone: func(_, _ string, err error) { note(err) },
		})
		conn, err := dial(traced, network, addr)
		if err == nil {
			return conn, nil
		}
		mu.Lock()
		defer mu.Unlock()
		if cause == nil {
			return nil, err
		}
		return nil, &dialError{err, cause}
	}
}

// dialError is a dialer's error, with the cause that it may hide.
type dialError struct {
	error
	cause error
}

// Unwrap gives both.
func (e *dialError) Unwrap() []error { return []error{e.error, e.cause} }
