package wire

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Error types, as in the "type" member of OpenAI's error object.
const (
	TypeInvalidRequest = "invalid_request_error"
	TypeAuthentication = "authentication_error"
	TypePermission     = "permission_error"
	TypeRateLimit      = "rate_limit_error"
	TypeServer         = "server_error"
)

// Error is an error answer in OpenAI's form. Every handler that answers with an error writes one of these.
type Error struct {
	Status  int    // HTTP status, 500 when zero
	Message string // for people; must hold no secret and no payload
	Type    string // empty: [TypeForStatus] of Status
	Param   string // the request's field at fault; empty is written as null
	Code    string // for programs; empty is written as null
	// AuthorisationURL is where a person may authorise what was refused for want of that; left out when empty.
	AuthorisationURL string
	// RequestID identifies the call, in the body and as X-Request-Id; left out when empty.
	RequestID string
	// RetryAfter is when a repeat has a chance, sent as Retry-After in whole seconds and as
	// Retry-After-Ms, both rounded up; left out when zero.
	RetryAfter time.Duration
	// NoRetry sends X-Should-Retry: false. The OpenAI SDKs otherwise repeat 408, 409, 429 and 5xx by themselves, which is
	// wrong after a call that was tried everywhere or that may have been billed.
	NoRetry bool
	// RateLimit is sent as X-Ratelimit-*; left out when zero.
	RateLimit RateLimit
}

// TypeForStatus returns the error type that belongs to an HTTP status. OpenAI's SDKs choose their exception by the
// status alone; the types are those of OpenAI's error codes guide, with server_error as OpenAI's API sends it for 5xx.
func TypeForStatus(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return TypeAuthentication
	case status == http.StatusForbidden:
		return TypePermission
	case status == http.StatusTooManyRequests:
		return TypeRateLimit
	case status >= 400 && status < 500:
		return TypeInvalidRequest
	}
	return TypeServer
}

// AppendJSON appends {"error":{"message","type","param","code","request_id"}} and returns the extended slice.
// The text has no line break. Invalid UTF-8 becomes U+FFFD.
func (e Error) AppendJSON(dst []byte) []byte {
	typ := e.Type
	if typ == "" {
		typ = TypeForStatus(e.Status)
	}
	dst = append(dst, `{"error":{"message":`...)
	dst = appendString(dst, e.Message)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, typ)
	dst = append(dst, `,"param":`...)
	dst = appendNullable(dst, e.Param)
	dst = append(dst, `,"code":`...)
	dst = appendNullable(dst, e.Code)
	if e.AuthorisationURL != "" {
		dst = append(dst, `,"authorisation_url":`...)
		dst = appendString(dst, e.AuthorisationURL)
	}
	if e.RequestID != "" {
		dst = append(dst, `,"request_id":`...)
		dst = appendString(dst, e.RequestID)
	}
	return append(dst, "}}"...)
}

// AppendEvent appends the error as a server-sent event, for a stream whose status has gone out already. The OpenAI SDKs
// raise an exception at a chunk that has an "error" member.
func (e Error) AppendEvent(dst []byte) []byte {
	dst = append(dst, "data: "...)
	dst = e.AppendJSON(dst)
	return append(dst, "\n\n"...)
}

// WriteHTTP writes the error as a whole answer. Headers that described another body are removed. A failed write is not
// reported: the client has gone.
func (e Error) WriteHTTP(w http.ResponseWriter) {
	h := w.Header()
	for _, stale := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Cache-Control"} {
		h.Del(stale)
	}
	e.writeHeader(h)
	w.WriteHeader(e.status())
	_, _ = w.Write(e.AppendJSON(nil))
}

// HTTP returns the header and the body of the error as a whole answer, for those that have no http.ResponseWriter.
func (e Error) HTTP() (http.Header, []byte) {
	h := make(http.Header)
	e.writeHeader(h)
	return h, e.AppendJSON(nil)
}

func (e Error) status() int {
	if e.Status == 0 {
		return http.StatusInternalServerError
	}
	return e.Status
}

func (e Error) writeHeader(h http.Header) {
	h.Set("Content-Type", "application/json")
	if e.RequestID != "" {
		h.Set("X-Request-Id", e.RequestID)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", roundedUp(e.RetryAfter, time.Second))
		// The OpenAI SDKs prefer this one, which need not be rounded up to a second.
		h.Set("Retry-After-Ms", roundedUp(e.RetryAfter, time.Millisecond))
	}
	e.RateLimit.writeHeader(h)
	if e.NoRetry {
		h.Set("X-Should-Retry", "false")
	}
}

// roundedUp writes d in whole units.
func roundedUp(d, unit time.Duration) string {
	n := int64(d / unit)
	if d%unit > 0 {
		n++
	}
	return strconv.FormatInt(n, 10)
}

func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that invalid UTF-8 was replaced
	return dst
}

func appendNullable(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}

// RateLimit is where a cap on requests stands, for the header fields that OpenAI's API reference names in its guide on
// rate limits: x-ratelimit-limit-requests, x-ratelimit-remaining-requests and x-ratelimit-reset-requests.
type RateLimit struct {
	// Limit is the most requests in a window; zero leaves all the fields out.
	Limit int
	// Remaining is how many of them are left.
	Remaining int
	// Reset is when the next one is free.
	Reset time.Duration
}

func (l RateLimit) writeHeader(h http.Header) {
	if l.Limit == 0 {
		return
	}
	h["X-Ratelimit-Limit-Requests"] = []string{strconv.Itoa(l.Limit)}
	h["X-Ratelimit-Remaining-Requests"] = []string{strconv.Itoa(l.Remaining)}
	// OpenAI writes it as Go writes a duration: 1s, 20ms, 6m0s.
	h["X-Ratelimit-Reset-Requests"] = []string{l.Reset.Round(time.Millisecond).String()}
}

// Some vendors count their failures from 1 or 1000, by numbers that mean something else elsewhere (1002 is a key that GLM does
// not know, and MiniMax's limit on requests). A number that stands in a member of its own is a code with the member's name before
// it: base_resp.1002. 0 is none, and one that is an HTTP status is that status.

// numbered reads a number that the member of that name has.
func (s *scanner) numbered(e *envelope, name string) error {
	v, err := s.scalar()
	if n := code(v); err == nil && isFailureText(n) && statusNumber(v) == "" {
		e.numbered = name + "." + n
	} else if err == nil && e.numbered == "" {
		e.numbered = statusNumber(v)
	}
	return err
}

// baseResponse reads MiniMax's base_resp, with which it answers a failure under status 200, choices null beside it:
// {"status_code":1008,"status_msg":"insufficient balance"} (https://platform.minimax.io/docs/api-reference/errorcode,
// https://github.com/RooCodeInc/Roo-Code/pull/9105).
func (s *scanner) baseResponse(e *envelope) error {
	return s.eachMember(func(name []byte) (err error) {
		switch string(name) {
		case "status_code":
			return s.numbered(e, "base_resp")
		case "status_msg":
			v, err := s.raw()
			if isFailureText(cmp.Or(code(v), "0")) && len(e.said) == 0 {
				e.said = v
			}
			return err
		}
		_, err = s.skip()
		return err
	})
}

// tencentError reads an error of Tencent's cloud, which comes under status 200: {"Response":{"Error":{"Code":..,"Message":..},"RequestId":..}}
// (https://www.tencentcloud.com/document/api/1284/75543), and in a stream of Hunyuan's {"ErrorMsg":{"Msg":..,"Code":..}}
// (tencentcloud/hunyuan/v20230901/models.go of tencentcloud-sdk-go).
func (s *scanner) tencentError(e *envelope, member string) error {
	var f Failure
	read := func() error {
		return s.eachMember(func(name []byte) error {
			switch string(name) {
			case "Code":
				return s.word(&f.Code, maxWord)
			case "Message", "Msg":
				return s.word(&f.Message, maxMessage)
			}
			_, err := s.skip()
			return err
		})
	}
	var err error
	switch member {
	case "ErrorMsg":
		err = read()
	default:
		err = s.eachMember(func(name []byte) error {
			switch string(name) {
			case "Error":
				return read()
			case "RequestId":
				return s.word(&f.RequestID, maxWord)
			}
			_, err := s.skip()
			return err
		})
	}
	if err == nil && e.Failure == nil && (isFailureText(f.Code) || f.Message != "") {
		e.Failure = &f
	}
	return err
}
