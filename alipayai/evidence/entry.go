package evidence

import (
	"net/http"
	"slices"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// MaxEntry is the size of the largest entry of the log, in bytes of JSON.
const MaxEntry = 64 << 10

// Shares of an entry, in bytes of JSON.
const (
	maxField   = 256     // a name, a header's value
	maxAddress = 1 << 10 // the URL
	maxHeaders = 6 << 10 // of the request, and of the response
	// maxBodies is left for both bodies when all else is at its largest, with
	// room for what the logger adds by itself.
	maxBodies = MaxEntry - 2*maxHeaders - maxAddress - 8*maxField - (4 << 10)
)

// entry gives the redacted record as fields of the log.
func entry(r Record) []zap.Field {
	body := r.Response.Body
	if len(r.Response.Event) > 0 {
		body = r.Response.Event
	}
	response, responseCut := cutJSON(Redact(body), maxBodies/2)
	request, requestCut := cutJSON(Redact(r.Request.Body), maxBodies-sizeJSON(response))
	return append(identify(r),
		zap.String("endpoint", shown(r.Endpoint, maxField)),
		zap.String("model", shown(r.Model, maxField)),
		zap.String("code", shown(r.Code, maxField)),
		zap.String("method", shown(r.Request.Method, maxField)),
		zap.String("url", shown(r.Request.URL, maxAddress)),
		zap.Object("request_headers", headers(pick(r.Request.Header, loggedOfRequest))),
		zap.ByteString("request_body", request),
		zap.Int("request_bytes", len(r.Request.Body)),
		zap.Bool("request_cut", requestCut),
		zap.Int("status", r.Response.Status),
		zap.Object("response_headers", headers(pick(r.Response.Header, loggedOfResponse))),
		zap.ByteString("response_body", response),
		zap.Int("response_bytes", len(r.Response.Body)),
		zap.Bool("response_cut", responseCut || len(body) < len(r.Response.Body)),
	)
}

// identify says which call the record is of, in names that the gateway gave.
func identify(r Record) []zap.Field {
	return []zap.Field{
		zap.Time("time", r.Time),
		zap.String("request_id", cut(r.RequestID)),
		zap.String("tenant", cut(r.Tenant)),
		zap.String("provider", cut(r.Provider)),
		zap.Int("attempt", r.Attempt),
	}
}

// ownNumbers are the fields whose digits are times and random ids. A few of them
// would look like a card or a mobile.
var ownNumbers = map[string]bool{
	"Idempotency-Key": true, "Alipay-Request-Id": true, "Request-Time": true, "Response-Time": true,
	"Alipay-Timestamp": true, "Date": true,
}

// headers shows headers, redacted, as many as there is room for.
type headers http.Header

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (h headers) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	room := maxHeaders
	for _, name := range names {
		for _, value := range h[name][:1] {
			if ownNumbers[name] {
				value = cut(value)
			} else {
				value = shown(value, maxField)
			}
			if room -= len(name) + sizeJSON([]byte(value)) + len(`"":"",`); room < 0 {
				return nil
			}
			enc.AddString(name, value)
		}
	}
	return nil
}

// cut is for names that the gateway itself gave.
func cut(s string) string {
	kept, _ := cutJSON([]byte(s), maxField)
	return string(kept)
}

// shown is for what comes from clients and upstreams.
func shown(s string, size int) string {
	kept, _ := cutJSON(redactText([]byte(s)), size)
	return string(kept)
}

// cutJSON gives as much of the text as takes size bytes in a JSON string, and
// whether something is missing.
func cutJSON(text []byte, size int) (kept []byte, isCut bool) {
	for i := 0; i < len(text); {
		n, width := runeJSON(text[i:])
		if size -= width; size < 0 {
			return text[:i], true
		}
		i += n
	}
	return text, false
}

// sizeJSON is how many bytes the text takes in a JSON string.
func sizeJSON(text []byte) int {
	size := 0
	for i := 0; i < len(text); {
		n, width := runeJSON(text[i:])
		size += width
		i += n
	}
	return size
}

// runeJSON is how many bytes the next character has, and how many it takes in
// a JSON string as zap writes it.
func runeJSON(text []byte) (n, width int) {
	const escaped = len(`\u0000`)
	r, n := utf8.DecodeRune(text)
	switch {
	case r == utf8.RuneError && n == 1, r < ' ' && r != '\n' && r != '\r' && r != '\t':
		return n, escaped
	case r == '"', r == '\\', r < ' ':
		return n, 2
	}
	return n, n
}
