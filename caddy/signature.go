package alipaycaddy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/signer"
)

// Signature is an HMAC-SHA256 layout of one's own, where the contract differs
// from the profile's. Its texts are templates.
type Signature struct {
	// What is signed of a request. Placeholders are `{method}`, `{uri}` (path and
	// query as sent), `{path}`, `{query}`, `{body}`, `{body_sha256}` (hex),
	// `{body_sha256_base64}`, `{client_id}`, `{time_ms}` and `{time_s}` (Unix),
	// `{time_iso}` (2026-01-31T12:00:00Z), `{nonce}`, `{key_version}` and
	// `{header.<Name>}`. `\n`, `\r`, `\t`, `\\`, `\{` and `\}` stand for what they
	// do in Go. Required.
	Content string `json:"content,omitempty"`

	// The header fields that a request is sent with. One of them holds the
	// signature, as `{hex}`, `{base64}`, `{base64url}` (without padding) or
	// `{base64_escaped}`; besides, they take the placeholders of `content` from
	// `{body_sha256}` to `{key_version}`. Required.
	Headers map[string]string `json:"headers,omitempty"`

	// How answers are signed. Default: not at all.
	Answer *SignatureAnswer `json:"answer,omitempty"`

	// How the texts of the keys stand for their bytes: `text`, `hex` or `base64`,
	// of which a prefix like `whsec_` is no part. Default: `text`
	KeyEncoding string `json:"key_encoding,omitempty"`

	// How far the time of an answer may be from the upstream's. Default: any.
	Tolerance caddy.Duration `json:"tolerance,omitempty"`

	// Takes a `content` under which different messages could have one signature,
	// as some vendors' contracts do. Default: false
	AllowAmbiguous bool `json:"allow_ambiguous,omitempty"`
}

// SignatureAnswer is how answers are signed. `{method}`, `{uri}`, `{path}` and
// `{query}` are those of the request.
type SignatureAnswer struct {
	// What is signed of an answer. Required.
	Content string `json:"content,omitempty"`

	// The header fields that an answer has. Required.
	Headers map[string]string `json:"headers,omitempty"`
}

// unmarshalSignature reads the signature option. Syntax:
//
//	signature {
//		content         <template>
//		header          <name> <template>
//		answer {
//			content <template>
//			header  <name> <template>
//		}
//		key_encoding    text|hex|base64
//		tolerance       <duration>
//		allow_ambiguous
//	}
//
// header may be repeated.
func (p *Provider) unmarshalSignature(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	p.Signature = new(Signature)
	s := p.Signature
	return block(d, "signature",
		contentOption(&s.Content), headerOption(&s.Headers),
		option{form: "answer { ... }", read: s.unmarshalAnswer},
		option{form: "key_encoding text|hex|base64", read: text(&s.KeyEncoding)},
		option{form: "tolerance <duration>", read: duration(&s.Tolerance)},
		option{form: "allow_ambiguous", read: enable(&s.AllowAmbiguous)},
	)
}

func (s *Signature) unmarshalAnswer(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	s.Answer = new(SignatureAnswer)
	return block(d, "answer", contentOption(&s.Answer.Content), headerOption(&s.Answer.Headers))
}

func contentOption(to *string) option {
	return option{form: `content "<template>", such as content "{method} {uri}\n{time_ms}\n{body}"`, read: text(to)}
}

func headerOption(to *map[string]string) option {
	return option{form: `header <name> "<template>", such as header X-Signature "v1={hex}"`, read: named(to, word), repeats: true}
}

// layout makes the scheme.
func (s *Signature) layout(clientID string, keys *signer.Ring[*signer.HMACKey]) (*signer.Layout, error) {
	c := signer.LayoutConfig{
		ClientID: clientID, Keys: keys, Content: s.Content, Fields: layoutFields(s.Headers),
		Tolerance: time.Duration(s.Tolerance), AllowAmbiguous: s.AllowAmbiguous,
	}
	if s.Answer != nil {
		if s.Answer.Content == "" {
			return nil, errors.New("signature: answer content: must not be empty")
		}
		c.AnswerContent, c.AnswerFields = s.Answer.Content, layoutFields(s.Answer.Headers)
	}
	for _, f := range c.Fields {
		switch http.CanonicalHeaderKey(f.Name) {
		case "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Host", "Accept", "Accept-Encoding":
			return nil, fmt.Errorf("signature: header %s decides how a request is framed; use another", f.Name)
		}
	}
	l, err := signer.NewLayout(c)
	if err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return l, nil
}

// layoutFields are in the order of their names.
func layoutFields(headers map[string]string) (fields []signer.Field) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fields = append(fields, signer.Field{Name: name, Value: headers[name]})
	}
	return fields
}

// signature warns of a layout under which requests that differ have one signature.
func (w *warnings) signature(p *upstream.Provider) {
	if l, ok := p.Scheme.(*signer.Layout); ok {
		for _, warning := range l.Warnings() {
			w.logger.Warn("signature: "+warning, zap.String("provider", p.Name))
		}
	}
}
