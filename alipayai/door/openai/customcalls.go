package openai

import (
	"github.com/caddy-alipayai/gateway/alipayai/door"
	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/responses"
)

// customCalls is a request for chat completions that offers custom tools in the form of the Responses API. It gives what writes an
// answer.
type customCalls func() *responses.CustomCalls

// Writer implements [door.Writing].
func (c customCalls) Writer() door.Writer { return customCallsWriter{c()} }

// customCallsWriter writes one answer to it.
type customCallsWriter struct{ calls *responses.CustomCalls }

// Whole implements [door.Writer].
func (w customCallsWriter) Whole(dst, canonical []byte) ([]byte, *failure.Failure) {
	return w.calls.Whole(dst, canonical), nil
}

// Events implements [door.Writer].
func (w customCallsWriter) Events(dst, canonical []byte) ([]byte, *failure.Failure) {
	dst, err := w.calls.Events(dst, canonical)
	if err != nil {
		return dst, door.Untranslated(err)
	}
	return dst, nil
}

// Broken implements [door.Writer].
func (w customCallsWriter) Broken(dst []byte, e wire.Error) []byte { return e.AppendEvent(dst) }

// Interface guards
var _ door.Writing = customCalls(nil)
