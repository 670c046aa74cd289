package anthropic

import (
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// event is one event of Anthropic's stream.
type event struct {
	kind                         string
	index                        int // of a content block; -1: none
	message, block, delta, usage jsontext.Value
}

func readEvent(data []byte) (event, error) {
	e := event{index: -1}
	if !utf8.Valid(data) {
		return e, malformed("invalid UTF-8")
	}
	err := translate.Members(data, func(name string, v jsontext.Value) error {
		switch name {
		case "type":
			e.kind = translate.Unquote(v)
		case "index":
			if i, err := strconv.ParseUint(string(v), 10, 31); err == nil {
				e.index = int(i)
			}
		case "message":
			e.message = v
		case "content_block":
			e.block = v
		case "delta":
			e.delta = v
		case "usage":
			e.usage = v
		}
		return nil
	})
	if err != nil {
		return e, asMalformed(err)
	}
	return e, nil
}
