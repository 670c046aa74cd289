package alipaycaddy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/signer"
)

// agree gives an app whose credentials have been resolved what it and the API have agreed on.
func (a SandboxApp) agree(app *sandbox.App) (err error) {
	if app.Contract, err = a.contract(*app); err != nil {
		return err
	}
	if a.Request != nil {
		opener, err := newRequestOpener(a.Request, app.ClientID)
		if err != nil {
			return err
		}
		app.Request = opener.open
	}
	app.TokenSigned = a.TokenSign
	if app.TokenAnswer, err = a.TokenAnswer.shape(); err != nil {
		return err
	}
	app.Answer, err = a.Answer.shape()
	return err
}

// writtenPath is the path that is written to of those that are read: the first; nil for none.
func writtenPath(texts ...string) []string {
	if len(texts) == 0 || texts[0] == "" {
		return nil
	}
	p, _ := wire.ParsePath(texts[0]) // which has been checked
	return p
}

// shape is how tokens' answers look that a reads; nil for none.
func (a *TokenAnswer) shape() (*sandbox.TokenShape, error) {
	if form, err := a.form(); err != nil || form == nil {
		return nil, err
	}
	return &sandbox.TokenShape{
		AccessToken: writtenPath(a.AccessToken), RefreshToken: writtenPath(a.RefreshToken), Expires: writtenPath(a.Expires), Unit: a.ExpiresUnit,
		Success: writtenPath(a.Success), SuccessValue: first(a.SuccessValues), Code: writtenPath(a.Code...),
	}, nil
}

// requestOpener takes what a [Request] says is around a call off it, as strictly as a vendor would.
type requestOpener struct {
	clientID string
	want     *wanted
	beside   bool // the call is at the top, beside the rest

	mu     sync.Mutex
	nonces map[string]bool
}

// wanted is what a member has to be: an object of others, the call, or a text.
type wanted struct {
	members map[string]*wanted
	call    bool
	inText  bool // the call is JSON in a string, and a text is a string
	text    signer.Text
}

func newRequestOpener(r *Request, clientID string) (*requestOpener, error) {
	fields, err := r.fields()
	if err != nil {
		return nil, err
	}
	if err := fields.Check(); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if len(fields.Members)+len(fields.Keep)+len(fields.Drop)+len(fields.Lists) > 0 || fields.System+fields.Names != "" {
		return nil, errors.New("request: member, keep, drop, list, system and names are for providers: the simulator takes OpenAI's members")
	}
	o := &requestOpener{clientID: clientID, want: &wanted{members: make(map[string]*wanted)}, beside: fields.Inside == "", nonces: make(map[string]bool)}
	if !o.beside {
		o.add(fields.Inside, &wanted{call: true, inText: fields.Text})
	}
	for _, list := range []struct {
		fields map[string]string
		inText bool
	}{{fields.Fields, true}, {fields.Values, false}} {
		for _, path := range slices.Sorted(maps.Keys(list.fields)) {
			text, err := signer.ParseText("field "+path, list.fields[path], fields.Time, fields.Zone)
			if err != nil {
				return nil, fmt.Errorf("request: %w", err)
			}
			o.add(path, &wanted{text: text, inText: list.inText})
		}
	}
	return o, nil
}

func (o *requestOpener) add(text string, w *wanted) {
	path, _ := wire.ParsePath(text) // which has been checked
	at := o.want
	for _, name := range path[:len(path)-1] {
		if at.members[name] == nil {
			at.members[name] = &wanted{members: make(map[string]*wanted)}
		}
		at = at.members[name]
	}
	at.members[path[len(path)-1]] = w
}

// maxNonces is how many nonces are remembered.
const maxNonces = 1 << 16

// open is a sandbox.Opener.
func (o *requestOpener) open(r *http.Request, body []byte, now time.Time) ([]byte, error) {
	reading := openedRequest{opener: o, message: signer.Message{Header: r.Header, Time: now}, call: body}
	if err := reading.object("", body, o.want, o.beside); err != nil {
		return nil, err
	}
	if nonce := reading.nonce; nonce != "" {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.nonces[nonce] || len(nonce) < 16 {
			return nil, errors.New("the nonce was used before, or is short")
		}
		if len(o.nonces) >= maxNonces {
			clear(o.nonces)
		}
		o.nonces[nonce] = true
	}
	return reading.call, nil
}

type openedRequest struct {
	opener  *requestOpener
	message signer.Message
	call    []byte
	nonce   string
}

// object reads a member that is an object, which has what is wanted of it, and further members only where that says so.
func (q *openedRequest) object(path string, body []byte, w *wanted, further bool) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return fmt.Errorf("want an object%s", path)
	}
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		value, ok := members[name]
		if !ok {
			return fmt.Errorf("want %s%s", name, path)
		}
		if err := q.member(name+path, value, w.members[name]); err != nil {
			return err
		}
	}
	if !further && len(members) > len(w.members) {
		return fmt.Errorf("want nothing further%s", path)
	}
	return nil
}

func (q *openedRequest) member(name string, value json.RawMessage, w *wanted) error {
	if w.members != nil {
		return q.object(" in "+name, value, w, false)
	}
	text := string(value)
	if w.inText && json.Unmarshal(value, &text) != nil || !w.inText && bytes.HasPrefix(value, []byte(`"`)) && w.call {
		return fmt.Errorf("%s is not in the form that is wanted", name)
	}
	if w.call {
		if q.call = []byte(text); !strings.HasPrefix(text, "{") || !json.Valid(q.call) {
			return fmt.Errorf("%s is not in the form that is wanted", name)
		}
		return nil
	}
	nonce, err := w.text.Read(text, q.message, q.opener.clientID, time.Duration(contractTolerance))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if nonce != "" && q.nonce != "" && nonce != q.nonce {
		return fmt.Errorf("%s has another nonce", name)
	}
	if nonce != "" {
		q.nonce = nonce
	}
	return nil
}

// shape is how answers look that a reads; nil for none.
func (a *Answer) shape() (*sandbox.AnswerShape, error) {
	fields, err := a.fields()
	if err != nil || fields == nil {
		return nil, err
	}
	if fields.Members != nil {
		return nil, errors.New("answer: content and what goes with it are for providers: the simulator gives OpenAI's members")
	}
	if _, err := wire.NewAnswerForm(*fields); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	shape := &sandbox.AnswerShape{
		Inside: writtenPath(fields.Inside), Success: writtenPath(fields.Success), SuccessValue: first(fields.SuccessValues),
		Code: writtenPath(fields.Code...), Message: writtenPath(fields.Message...), RequestID: writtenPath(fields.RequestID...), RetryAfter: writtenPath(fields.RetryAfter), RetryUnit: fields.RetryUnit,
	}
	if s := fields.Stream; s != nil {
		shape.Stream = &sandbox.StreamShape{
			Lines: s.Values, Name: writtenPath(s.Name), Event: first(s.Events), Error: first(s.Errors), End: first(s.End), Last: writtenPath(s.Last), LastValue: first(s.LastValues),
		}
		if len(s.Events) > 0 && len(s.Errors) == 0 {
			shape.Stream.Error = "error" // which is one always
		}
	}
	return shape, nil
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
