package redisstore

import (
	"errors"
	"fmt"
)

// ErrReply is an answer of Redis that no script of the gateway gives. The script
// may have executed.
var ErrReply = errors.New("unexpected reply of redis")

// Reply is what a script returned.
type Reply struct{ value any }

// Text gives the text that is the reply.
func (r Reply) Text() (string, error) { return as[string](r.value) }

// Integer gives the integer that is the reply.
func (r Reply) Integer() (int64, error) { return as[int64](r.value) }

// List gives the reply's values, which must be at least that many.
func (r Reply) List(least int) (List, error) {
	values, err := as[[]any](r.value)
	if err == nil && len(values) < least {
		err = fmt.Errorf("%w: %d values instead of %d", ErrReply, len(values), least)
	}
	return values, err
}

// List is a reply of several values.
type List []any

// Text gives the text at place i, which exists.
func (l List) Text(i int) (string, error) { return as[string](l[i]) }

// Integer gives the integer at place i, which exists.
func (l List) Integer(i int) (int64, error) { return as[int64](l[i]) }

func as[T any](value any) (T, error) {
	v, ok := value.(T)
	if !ok {
		return v, fmt.Errorf("%w: %T instead of %T", ErrReply, value, v)
	}
	return v, nil
}
