package wire

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// quotedHeaders reads, of the header fields that OpenRouter quotes, X-RateLimit-Reset, and Retry-After in seconds.
func quotedHeaders(headers jsontext.Value) (reset time.Time, wait time.Duration) {
	if headers.Kind() != '{' {
		return time.Time{}, 0
	}
	s := newScanner(headers, Limits{}, lenient...)
	defer s.release()
	_ = s.object(func(name []byte) error { // has been read before
		switch {
		case strings.EqualFold(string(name), "X-RateLimit-Reset"):
			v, err := s.scalar()
			reset = resetTime(v)
			return err
		case strings.EqualFold(string(name), "Retry-After"):
			v, err := s.scalar()
			wait = retryAfter(v, time.Second)
			return err
		}
		_, err := s.skip()
		return err
	})
	return reset, wait
}

// resetTime reads when a limit is renewed: a date (RFC 3339), or a time since 1970 in milliseconds or seconds, of which OpenRouter has
// sent both (https://github.com/everruns/everruns/pull/2280). Zero for anything else.
func resetTime(v jsontext.Value) time.Time {
	text := scalarText(v)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || n < 1e9 || n >= 1e13:
		return time.Time{}
	case n < 1e12:
		return time.Unix(n, 0)
	default:
		return time.UnixMilli(n)
	}
}

// details reads error_code of Anthropic's, which are an object, and, among those of Google's errors, reason of a google.rpc.ErrorInfo, retryDelay of a google.rpc.RetryInfo, a protobuf
// Duration in JSON: decimal seconds with an s behind them (https://protobuf.dev/programming-guides/json), and whether a
// google.rpc.QuotaFailure is of a day.
func (f *Failure) details(details jsontext.Value) {
	if details.Kind() == '{' {
		f.Reason = cmp.Or(f.Reason, codeIn(details, "error_code"))
	}
	if details.Kind() != '[' || !bytes.Contains(details, []byte("google.rpc.")) {
		return
	}
	s := newScanner(details, Limits{}, lenient...)
	defer s.release()
	_ = s.array(func() error { // has been read before
		var kind, why, text string
		daily := false
		err := s.eachMember(func(name []byte) error {
			switch string(name) {
			case "@type":
				return s.word(&kind, maxWord)
			case "reason":
				return s.word(&why, maxWord)
			case "retryDelay":
				return s.word(&text, maxWord)
			case "violations":
				v, err := s.raw()
				daily = bytes.Contains(v, []byte("PerDay"))
				return err
			}
			_, err := s.skip()
			return err
		})
		switch {
		case strings.HasSuffix(kind, "google.rpc.ErrorInfo"):
			f.Reason = cmp.Or(f.Reason, why)
		case strings.HasSuffix(kind, "google.rpc.QuotaFailure"):
			f.Daily = f.Daily || daily
		case strings.HasSuffix(kind, "google.rpc.RetryInfo"):
			seconds, number := strings.CutSuffix(text, "s")
			if n, ferr := strconv.ParseFloat(seconds, 64); number && ferr == nil && n > 0 {
				f.RetryAfter = max(f.RetryAfter, time.Duration(min(n, maxSeconds)*float64(time.Second)))
			}
		}
		return err
	})
}

// maxSeconds is a week: more than anything waits, and far from an overflow.
const maxSeconds = 7 * 24 * 60 * 60

// codeIn is the code that a member of an object has; empty where there is none.
func codeIn(v jsontext.Value, member string) string {
	found, err := find(v, []Path{{member}})
	if err != nil {
		return ""
	}
	return code(found[0])
}
