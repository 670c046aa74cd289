package alipaycaddy

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/signer"
)

// layoutContract has the simulator verify and sign by a layout of one's own.
type layoutContract struct{ layout *signer.Layout }

// contractTolerance is that of the simulator's own layout.
const contractTolerance = caddy.Duration(5 * time.Minute)

// contract makes the contract of an app whose keys have been resolved; nil where it has none.
func (a SandboxApp) contract(app sandbox.App) (sandbox.Contract, error) {
	if a.Signature == nil {
		return nil, nil
	}
	if len(app.Keys) == 0 {
		return nil, errors.New("signature is for apps with a key, of format openai")
	}
	s := *a.Signature
	s.Tolerance = cmp.Or(s.Tolerance, contractTolerance)
	encoding := signer.KeyEncoding(s.KeyEncoding)
	keys := make(map[int]*signer.HMACKey, len(app.Keys))
	for version, text := range app.Keys {
		key, err := encoding.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", version, err)
		}
		keys[version] = key
	}
	ring, err := signer.NewRing(keys)
	if err != nil {
		return nil, err
	}
	layout, err := s.layout(app.ClientID, ring)
	if err != nil {
		return nil, err
	}
	return layoutContract{layout}, nil
}

// Verify implements sandbox.Contract.
func (c layoutContract) Verify(r *http.Request, body []byte, now time.Time) error {
	if err := c.layout.VerifyRequest(receivedMessage(r, body, now), r.Header); err != nil {
		return errors.New(signer.Reason(err))
	}
	return nil
}

// Sign implements sandbox.Contract.
func (c layoutContract) Sign(r *http.Request, body []byte, now time.Time) (http.Header, error) {
	if c.layout.Traits().IgnoresAnswers {
		return nil, nil
	}
	m := receivedMessage(r, body, now)
	m.Nonce = rand.Text()
	signed, err := c.layout.SignResponse(m)
	if err != nil {
		return nil, err
	}
	h := make(http.Header, len(signed.Fields))
	for _, f := range signed.Fields {
		h.Set(f.Name, f.Value)
	}
	return h, nil
}

func receivedMessage(r *http.Request, body []byte, now time.Time) signer.Message {
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") { // absolute-form
		target = r.URL.RequestURI()
	}
	return signer.Message{Method: r.Method, Target: target, Body: body, Time: now}
}

// Interface guard
var _ sandbox.Contract = layoutContract{}
