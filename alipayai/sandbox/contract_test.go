package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// digestContract is a contract of the test: the SHA-256 of a word and the body.
type digestContract string

func (c digestContract) of(body []byte) string {
	sum := sha256.Sum256(append([]byte(c), body...))
	return hex.EncodeToString(sum[:])
}

func (c digestContract) Verify(r *http.Request, body []byte, now time.Time) error {
	if now.IsZero() || r.Header.Get("X-Digest") != c.of(body) {
		return errors.New("the digest is another")
	}
	return nil
}

func (c digestContract) Sign(_ *http.Request, body []byte, _ time.Time) (http.Header, error) {
	return http.Header{"X-Digest": {c.of(body)}}, nil
}

// An app with a contract is known by its token or its Client-Id, verified by the contract alone, and has its answers
// signed by it, wrongly where a fault says so. Whoever has not kept the contract gets no signature.
func TestContract(t *testing.T) {
	const contract = digestContract("of the test")
	g := newRig(t, Config{Apps: []App{{ClientID: DemoClientID, Keys: DemoKeys(), OAuthSecret: DemoOAuthSecret, Contract: contract}}})
	body := chatBody("hi", "")
	for name, c := range map[string]struct {
		digest, id, token string
		fault             bool
		status            int
		code, signed      string // signed: "right", "wrong" or ""
	}{
		"by the token":    {contract.of(body), "", g.token, false, 200, "", "right"},
		"by the id":       {contract.of(body), DemoClientID, g.token, false, 200, "", "right"},
		"a fault":         {contract.of(body), "", g.token, true, 200, "", "wrong"},
		"no token":        {contract.of(body), DemoClientID, "unknown", false, 401, codeInvalidToken, "right"},
		"another digest":  {contract.of(nil), "", g.token, false, 401, codeInvalidSignature, ""},
		"no digest":       {"", DemoClientID, g.token, false, 401, codeInvalidSignature, ""},
		"by its contract": {contract.of(body), "", "unknown", false, 401, codeInvalidToken, "right"},
		"nothing":         {contract.of(nil), "", "unknown", false, 401, codeInvalidClient, ""},
		"another app":     {contract.of(body), "other", g.token, false, 401, codeInvalidClient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g.set()
			if c.fault {
				g.set(Fault{Kind: WrongResponseSignature})
			}
			req := g.signed("POST", pathChat, body)
			req.Header.Del("Client-Id")
			if c.id != "" {
				req.Header.Set("Client-Id", c.id)
			}
			req.Header.Set("Authorization", "Bearer "+c.token)
			if c.digest != "" {
				req.Header.Set("X-Digest", c.digest)
			}
			resp, err := g.do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || !strings.Contains(string(answer), c.code) {
				t.Errorf("status %d: %s %v", resp.StatusCode, answer, err)
			}
			signed, got := "", resp.Header.Get("X-Digest")
			if got == contract.of(answer) {
				signed = "right"
			} else if got != "" {
				signed = "wrong"
			}
			if signed != c.signed || resp.Header.Get("Signature") != "" {
				t.Errorf("signed %q, want %q; %v", signed, c.signed, resp.Header)
			}
		})
	}
	if _, err := New(Config{Format: Anthropic, Apps: []App{{ClientID: "a", APIKey: "a-key-of-the-test", Contract: contract}}}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "Contract") {
		t.Errorf("format anthropic: %v", err)
	}
}

// An app is known by its token wherever a variant has that stand.
func TestContractWithTokenElsewhere(t *testing.T) {
	const contract = digestContract("of the test")
	g := newRig(t, Config{Variants: []Variant{VariantTokenHeader}, Apps: []App{{ClientID: DemoClientID, Keys: DemoKeys(), OAuthSecret: DemoOAuthSecret, Contract: contract}}})
	body := chatBody("hi", "")
	for name, c := range map[string]struct {
		token, digest string
		status        int
		code          string
	}{
		"its own":              {g.token, contract.of(body), 200, ""},
		"made up":              {"unknown", contract.of(body), 401, codeInvalidToken},
		"another digest of it": {g.token, contract.of(nil), 401, codeInvalidSignature},
	} {
		t.Run(name, func(t *testing.T) {
			req := g.signed("POST", pathChat, body)
			req.Header.Del("Client-Id")
			req.Header.Del("Authorization")
			req.Header.Set("X-App", DemoClientID)
			req.Header.Set(variantToken, c.token)
			req.Header.Set("X-Digest", c.digest)
			resp, err := g.do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != c.status || !strings.Contains(string(answer), c.code) {
				t.Errorf("status %d: %s %v", resp.StatusCode, answer, err)
			}
		})
	}
}

// An app whose requests for tokens are signed needs no client secret, and cannot have a token by an empty one.
func TestSignedTokensNeedNoSecret(t *testing.T) {
	if _, err := New(Config{Apps: []App{{ClientID: "a", Keys: DemoKeys(), TokenSigned: true}}}); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Apps: []App{{ClientID: "a", Keys: DemoKeys()}}}); !errors.Is(err, ErrConfig) {
		t.Errorf("without both: %v", err)
	}
}
