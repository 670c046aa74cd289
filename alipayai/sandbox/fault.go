package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind names what goes wrong. The package documentation lists all kinds.
type Kind string

// The kinds of faults.
const (
	Latency                Kind = "latency"
	SlowFirstByte          Kind = "slow_first_byte"
	ClockSkew              Kind = "clock_skew"
	WrongResponseSignature Kind = "wrong_response_signature"

	SystemError200       Kind = "system_error_200"
	SystemError500       Kind = "system_error_500"
	SystemErrorFirst     Kind = "system_error_first"
	SystemErrorMidstream Kind = "system_error_midstream"
	HTTPStatus           Kind = "http_status"
	Throttle             Kind = "throttle"
	PaymentRequired      Kind = "payment_required"
	ExpiredToken         Kind = "expired_token"
	TokenError           Kind = "token_error"
	ResetBefore          Kind = "reset_before"
	ResetAfter           Kind = "reset_after"
	Stall                Kind = "stall"
	Cut                  Kind = "cut"
	MalformedChunk       Kind = "malformed_chunk"
	MalformedJSON        Kind = "malformed_json"
	TruncatedBody        Kind = "truncated_body"
	EmptyStream          Kind = "empty_stream"
	DoneFirst            Kind = "done_first"
	FinishReason         Kind = "finish_reason"
	NoEnd                Kind = "no_end"
)

// ErrFault is wrapped by every error of [Server.SetFaults].
var ErrFault = errors.New("sandbox: bad fault")

// Fault is one thing that goes wrong. Its JSON form is that of
// PUT /_sandbox/faults, where durations are strings such as "250ms".
type Fault struct {
	Kind Kind `json:"kind"`
	// Times is how many calls it hits; 0 means all until it is cleared.
	Times int `json:"times,omitzero"`
	// Path limits it to one endpoint. Unset, it hits all but the token endpoints;
	// token_error hits these and clock_skew hits everything.
	Path string `json:"path,omitzero"`
	// ClientID limits it to the calls of this app.
	ClientID string `json:"client_id,omitzero"`

	// Delay is the wait of latency and slow_first_byte.
	Delay time.Duration `json:"-"`
	// Skew is how far clock_skew moves the clock, either way.
	Skew time.Duration `json:"-"`
	// Status is that of http_status and token_error, 400 to 599.
	Status int `json:"status,omitzero"`
	// Code replaces the code of an error.
	Code string `json:"code,omitzero"`
	// Shape is that of a system error; unset, the format's own.
	Shape Shape `json:"shape,omitzero"`
	// RetryAfter, in seconds, is sent as Retry-After when positive.
	RetryAfter int `json:"retry_after,omitzero"`
	// AfterEvents is how many content events of a stream pass first.
	AfterEvents int `json:"after_events,omitzero"`
	// MidEvent makes a cut end within an event.
	MidEvent bool `json:"mid_event,omitzero"`
	// Garbage makes token_error answer what is not JSON.
	Garbage bool `json:"garbage,omitzero"`
}

// spec says how a kind behaves.
type spec struct {
	uses string // the fields it reads, beyond those that every kind has
	need string // the one it cannot do without
	arg  string // the one that [[fault:kind=…]] sets
	only string // the answers it fits: streamAnswer, jsonAnswer, packAnswer, or any
	adds bool   // it joins other faults, where the rest come one per call
	// formats are those whose calls it can hit; unset means all.
	formats []Format
}

const (
	streamAnswer = "stream"
	jsonAnswer   = "json"
	packAnswer   = "pack"
)

var kinds = map[Kind]spec{
	Latency:                {uses: "delay", need: "delay", arg: "delay", adds: true},
	SlowFirstByte:          {uses: "delay", need: "delay", arg: "delay", adds: true},
	ClockSkew:              {uses: "skew", need: "skew", adds: true},
	WrongResponseSignature: {only: jsonAnswer, adds: true, formats: []Format{OpenAI}},
	SystemError200:         {uses: "code shape", arg: "shape"},
	SystemError500:         {uses: "code shape", arg: "shape"},
	SystemErrorFirst:       {uses: "code shape", arg: "shape", only: streamAnswer},
	SystemErrorMidstream:   {uses: "code shape after_events", arg: "after_events", only: streamAnswer},
	HTTPStatus:             {uses: "status code shape retry_after", need: "status", arg: "status"},
	Throttle:               {uses: "retry_after", arg: "retry_after"},
	PaymentRequired:        {},
	ExpiredToken:           {formats: []Format{OpenAI}},
	TokenError:             {uses: "status code garbage", formats: []Format{OpenAI}},
	ResetBefore:            {},
	ResetAfter:             {uses: "after_events", arg: "after_events"},
	Stall:                  {uses: "after_events", arg: "after_events"},
	Cut:                    {uses: "after_events mid_event", arg: "after_events", only: streamAnswer},
	MalformedChunk:         {uses: "after_events", arg: "after_events", only: streamAnswer},
	MalformedJSON:          {only: jsonAnswer, formats: []Format{OpenAI, Anthropic}},
	TruncatedBody:          {only: jsonAnswer, formats: []Format{OpenAI, Anthropic}},
	EmptyStream:            {only: streamAnswer},
	DoneFirst:              {only: streamAnswer},
	FinishReason:           {uses: "code", need: "code", arg: "code", formats: []Format{OpenAI}},
	NoEnd:                  {only: streamAnswer, formats: []Format{OpenAI}},
	PackMissing:            {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackDoubled:            {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackSwapped:            {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackUnknownID:          {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackForeignID:          {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackExtra:              {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackTypes:              {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackProse:              {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackFenced:             {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackYAML:               {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackTranslated:         {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
	PackCut:                {only: packAnswer, formats: []Format{OpenAI, Anthropic}},
}

// check fills in defaults and refuses what makes no sense, naming the JSON field.
func (f Fault) check() (Fault, error) {
	sp, ok := kinds[f.Kind]
	if !ok {
		names := slices.Sorted(maps.Keys(kinds))
		return f, fmt.Errorf("kind: %q is not one of %s", f.Kind, strings.Trim(fmt.Sprint(names), "[]"))
	}
	switch {
	case f.Times < 0:
		return f, errors.New("times: want 0 (until cleared) or more")
	case f.Delay < 0:
		return f, errors.New("delay: want no negative duration")
	case f.RetryAfter < 0:
		return f, errors.New("retry_after: want 0 or more seconds")
	case f.AfterEvents < 0:
		return f, errors.New("after_events: want 0 or more")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return f, errors.New("status: want 400 to 599")
	case strings.ContainsFunc(f.Code, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return f, errors.New("code: want no control character")
	}
	if f.Shape != "" && !slices.Contains(shapes, f.Shape) {
		return f, fmt.Errorf("shape: %q is not one of %s", f.Shape, strings.Trim(fmt.Sprint(shapes), "[]"))
	}
	given := f.given()
	for _, name := range given {
		if !slices.Contains(strings.Fields(sp.uses), name) {
			return f, fmt.Errorf("%s: not used by %s", name, f.Kind)
		}
	}
	if sp.need != "" && !slices.Contains(given, sp.need) {
		return f, fmt.Errorf("%s: required by %s", sp.need, f.Kind)
	}
	if f.AfterEvents == 0 && (f.Kind == Cut || f.Kind == SystemErrorMidstream) {
		f.AfterEvents = 1 // at 0 they would be empty_stream and system_error_first
	}
	return f, nil
}

// fits refuses what no call of a format could meet, naming the JSON field.
func (f Fault) fits(spoken Format) error {
	if sp := kinds[f.Kind]; sp.formats != nil && !slices.Contains(sp.formats, spoken) {
		return fmt.Errorf("kind: format %s has no %s", spoken, f.Kind)
	}
	ep, known := formats[spoken].endpoint(f.Path)
	switch {
	case f.Path == "":
		return nil
	case !known:
		return fmt.Errorf("path: no endpoint %q", f.Path)
	case !ep.token && f.Kind == TokenError:
		return errors.New("path: want a token endpoint for token_error")
	}
	return nil
}

// given lists the fields that are set, of those that not every kind has.
func (f Fault) given() (names []string) {
	for name, set := range map[string]bool{
		"delay": f.Delay != 0, "skew": f.Skew != 0, "status": f.Status != 0, "code": f.Code != "",
		"shape": f.Shape != "", "retry_after": f.RetryAfter != 0, "after_events": f.AfterEvents != 0,
		"mid_event": f.MidEvent, "garbage": f.Garbage,
	} {
		if set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// SetFaults replaces the faults that are set; with none it clears them. Its
// errors wrap [ErrFault] and name the field, and leave the old faults set.
func (s *Server) SetFaults(faults ...Fault) error {
	checked := make([]Fault, len(faults))
	for i, f := range faults {
		var err error
		if checked[i], err = f.check(); err == nil {
			err = f.fits(s.cfg.Format)
		}
		if err != nil {
			return fmt.Errorf("%w: faults[%d].%w", ErrFault, i, err)
		}
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.armed = checked
	return nil
}

// Faults returns the faults that are set; Times is how many calls each has left.
func (s *Server) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return slices.Clone(s.faults.armed)
}
