package anthropic

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// AppendOwn implements [wire.OwnEnder]. What is missing is the usage at a message's beginning and end, in which Anthropic's SDKs and
// others look without asking whether it is there (https://github.com/anthropics/anthropic-sdk-python/issues/1806,
// https://github.com/earendil-works/pi/issues/6567 of MiniMax): zeros, and what the stream has counted before.
func (d *decoder) AppendOwn(dst []byte, ev wire.Event) []byte {
	if !bytes.Contains(ev.Data, []byte(`"message_`)) {
		return append(dst, ev.Raw...)
	}
	e, err := readEvent(ev.Data)
	data := jsontext.Value(ev.Data)
	switch {
	case err != nil:
	case e.kind == "message_start" && e.message.Kind() == '{':
		data = objectOf(data, func(name string, v jsontext.Value) jsontext.Value {
			if name == "message" {
				v = withUsage(v, `{"input_tokens":0,"output_tokens":0}`)
			}
			return v
		})
	case e.kind == "message_delta":
		data = withUsage(data, `{"output_tokens":`+strconv.FormatInt(d.usage.output, 10)+"}")
	}
	// What came in several lines goes in one, as only the first has the name of the field.
	if bytes.Equal(data, ev.Data) || bytes.IndexByte(data, '\n') >= 0 && data.Compact() != nil {
		return append(dst, ev.Raw...)
	}
	if len(ev.Type) > 0 {
		dst = append(append(append(dst, "event: "...), ev.Type...), '\n')
	}
	return append(append(append(dst, "data: "...), data...), "\n\n"...)
}

// AppendOwnEnd implements [wire.OwnEnder].
func (d *decoder) AppendOwnEnd(dst []byte) []byte {
	return append(dst, "event: message_stop\n"+`data: {"type":"message_stop"}`+"\n\n"...)
}

// withUsage gives the object with that usage, if it has none.
func withUsage(object jsontext.Value, usage string) jsontext.Value {
	out, has := []byte{'{'}, false
	err := translate.Members(object, func(name string, v jsontext.Value) error {
		switch {
		case name != "usage":
			out = appendMember(out, name, v)
		case v.Kind() != 'n':
			has = true
		}
		return nil
	})
	if err != nil || has {
		return object
	}
	return append(appendMember(out, "usage", []byte(usage)), '}')
}
