package upstream

import (
	"net/url"
	"testing"
	"time"
)

func known(t *testing.T, name string) Profile {
	t.Helper()
	p, err := LookupProfile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProviderTargets(t *testing.T) {
	for name, test := range map[string]struct {
		profile, base, id string
		paths             map[Endpoint]string
		want              string
	}{
		"host alone":        {"alipay", "https://h", "", nil, "https://h/v1/chat/completions"},
		"a final slash":     {"alipay", "https://h/", "", nil, "https://h/v1/chat/completions"},
		"a path":            {"alipay", "https://h/team/", "", nil, "https://h/team/v1/chat/completions"},
		"an encoded path":   {"alipay", "https://h/a%2Fb%20c", "", nil, "https://h/a%2Fb%20c/v1/chat/completions"},
		"OpenAI's base":     {"openai", "https://h/v1", "", nil, "https://h/v1/chat/completions"},
		"a path of its own": {"alipay", "https://h", "", map[Endpoint]string{EndpointChat: "/x?y=1&z=%20"}, "https://h/x?y=1&z=%20"},
		"global":            {"global", "https://h", "app", map[Endpoint]string{EndpointChat: "/ams/api/v1/chat"}, "https://h/ams/api/v1/chat"},
		"global, sandbox":   {"global", "https://h", "SANDBOX_1", map[Endpoint]string{EndpointChat: "/ams/api/v1/chat"}, "https://h/ams/sandbox/api/v1/chat"},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := url.Parse(test.base)
			if err != nil {
				t.Fatal(err)
			}
			p := &Provider{Profile: known(t, test.profile), BaseURL: base, ClientID: test.id, Paths: test.paths}
			if err := p.Prepare(); err != nil {
				t.Fatal(err)
			}
			target := p.targets[EndpointChat]
			if target.url.String() != test.want || "https://h"+target.requestTarget != test.want {
				t.Errorf("%s and %s, want %s", target.url, target.requestTarget, test.want)
			}
			if p.Timeout != DefaultTimeout || p.Verify != VerifyIfPresent {
				t.Errorf("defaults %v, %q", p.Timeout, p.Verify)
			}
		})
	}
}

// Open Platform v3 has a nonce.
func TestMessageHasANonceWhereTheSchemeDoes(t *testing.T) {
	now := time.Now()
	for scheme, want := range map[string]bool{"alipay": false, "global": false, "openapi-v2": false, "openapi-v3": true} {
		p := &Provider{Profile: known(t, scheme), Clock: new(Clock)}
		a, b := p.message("POST", "/x", nil, nil, now), p.message("POST", "/x", nil, nil, now)
		if (a.Nonce != "") != want || want && a.Nonce == b.Nonce {
			t.Errorf("%s: nonces %q and %q", scheme, a.Nonce, b.Nonce)
		}
	}
}

func TestSigningTime(t *testing.T) {
	p := new(Provider)
	now := time.UnixMilli(1_700_000_000_000)
	for i := range 1000 {
		if got := p.signingTime(now); got.Sub(now) != time.Duration(i)*time.Millisecond {
			t.Fatalf("time %d is %v after now", i, got.Sub(now))
		}
	}
	// A second is the most that it runs ahead: a clock that was set back is followed.
	if got := p.signingTime(now.Add(-time.Hour)); got.Sub(now) != -time.Hour {
		t.Errorf("%v after now", got.Sub(now))
	}
	if got := p.signingTime(now); !got.Equal(now) {
		t.Errorf("%v after now", got.Sub(now))
	}
}
