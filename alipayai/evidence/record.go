package evidence

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf8"
)

// Record is one failed attempt at an upstream.
type Record struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id"`
	Tenant    string    `json:"tenant"`
	Provider  string    `json:"provider"`
	Endpoint  string    `json:"endpoint"`
	Model     string    `json:"model"`
	Attempt   int       `json:"attempt"` // 1 for the first of the call
	Code      string    `json:"code"`    // the upstream's
	Request   Request   `json:"request"`
	Response  Response  `json:"response"`
	// Pair is another provider's answer to the same request; nil for none.
	Pair *Pair `json:"pair,omitempty"`
	// Conceal gives a text without the credentials of the attempt; nil for none. It is
	// called in the background, also by several goroutines at once.
	Conceal func(text []byte) []byte `json:"-"`
}

// Concealed is r without what Conceal hides, as it is logged and sealed.
func (r Record) Concealed() Record {
	if r.Conceal == nil {
		return r
	}
	text := func(s string) string { return string(r.Conceal([]byte(s))) }
	header := func(h http.Header) http.Header {
		h = h.Clone()
		for _, values := range h {
			for i := range values {
				values[i] = text(values[i])
			}
		}
		return h
	}
	r.Model, r.Code, r.Request.URL = text(r.Model), text(r.Code), text(r.Request.URL)
	r.Request.Header, r.Response.Header = header(r.Request.Header), header(r.Response.Header)
	r.Request.Body, r.Response.Body, r.Response.Event = r.Conceal(r.Request.Body), r.Conceal(r.Response.Body), r.Conceal(r.Response.Event)
	if r.Pair != nil {
		pair := *r.Pair
		pair.Code, pair.Body = text(pair.Code), r.Conceal(pair.Body)
		r.Pair = &pair
	}
	return r
}

// Pair is what another provider has done with the same request, and in what the two differ.
type Pair struct {
	Provider string   `json:"provider"`
	Differs  []string `json:"differs"`
	// Code is that of its failure, and Body its answer.
	Code string  `json:"code,omitempty"`
	Body Payload `json:"body,omitempty"`
}

// Request is what was sent.
type Request struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Header http.Header `json:"header"`
	Body   Payload     `json:"body"`
}

// Response is what came back.
type Response struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	// Body is all of it; of a stream, as much as had come.
	Body Payload `json:"body"`
	// Event is the one of a stream that reports the failure. The log shows no
	// other event: a number that a model writes comes in pieces, one in each
	// event, where a redactor cannot find it.
	Event Payload `json:"event,omitempty"`
}

// Payload is the bytes of a body. In JSON it is a string where the bytes are
// UTF-8, as they nearly always are, and {"base64": "…"} where they are not, so
// that no byte is lost.
type Payload []byte

type binaryPayload struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (p Payload) MarshalJSON() ([]byte, error) {
	if utf8.Valid(p) {
		return json.Marshal(string(p))
	}
	return json.Marshal(binaryPayload{p})
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Payload) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var s string
		err := json.Unmarshal(text, &s)
		*p = Payload(s)
		return err
	}
	var b binaryPayload
	err := json.Unmarshal(text, &b)
	*p = b.Base64
	return err
}

// WriteJSON writes the record as indented JSON, for people to read.
func WriteJSON(w io.Writer, r Record) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return nil
}

// detached copies what the caller goes on using, without what carries secrets.
func (r Record) detached() Record {
	r.Request.URL = withoutSecrets(r.Request.URL)
	r.Request.Header = pick(r.Request.Header, loggedOfRequest)
	r.Response.Header = withoutCredentials(r.Response.Header)
	r.Request.Body = append(Payload(nil), r.Request.Body...)
	r.Response.Body = append(Payload(nil), r.Response.Body...)
	r.Response.Event = append(Payload(nil), r.Response.Event...)
	return r
}

// size is about what the record takes in memory, in bytes.
func (r Record) size() int64 {
	const fixed = 1 << 10 // the names
	if r.Pair != nil {
		return int64(fixed + len(r.Request.Body) + len(r.Response.Body) + len(r.Pair.Body))
	}
	size := fixed + len(r.Request.Body) + len(r.Response.Body) + len(r.Response.Event) + len(r.Request.URL)
	for _, header := range [...]http.Header{r.Request.Header, r.Response.Header} {
		for name, values := range header {
			size += len(name)
			for _, value := range values {
				size += len(value)
			}
		}
	}
	return int64(size)
}
