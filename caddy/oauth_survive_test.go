package alipaycaddy

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// A user's way, and what it brings, outlive a reload, a restart, and a Redis that is killed, between any two steps.
func TestConsentSurvives(t *testing.T) {
	for name, test := range map[string]struct {
		redis     bool
		interrupt func(g *consentRig, redis *redistest.Server, load func())
	}{
		"a reload":                          {false, func(_ *consentRig, _ *redistest.Server, load func()) { load() }},
		"a restart":                         {false, func(g *consentRig, _ *redistest.Server, load func()) { g.stop(); load() }},
		"a restart with Redis":              {true, func(g *consentRig, _ *redistest.Server, load func()) { g.stop(); load() }},
		"a killed Redis":                    {true, func(_ *consentRig, r *redistest.Server, _ func()) { r.Kill(); r.Restart() }},
		"a killed Redis, and a new replica": {true, func(g *consentRig, r *redistest.Server, load func()) { g.stop(); r.Kill(); r.Restart(); load() }},
	} {
		t.Run(name, func(t *testing.T) {
			g := newConsentRig(t, sandbox.Config{RotateRefreshTokens: true})
			app := ""
			var server *redistest.Server
			if test.redis {
				server = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
				g.vars["redis"] = server.Addr
				app = "store redis ${redis}"
			}
			load := func() { g.start(app, "") }
			interrupt := func() { test.interrupt(g, server, load) }
			load()
			address := g.link(acmeKey, "u1", "")
			interrupt()
			b := g.newBrowser()
			vendor := g.await(b, address)
			interrupt()
			back := b.next(vendor + "&as=alice")
			interrupt()
			if end := g.await(b, back); end != tenantPage+"?authorisation=granted" {
				t.Fatalf("sent back to %s", end)
			}
			interrupt()
			g.eventually("the user to be served", func() bool {
				a := g.user("u1", "hello", acmeKey)
				if a.status == http.StatusForbidden {
					t.Fatalf("%s", a.body)
				}
				return a.status == http.StatusOK
			})
			if got := g.seen(); len(got) != 1 || got[0] != "alice" {
				t.Errorf("served as %q", got)
			}
			interrupt()
			g.eventually("the consent to be withdrawn", func() bool { return g.do("DELETE", "/consent/users/u1", "", acmeKey).status == http.StatusNoContent })
			interrupt()
			g.eventually("an answer", func() bool { return g.user("u1", "hello", acmeKey).status != http.StatusServiceUnavailable })
			if a := g.user("u1", "hello", acmeKey); a.code() != "authorisation_required" || len(g.seen()) != 0 {
				t.Errorf("after DELETE: %d %s", a.status, a.body)
			}
			for _, address := range []string{address, back} {
				if a := b.open(address); a.status != http.StatusBadRequest {
					t.Errorf("%s a second time: %d", address, a.status)
				}
			}
			if n := g.sandboxCodes(); n != 1 {
				t.Errorf("%d codes were exchanged", n)
			}
		})
	}
}

// await opens a page, again while the store is away as the page says, and gives where it leads.
func (g *consentRig) await(b *browser, address string) (next string) {
	g.t.Helper()
	g.eventually("the store", func() bool {
		a := b.open(address)
		next = a.header.Get("Location")
		return a.status != http.StatusServiceUnavailable
	})
	return next
}

// While Redis is away no step is taken, no consent is made up, and what is known of users counts for a minute.
func TestConsentWithoutRedis(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	g.vars["redis"] = server.Addr
	g.start("store redis ${redis}", "")
	g.consent(acmeKey, "u1", "alice")
	g.user("u1", "hello", acmeKey)
	b := g.newBrowser()
	back := b.callback(g.link(acmeKey, "u2", ""), "bob")
	address := g.link(acmeKey, "u3", "")
	server.Kill()
	g.seen()
	if a := g.user("u1", "hello", acmeKey); a.status != http.StatusOK {
		t.Errorf("a user that was served: %d %s", a.status, a.body)
	}
	if a := g.user("u2", "hello", acmeKey); a.code() != "token_unavailable" || a.status != http.StatusServiceUnavailable {
		t.Errorf("a user that was not: %d %s", a.status, a.body)
	}
	if got := g.seen(); len(got) != 1 || got[0] != "alice" {
		t.Errorf("served as %q", got)
	}
	for name, page := range map[string]string{"authorize": address, "callback": back} {
		if a := b.open(page); a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, method := range []string{"GET", "DELETE"} {
		if a := g.do(method, "/consent/users/u1", "", acmeKey); a.code() != "consent_unavailable" {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
	if n := g.sandboxCodes(); n != 1 {
		t.Errorf("%d codes were exchanged", n)
	}
	server.Restart()
	if end := g.await(b, back); end != tenantPage+"?authorisation=granted" {
		t.Errorf("sent back to %s", end)
	}
}

// Nothing in Redis or in Caddy's storage says who has authorised what, and all of it ends.
func TestConsentIsSealed(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{})
	server := redistest.Start(t)
	g.vars["redis"] = server.Addr
	g.start("store redis ${redis}", "")
	g.consent(acmeKey, "user-of-acme", "alice")
	g.user("user-of-acme", "hello", acmeKey)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer client.Close()
	kept := 0
	for _, key := range must(client.Keys(t.Context(), "*consent*").Result()) {
		kept++
		everything := key + must(client.Dump(t.Context(), key).Result())
		for _, never := range append([]string{"user-of-acme", "acme", "alice", tenantPage}, g.tokens...) {
			if strings.Contains(everything, never) {
				t.Errorf("%s shows %s", key, never)
			}
		}
		if must(client.PTTL(t.Context(), key).Result()) <= 0 {
			t.Errorf("%s has no end", key)
		}
	}
	if kept == 0 {
		t.Error("nothing is kept")
	}
}

// A token that ends is renewed ahead, with a refresh token that rotates: calls always find one that is good, and each
// refresh token is redeemed once.
func TestConsentIsRenewedAhead(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{RotateRefreshTokens: true, TokenLife: 2 * time.Second})
	g.start("", "")
	g.consent(acmeKey, "u1", "alice")
	tokens := func() map[string]bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		all := make(map[string]bool)
		for _, access := range g.tokens {
			all[access] = true
		}
		return all
	}
	calls := 0
	g.eventually("three tokens", func() bool {
		if a := g.user("u1", fmt.Sprint("hello ", calls), acmeKey); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		calls++
		return len(tokens()) >= 3
	})
	for _, who := range g.seen() {
		if who != "alice" {
			t.Errorf("served as %q", who)
		}
	}
	if stats := g.api.Stats(); stats.Codes["EXPIRED_ACCESS_TOKEN"] != 0 || stats.Codes["invalid_grant"] != 0 {
		t.Errorf("%v", stats.Codes)
	}
}

// Of what the provider refuses one renewal is tried; then the user has to consent anew, and no other token is sent.
func TestConsentRevokedAtVendor(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{RotateRefreshTokens: true})
	g.start("", "")
	g.consent(acmeKey, "u1", "alice")
	g.consent(acmeKey, "u2", "bob")
	if a := g.user("u1", "hello", acmeKey); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	g.seen()
	g.api.Revoke("alice")
	for range 3 {
		if a := g.user("u1", "hello", acmeKey); a.code() != "authorisation_required" || a.status != http.StatusForbidden {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if got := g.seen(); len(got) != 1 || got[0] != "alice" {
		t.Errorf("sent as %q", got)
	}
	if a := g.user("u2", "hello", acmeKey); a.status != http.StatusOK {
		t.Errorf("another user: %d %s", a.status, a.body)
	}
	g.consent(acmeKey, "u1", "alice")
	if a := g.user("u1", "hello", acmeKey); a.status != http.StatusOK {
		t.Errorf("after a new consent: %d %s", a.status, a.body)
	}
}

// An expired token that nothing has renewed is renewed once for all the calls that wait for it.
func TestConsentIsRenewedOnce(t *testing.T) {
	g := newConsentRig(t, sandbox.Config{RotateRefreshTokens: true})
	g.start("", "")
	g.consent(acmeKey, "u1", "alice")
	g.user("u1", "hello", acmeKey)
	if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.ExpiredToken, Times: 1}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if a := g.user("u1", fmt.Sprint("hello ", i), acmeKey); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if n := g.api.Stats().TokenFetches["refresh_token"]; n != 1 {
		t.Errorf("%d refresh tokens were redeemed", n)
	}
}
