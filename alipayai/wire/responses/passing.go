package responses

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/alipayai/wire/translate"
)

// Passing is how far a provider's own stream has come, which passes as it is.
type Passing struct {
	id       string
	sequence int64
}

// See takes events of the stream, each whole.
func (p *Passing) See(events []byte) {
	if p.id == "" && bytes.Contains(events, []byte(`"response.`)) {
		_ = translate.EachEvent(events, func(data []byte) error {
			var e struct{ Response struct{ ID string } }
			if p.id == "" && read(data, &e) == nil && isID(e.Response.ID) {
				p.id = e.Response.ID
			}
			return nil
		})
	}
	const member = `"sequence_number":` // in a text, its quotes have backslashes before them
	if i := bytes.LastIndex(events, []byte(member)); i >= 0 {
		digits := bytes.TrimLeft(events[i+len(member):], " ")
		n := 0
		for n < len(digits) && '0' <= digits[n] && digits[n] <= '9' {
			n++
		}
		if last, err := strconv.ParseInt(string(digits[:n]), 10, 64); err == nil {
			p.sequence = last
		}
	}
}

// isID reports whether an id is one of a response, that can stand in JSON as it is.
func isID(id string) bool {
	rest, ok := strings.CutPrefix(id, "resp_")
	const fine = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
	return ok && rest != "" && strings.Trim(rest, fine) == ""
}

// BrokenOff appends the end of a provider's own stream that breaks. Codex passes over an error, and learns by response.failed alone
// what has happened (https://github.com/zyycn/codex-proxy-rs/pull/90).
func (w *ClientWriter) BrokenOff(dst []byte, p *Passing, e wire.Error) []byte {
	if p.id == "" {
		return append(dst, AppendErrorEvent(nil, e)...)
	}
	w.streams()
	w.ID = strings.TrimPrefix(p.id, "resp_")
	w.begin(&w.stream.chunk)
	w.stream.begun, w.stream.sequence = true, p.sequence+1
	return w.Broken(dst, e)
}
