package token

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

type timeoutError struct{ timeout bool }

func (timeoutError) Error() string   { return "i/o error" }
func (e timeoutError) Timeout() bool { return e.timeout }
func (timeoutError) Temporary() bool { return false }

// A time-out of Redis is not tried again, within the same time; another error is, once.
func TestTokensTryRedisAgainUnlessItTimesOut(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"a time-out":                  {&net.OpError{Op: "read", Err: timeoutError{true}}, 1},
		"a network error that is not": {&net.OpError{Op: "read", Err: timeoutError{false}}, 2},
		"a closed connection":         {io.EOF, 2},
		"none":                        {nil, 1},
	} {
		tried := 0
		err := new(Redis).exchange(t.Context(), func(context.Context) error { tried++; return test.err })
		if tried != test.want || errors.Is(err, ErrStore) != (test.err != nil) {
			t.Errorf("%s: tried %d times, want %d (%v)", name, tried, test.want, err)
		}
	}
}
