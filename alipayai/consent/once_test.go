package consent

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// An address is good once, however it is written: base64 has several texts for the same bytes.
func TestAddressIsGoodOnceHoweverWritten(t *testing.T) {
	for name, again := range map[string]func(ticket string) string{
		"the same":            func(s string) string { return s },
		"a line's end":        func(s string) string { return s[:8] + "\n" + s[8:] },
		"a return at its end": func(s string) string { return s + "\r" },
		"other spare bits": func(s string) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			last := s[len(s)-1]
			for i := range alphabet {
				if alphabet[i] == last {
					return s[:len(s)-1] + string(alphabet[i^1])
				}
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 3 { // of one of each length modulo 3
				c := replica(t, &vendor{life: 3600}, redisStore(t, redistest.Start(t)), time.Now)
				address, _, err := c.LinkTo("acme", "user"[:i+1], "", "")
				if err != nil {
					t.Fatal(err)
				}
				query := must(url.Parse(address)).Query()
				if _, _, err := c.Begin(t.Context(), query); err != nil {
					t.Fatal(err)
				}
				second := url.Values{"ticket": {again(query.Get("ticket"))}}
				if _, _, err := c.Begin(t.Context(), second); !errors.Is(err, ErrLink) {
					t.Errorf("a user's name of %d bytes: opened twice, %v", i+1, err)
				}
			}
		})
	}
}

// After encryption_key has changed, what was kept counts as none: the user may consent again, and a withdrawal works.
func TestAnotherEncryptionKey(t *testing.T) {
	store := redisStore(t, redistest.Start(t))
	v := &vendor{life: 3600}
	grant(t, replica(t, v, store, time.Now), "acme", "u1")
	other := replica(t, v, store, time.Now)
	s, err := seal.New([32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	other.Seal = s
	if _, err := other.Token(t.Context(), "acme", "u1"); !errors.Is(err, ErrNone) {
		t.Errorf("token: %v", err)
	}
	if _, err := other.Get(t.Context(), "acme", "u1"); !errors.Is(err, ErrNone) {
		t.Errorf("get: %v", err)
	}
	if err := other.Withdraw(t.Context(), "acme", "u1"); err != nil {
		t.Errorf("withdraw: %v", err)
	}
	grant(t, other, "acme", "u1")
	if access, err := other.Token(t.Context(), "acme", "u1"); err != nil || access != "access-2" {
		t.Errorf("%q, %v", access, err)
	}
}

// A provider that refuses each token of a user does not have a refresh token redeemed for each call: after some, the one that
// there is stays for a while, and the call learns that it need not be repeated.
func TestProviderThatRefusesEveryToken(t *testing.T) {
	v, now := &vendor{life: 3600}, time.Now()
	c := replica(t, v, redisStore(t, redistest.Start(t)), func() time.Time { return now })
	grant(t, c, "acme", "u1")
	const calls = 40
	helped := 0
	for i := range calls {
		access, err := c.Token(t.Context(), "acme", "u1")
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if c.Drop("acme", "u1", access) {
			helped++
		}
	}
	if helped == 0 || helped >= calls || v.asked > helped+1 {
		t.Errorf("%d of %d calls were to be repeated, and the vendor was asked %d times", helped, calls, v.asked)
	}
}
