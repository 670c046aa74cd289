package consent

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// begin takes the first step of a user's way, and gives what the vendor sends back with it.
func begin(t *testing.T, c *Consents, user, state string) (back url.Values, cookie *http.Cookie) {
	t.Helper()
	address, _, err := c.LinkTo("acme", user, "", state)
	if err != nil {
		t.Fatal(err)
	}
	page, cookie, err := c.Begin(t.Context(), must(url.Parse(address)).Query())
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"state": {must(url.Parse(page)).Query().Get("state")}, "code": {"c"}}, cookie
}

// Whatever comes of a user's way, its page learns of it, and the cookie is over. Nothing is kept of a way that did not succeed.
func TestResultsOfWays(t *testing.T) {
	store := redisStore(t, redistest.Start(t))
	for name, test := range map[string]struct {
		edit  func(*vendor, url.Values)
		state string
		want  Result
		page  string
	}{
		"granted":         {func(*vendor, url.Values) {}, "s 1", Granted, "https://app.example/done?authorisation=granted&state=s+1"},
		"without a state": {func(*vendor, url.Values) {}, "", Granted, "https://app.example/done?authorisation=granted"},
		"refused code":    {func(v *vendor, _ url.Values) { v.refuse = "invalid_client" }, "s", Failed, "https://app.example/done?authorisation=failed&state=s"},
		"denied":          {func(_ *vendor, back url.Values) { back.Set("error", "access_denied") }, "s", Denied, "https://app.example/done?authorisation=denied&state=s"},
		"no code":         {func(_ *vendor, back url.Values) { back.Del("code") }, "s", Denied, "https://app.example/done?authorisation=denied&state=s"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &vendor{life: 3600}
			c := replica(t, v, store, time.Now)
			back, cookie := begin(t, c, name, test.state)
			if cookie.MaxAge != int(Life/time.Second) || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.SameSite != http.SameSiteLaxMode {
				t.Errorf("the cookie is %+v", cookie)
			}
			test.edit(v, back)
			end, err := c.Finish(t.Context(), back, []*http.Cookie{cookie})
			if err != nil || end.Result != test.want || end.ReturnTo != test.page || (end.Cause != nil) != (test.want == Failed) {
				t.Fatalf("%+v, %v", end, err)
			}
			if end.Cookie.Name != cookie.Name || end.Cookie.MaxAge >= 0 || end.Tenant != "acme" || end.User != name {
				t.Errorf("%+v, and its cookie %+v", end, end.Cookie)
			}
			if _, err := c.Get(t.Context(), "acme", name); (err == nil) != (test.want == Granted) {
				t.Errorf("the consent: %v", err)
			}
		})
	}
}

// A user who begins twice may finish either way, whichever cookie the browser sends first.
func TestTwoWaysAtOnce(t *testing.T) {
	c := replica(t, &vendor{life: 3600}, redisStore(t, redistest.Start(t)), time.Now)
	one, first := begin(t, c, "u", "1")
	two, second := begin(t, c, "u", "2")
	cookies := []*http.Cookie{{Name: "other", Value: "x"}, first, second}
	for state, back := range map[string]url.Values{"1": one, "2": two} {
		if end, err := c.Finish(t.Context(), back, cookies); err != nil || end.Result != Granted || must(url.Parse(end.ReturnTo)).Query().Get("state") != state {
			t.Errorf("way %s: %+v, %v", state, end, err)
		}
	}
}

// A consent is what its user gave, until the tenant withdraws it, and no other goes with it.
func TestWithdraw(t *testing.T) {
	now := time.Now()
	c := replica(t, &vendor{life: 3600}, redisStore(t, redistest.Start(t)), func() time.Time { return now })
	c.Page.Scope = "read"
	for _, of := range [][2]string{{"acme", "u"}, {"u", "acme"}, {"acme", "v"}} {
		grant(t, c, of[0], of[1])
		if given, err := c.Get(t.Context(), of[0], of[1]); err != nil || !given.Granted.Equal(now) || given.Scope != "read" || !given.Expires.IsZero() {
			t.Errorf("%v: %+v, %v", of, given, err)
		}
	}
	if err := c.Withdraw(t.Context(), "acme", "u"); err != nil {
		t.Fatal(err)
	}
	for of, kept := range map[[2]string]bool{{"acme", "u"}: false, {"u", "acme"}: true, {"acme", "v"}: true} {
		_, err := c.Get(t.Context(), of[0], of[1])
		access, err2 := c.Token(t.Context(), of[0], of[1])
		if kept != (err == nil) || kept != (err2 == nil) || kept != (access != "") || !kept && (!errors.Is(err, ErrNone) || !errors.Is(err2, ErrNone)) {
			t.Errorf("%v: %v; token %q, %v", of, err, access, err2)
		}
	}
}

// What is known of a refresh token's end is kept with that token alone, and bounds what can be renewed.
func TestEndsOfRefreshTokens(t *testing.T) {
	at := func(hours int) time.Time { return time.Unix(1_700_000_000, 0).Add(time.Duration(hours) * time.Hour) }
	for name, test := range map[string]struct {
		before, next  token.Token
		ends          int // hours
		live, renewal int // the last hour of each
	}{
		"said again":         {token.Token{Refresh: "r", RefreshExpiry: at(9)}, token.Token{Access: "a", Refresh: "r", Expiry: at(1), RefreshExpiry: at(5)}, 5, 4, 4},
		"the same, not said": {token.Token{Refresh: "r", RefreshExpiry: at(9)}, token.Token{Access: "a", Refresh: "r", Expiry: at(1)}, 9, 8, 8},
		"another, not said":  {token.Token{Refresh: "r", RefreshExpiry: at(9)}, token.Token{Access: "a", Refresh: "s", Expiry: at(1)}, 1 + 90*24, 90 * 24, 90 * 24},
		"before the access":  {token.Token{}, token.Token{Access: "a", Refresh: "r", Expiry: at(7), RefreshExpiry: at(3)}, 7, 6, 2},
		"without one":        {token.Token{}, token.Token{Access: "a", Expiry: at(7)}, 7, 6, -1},
	} {
		r := record{ID: "x"}
		r.set(test.before)
		r.set(test.next)
		if !r.ends().Equal(at(test.ends)) {
			t.Errorf("%s: ends after %v", name, r.ends().Sub(at(0)))
		}
		if !r.live(at(test.live)) || r.live(at(test.live+1)) {
			t.Errorf("%s: lives until another hour than %d", name, test.live)
		}
		if test.renewal >= 0 && !r.renewable(at(test.renewal)) || r.renewable(at(test.renewal+1)) {
			t.Errorf("%s: is renewable until another hour than %d", name, test.renewal)
		}
	}
}

// gets counts how often a store is read.
type gets struct {
	Store
	n atomic.Int64
}

func (g *gets) Get(ctx context.Context, key string) ([]byte, error) {
	g.n.Add(1)
	return g.Store.Get(ctx, key)
}

// Tokens in use are looked at ahead once three quarters of their lives are over, and no store is asked before.
func TestRenewedAheadWhenDue(t *testing.T) {
	server := redistest.Start(t)
	for passes, asked := range map[time.Duration]bool{10 * time.Minute: false, 44 * time.Minute: false, 46 * time.Minute: true} {
		began := time.Now()
		var passed atomic.Int64
		store := &gets{Store: redisStore(t, server)}
		c := replica(t, &vendor{life: 3600}, store, func() time.Time { return began.Add(time.Duration(passed.Load())) })
		grant(t, c, "acme", passes.String())
		if _, err := c.Token(t.Context(), "acme", passes.String()); err != nil {
			t.Fatal(err)
		}
		passed.Store(int64(passes))
		before := store.n.Load()
		c.refreshAhead(t.Context())
		if (store.n.Load() > before) != asked {
			t.Errorf("after %v the store was asked %d times", passes, store.n.Load()-before)
		}
	}
}

// A store is kept while a user's token is renewed, which may be after all who asked for it.
func TestRenewalKeepsItsStore(t *testing.T) {
	v := &vendor{life: 3600}
	c := replica(t, v, redisStore(t, redistest.Start(t)), time.Now)
	grant(t, c, "acme", "u1")
	first, err := c.Token(t.Context(), "acme", "u1")
	if err != nil {
		t.Fatal(err)
	}
	var held atomic.Int64
	c.Hold = func() func() { held.Add(1); return func() { held.Add(-1) } }
	during := int64(-1)
	v.before = func() { during = held.Load() }
	c.Drop("acme", "u1", first)
	if next, err := c.Token(t.Context(), "acme", "u1"); err != nil || next == first {
		t.Fatalf("%q, %v", next, err)
	}
	if during != 1 {
		t.Errorf("%d held it while the vendor was asked", during)
	}
	testwait.For(t, 10*time.Second, "the store to be given back", func() bool { return held.Load() == 0 })
}
