package wire

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// errorParts is the object of an error while it is read. Values that matter only where another says nothing stay undecoded.
type errorParts struct {
	Failure
	status, message, detail, raw jsontext.Value
	// said are members of other names that say what failed, by [wordNames].
	said map[string]jsontext.Value
	// inner is the failure of a server behind the upstream.
	inner   *Failure
	decided members
}

// errorObject reads the object of an error; nil for an empty one.
func (s *scanner) errorObject() (*Failure, error) {
	p := errorParts{said: make(map[string]jsontext.Value)}
	empty := true
	err := s.object(func(name []byte) error {
		empty = false
		return s.errorObjectMember(&p, name)
	})
	if err != nil || empty {
		return nil, err
	}
	return p.failure(), nil
}

// errorObjectMember reads the member of that name.
func (s *scanner) errorObjectMember(p *errorParts, name []byte) (err error) {
	switch string(name) {
	case "code":
		return cmp.Or(s.code(&p.Code), p.decided.once(memberCode))
	case "message", "msg":
		p.message, err = s.raw()
		return err
	case "detail", "details": // FastAPI's and its like; Google's and OpenRouter's come beside a message
		p.detail, err = s.raw()
		return err
	case "type":
		return cmp.Or(s.code(&p.Type), p.decided.once(memberType))
	case "param":
		return s.code(&p.Param)
	case "status": // Google's word, RESOURCE_EXHAUSTED; a number elsewhere
		p.status, err = s.scalar()
		return err
	case "metadata":
		return s.eachMember(func(name []byte) error { return s.errorMetadata(p, name) })
	case "retry_after", "retry_after_seconds", "retry_after_ms", "reset_at", "resets_at":
		return s.errorWait(p, string(name))
	case "error": // what a server behind it has said
		if s.is('{') {
			p.inner, err = s.errorObject()
			return err
		}
	}
	if slices.Contains(wordNames, string(name)) {
		p.said[string(name)], err = s.raw()
		return err
	}
	_, err = s.skip()
	return err
}

// errorWait reads how long a failure lasts, in seconds or milliseconds, or when it ends, as gateways say beside its message: OmniRoute
// (https://github.com/diegosouzapw/OmniRoute/pull/14188) and what they pass on (https://github.com/decolua/9router/pull/2879).
func (s *scanner) errorWait(p *errorParts, name string) error {
	v, err := s.scalar()
	switch name {
	case "reset_at", "resets_at":
		p.ResetAt = resetTime(v)
	case "retry_after_ms":
		p.RetryAfter = cmp.Or(p.RetryAfter, retryAfter(v, time.Millisecond))
	default:
		p.RetryAfter = cmp.Or(p.RetryAfter, retryAfter(v, time.Second))
	}
	return err
}

// errorMetadata reads the member of that name of OpenRouter's metadata.
func (s *scanner) errorMetadata(p *errorParts, name []byte) (err error) {
	switch {
	case string(name) == "error_type" && p.Type == "":
		return s.code(&p.Type)
	case string(name) == "raw":
		p.raw, err = s.raw()
		return err
	case string(name) == "reason":
		return s.word(&p.Reason, maxWord)
	case string(name) == "retry_after_seconds":
		v, err := s.scalar()
		p.RetryAfter = cmp.Or(retryAfter(v, time.Second), p.RetryAfter)
		return err
	case string(name) == "headers":
		headers, err := s.raw()
		var wait time.Duration
		p.ResetAt, wait = quotedHeaders(headers)
		p.RetryAfter = cmp.Or(p.RetryAfter, wait)
		return err
	}
	_, err = s.skip()
	return err
}

// failure puts together what was read.
func (p *errorParts) failure() *Failure {
	f := p.Failure
	switch p.status.Kind() {
	case '"':
		f.Type = cmp.Or(f.Type, code(p.status))
	case '0':
		f.Code = cmp.Or(f.Code, statusNumber(p.status))
	}
	f.Message = cmp.Or(words(p.message), words(p.detail))
	f.details(p.detail)
	for _, name := range wordNames {
		f.Message = cmp.Or(f.Message, words(p.said[name]))
	}
	f.refine(p.inner)
	f.refine(quotedFailure(p.message))
	if heard := words(p.raw); heard != "" && strings.HasSuffix(f.Message, openRouterFailed) {
		f.Message = cleanText(f.Message+": "+heard, maxMessage)
	}
	return &f
}

// refine takes from what a server behind the upstream has said what the upstream does not say itself.
func (f *Failure) refine(inner *Failure) {
	if inner == nil {
		return
	}
	if n, err := strconv.Atoi(f.Code); err == nil && inner.Type != "" && f.Type == http.StatusText(n) {
		f.Type = "" // which says no more than the code
	}
	f.Code, f.Type, f.Message = cmp.Or(f.Code, inner.Code), cmp.Or(f.Type, inner.Type), cmp.Or(f.Message, inner.Message)
	f.Reason, f.RetryAfter, f.Daily = cmp.Or(f.Reason, inner.Reason), cmp.Or(f.RetryAfter, inner.RetryAfter), f.Daily || inner.Daily
}

// quotedFailure reads a message that is the JSON of a failure itself, as proxies quote Google's; nil for any other.
func quotedFailure(message jsontext.Value) *Failure {
	if message.Kind() != '"' || !bytes.ContainsAny(message, "{[") {
		return nil
	}
	text := strings.TrimSpace(unquote(message))
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return nil
	}
	e := envelope{isError: true}
	_ = parseEnvelope([]byte(text), Limits{}, &e) // text that is no JSON has none
	return e.Failure
}

// openRouterFailed is what OpenRouter says of any failure of a provider behind it, whose own words are in metadata.raw:
// https://openrouter.ai/docs/api/errors. A gateway before it may say whose it is: https://github.com/anomalyco/opencode/issues/24462.
const openRouterFailed = "Provider returned error"
