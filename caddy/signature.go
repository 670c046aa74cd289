package alipaycaddy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/signer"
)

// Signature is an HMAC layout of one's own, where the contract differs
// from the profile's. Its texts are templates.
type Signature struct {
	// What is signed of a request. Placeholders are `{method}`, `{uri}` (path and
	// query as sent), `{path}`, `{query}`, `{body}`, `{body_sha256}` (hex),
	// `{body_sha256_base64}`, `{client_id}`, `{time_ms}` and `{time_s}` (Unix),
	// `{time_iso}` (2026-01-31T12:00:00Z), `{time_iso_ms}`, `{time_basic}`, `{time_local}`,
	// `{time_digits}`, `{time_rfc1123}`, `{time_date}`, `{time_day}`, `{time}`, `{nonce}`, `{key_version}`, `{body_sha512}`,
	// `{body_sha512_base64}`, `{body_md5}`, `{body_md5_base64}` and `{header.<Name>}`. `\n`, `\r`, `\t`, `\\`, `\{` and `\}` stand for what they
	// do in Go. Required.
	Content string `json:"content,omitempty" placeholder:"text"`

	// What `{canonical_sha256}` in `content` is the SHA-256 of, in hex: a canonical
	// request, as in AWS's Signature Version 4 and its kin. It takes what `content` takes.
	// Default: none.
	Canonical string `json:"canonical,omitempty" placeholder:"text"`

	// Makes the key that signs of the secret: what stands before the secret, which may
	// be empty, and then what the HMAC of each step is over, by the key of the step
	// before. Steps take `{client_id}` and the times, such as `{time_day}` (20260131)
	// and `{time_date}` (2026-01-31). Default: none, and the secret signs.
	Derive []string `json:"derive,omitempty" placeholder:"text"`

	// The header fields that a request is sent with. One of them holds the
	// signature, as `{signature}`, `{hex}`, `{HEX}` (upper case), `{base64}`, `{base64url}`
	// (without padding) or `{base64_escaped}`; besides, they take the placeholders of `content` but
	// those of the request line, `{body}` and `{header.<Name>}`. Required.
	Headers map[string]string `json:"headers,omitempty" placeholder:"text"`

	// The form of `{signature}`: `hex`, `HEX` (upper case), `base64`, `base64url`
	// (without padding) or `base64_escaped` (percent-encoded). Default: `hex`
	Encoding string `json:"encoding,omitempty"`

	// The form of `{time}`: `ms` or `s` (Unix), `iso` (2026-01-31T12:00:00Z), `iso_ms`
	// (2026-01-31T12:00:00.000Z), `basic` (20260131T120000Z), `local` (2026-01-31
	// 12:00:00), `digits` (20260131120000) or `rfc1123` (Sat, 31 Jan 2026 12:00:00 GMT).
	// Default: `ms`
	Time string `json:"time,omitempty"`

	// How far the zone of those times is ahead of UTC, such as `+08:00`; `rfc1123` is
	// in UTC always. Default: `Z`, UTC
	Zone string `json:"zone,omitempty"`

	// The hash of the HMAC: `sha256`, `sha384`, `sha512` or, for old contracts, `sha1`.
	// Default: `sha256`
	Hash string `json:"hash,omitempty"`

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
	Content string `json:"content,omitempty" placeholder:"text"`

	// The header fields that an answer has. Required.
	Headers map[string]string `json:"headers,omitempty" placeholder:"text"`
}

// readSignature reads the option signature of a provider, or of a simulated app.
func readSignature(to **Signature) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if err := args(d); err != nil {
			return err
		}
		*to = new(Signature)
		return (*to).unmarshal(d)
	}
}

func (s *Signature) unmarshal(d *caddyfile.Dispenser) error {
	return block(d, "signature",
		contentOption(&s.Content), headerOption(&s.Headers),
		option{form: `canonical "<template>", such as canonical "{method}\n{path}\n{query}\n{body_sha256}"`, read: text(&s.Canonical)},
		option{form: `derive <prefix>|"" <templates...>, such as derive TC3 {time_date} hunyuan tc3_request`, read: list(&s.Derive)},
		option{form: "answer { ... }", read: s.unmarshalAnswer},
		option{form: "encoding hex|HEX|base64|base64url|base64_escaped", read: text(&s.Encoding)},
		option{form: "hash sha256|sha384|sha512|sha1", read: text(&s.Hash)},
		option{form: "time ms|s|iso|iso_ms|basic|local|digits|rfc1123", read: text(&s.Time)},
		option{form: "zone <offset>, such as zone +08:00", read: text(&s.Zone)},
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
		ClientID: clientID, Keys: keys, Content: s.Content, Canonical: s.Canonical, Derive: s.Derive, Fields: layoutFields(s.Headers), Encoding: s.Encoding, Time: s.Time, Zone: s.Zone, Hash: s.Hash,
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

// checkTolerance refuses a bound on the time of answers that say none.
func (s *Signature) checkTolerance() error {
	if s.Tolerance == 0 {
		return nil
	}
	if s.Answer != nil {
		for _, text := range s.Answer.Headers {
			if strings.Contains(text, "{time") {
				return nil
			}
		}
	}
	return errors.New("signature: tolerance bounds the time of answers, and no header of an answer has one; write answer { header <name> {time} }, or take tolerance out")
}

// layoutFields are in the order of their names.
func layoutFields(headers map[string]string) (fields []signer.Field) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fields = append(fields, signer.Field{Name: name, Value: headers[name]})
	}
	return fields
}
