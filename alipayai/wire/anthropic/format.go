package anthropic

import (
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Format is [wire.Format] for Anthropic's Messages API.
type Format struct {
	// Now gives the time at which an answer was created; nil is time.Now.
	Now func() time.Time
}

// Name implements [wire.Format].
func (f *Format) Name() string { return wire.Anthropic }

func (f *Format) created() int64 {
	if f.Now == nil {
		return time.Now().Unix()
	}
	return f.Now().Unix()
}

// Interface guards
var (
	_ wire.Format        = (*Format)(nil)
	_ wire.EachCharger   = (*Format)(nil)
	_ wire.StreamDecoder = (*decoder)(nil)
)
