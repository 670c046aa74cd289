package consent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/internal/redistest"
	"github.com/caddy-alipayai/gateway/internal/seal"
)

// vendor is a token endpoint that rotates refresh tokens: it takes each once.
type vendor struct {
	mu sync.Mutex
	// good is the refresh token that it takes, and asked how often it was asked for one.
	good  string
	asked int
	// refuse is the code that it refuses with; empty for none. life is that of access tokens, in seconds.
	refuse string
	life   int
	// before, if set, comes before each answer.
	before func()
}

func (v *vendor) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	form, _ := url.ParseQuery(string(body))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.before != nil {
		v.before()
	}
	answer := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	}
	v.asked++
	if v.refuse != "" || form.Get("grant_type") == "refresh_token" && form.Get("refresh_token") != v.good {
		code := v.refuse
		if code == "" {
			code = "invalid_grant"
		}
		return answer(http.StatusBadRequest, `{"error":"`+code+`"}`)
	}
	v.good = "refresh-" + strconv.Itoa(v.asked)
	return answer(http.StatusOK, `{"access_token":"access-`+strconv.Itoa(v.asked)+`","expires_in":`+strconv.Itoa(v.life)+`,"refresh_token":"`+v.good+`"}`)
}

// replica makes the consents of one process, which shares store with others.
func replica(t *testing.T, v *vendor, store Store, now func() time.Time) *Consents {
	t.Helper()
	s, err := seal.New([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	return &Consents{
		Provider: "p", Store: store, Seal: s, Memory: new(Memory), Now: now,
		Grant: &token.Grant{URL: "https://vendor.example/token", ClientID: "app", Secret: "s", Transport: v, Now: now},
		Page:  Page{Address: "https://gw.example/consent", ReturnTo: []string{"https://app.example/done"}, Authorize: "https://vendor.example/page", ClientID: "app", PKCE: true},
	}
}

func redisStore(t *testing.T, server *redistest.Server) *Redis {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr, MaxRetries: -1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	store := NewRedis(client)
	store.exchange.Timeout = 10 * time.Second // however busy the machine is
	return store
}

// grant gives a user's consent at c, by all steps.
func grant(t *testing.T, c *Consents, tenant, user string) {
	t.Helper()
	address, _, err := c.LinkTo(tenant, user, "", "")
	if err != nil {
		t.Fatal(err)
	}
	page, cookie, err := c.Begin(t.Context(), must(url.Parse(address)).Query())
	if err != nil {
		t.Fatal(err)
	}
	state := must(url.Parse(page)).Query().Get("state")
	end, err := c.Finish(t.Context(), url.Values{"state": {state}, "code": {"c"}}, []*http.Cookie{cookie})
	if err != nil || end.Result != Granted {
		t.Fatalf("%+v, %v", end, err)
	}
}

// Two replicas that need a user's token at the same time redeem the refresh token once, and both have what it brought.
func TestReplicasRenewOnce(t *testing.T) {
	server := redistest.Start(t)
	v := &vendor{life: 1}
	one := replica(t, v, redisStore(t, server), time.Now)
	two := replica(t, v, redisStore(t, server), time.Now)
	grant(t, one, "acme", "u1")
	first, err := two.Token(t.Context(), "acme", "u1")
	if err != nil || first != "access-1" {
		t.Fatalf("%q, %v", first, err)
	}
	v.mu.Lock()
	v.life = 3600
	v.mu.Unlock()
	one.Drop("acme", "u1", first) // not known here yet: nothing happens
	two.Drop("acme", "u1", first)
	var all sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		c := one
		if i%2 == 0 {
			c = two
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for { // the other replica goes by what it had until that ends
				access, err := c.Token(ctx, "acme", "u1")
				if err != nil {
					t.Error(err)
					return
				}
				if got[i] = access; access != first {
					return
				}
			}
		})
	}
	all.Wait()
	for i, access := range got {
		if access != "access-2" {
			t.Errorf("call %d has %q", i, access)
		}
	}
	if v.asked != 2 { // the code, and one refresh token
		t.Errorf("the vendor was asked %d times", v.asked)
	}
}

// A pair that cannot be kept, since Redis dies as the vendor answers, is not used before it is kept, and its
// predecessor is not redeemed again.
func TestRotationIsKeptBeforeItIsUsed(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	v := &vendor{life: 3600}
	c := replica(t, v, redisStore(t, server), time.Now)
	grant(t, c, "acme", "u1")
	first, err := c.Token(t.Context(), "acme", "u1")
	if err != nil {
		t.Fatal(err)
	}
	c.Drop("acme", "u1", first)
	v.before = server.Kill
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if access, err := c.Token(short, "acme", "u1"); err == nil {
		t.Fatalf("%q is used although it is not kept", access)
	}
	v.mu.Lock()
	v.before = nil
	v.mu.Unlock()
	server.Restart()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		access, err := c.Token(ctx, "acme", "u1")
		if err == nil {
			if access != "access-2" {
				t.Errorf("%q", access)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if v.asked != 2 {
		t.Errorf("the vendor was asked %d times", v.asked)
	}
	again := replica(t, v, redisStore(t, server), time.Now)
	if access, err := again.Token(t.Context(), "acme", "u1"); err != nil || access != "access-2" {
		t.Errorf("another replica has %q, %v", access, err)
	}
}

// What the vendor refuses tells a consent that is gone from a gateway whose credentials are wrong.
func TestRefusals(t *testing.T) {
	for code, gone := range map[string]bool{
		"invalid_grant": true, "isv.refresh-token-invalid": true, "PARAM_ILLEGAL": true,
		"invalid_client": false, "INVALID_SIGNATURE": false, "isv.invalid-app-id": false,
	} {
		t.Run(code, func(t *testing.T) {
			v := &vendor{life: 3600}
			c := replica(t, v, redisStore(t, redistest.Start(t)), time.Now)
			grant(t, c, "acme", "u1")
			first, err := c.Token(t.Context(), "acme", "u1")
			if err != nil {
				t.Fatal(err)
			}
			v.refuse = code
			c.Drop("acme", "u1", first)
			if _, err := c.Token(t.Context(), "acme", "u1"); errors.Is(err, ErrNone) != gone || err == nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// An address and a way back end after ten minutes, and a consent without a refresh token with its access token.
func TestEnds(t *testing.T) {
	now := time.Now()
	v := &vendor{life: 3600}
	c := replica(t, v, redisStore(t, redistest.Start(t)), func() time.Time { return now })
	address, ends, err := c.LinkTo("acme", "u1", "", "")
	if err != nil || ends.Sub(now) > Life {
		t.Fatalf("%v, %v", ends, err)
	}
	query := must(url.Parse(address)).Query()
	began := now
	now = ends
	if _, _, err := c.Begin(t.Context(), query); !errors.Is(err, ErrLink) {
		t.Errorf("an old address: %v", err)
	}
	now = began
	page, cookie, err := c.Begin(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	back := url.Values{"state": {must(url.Parse(page)).Query().Get("state")}, "code": {"c"}}
	now = began.Add(Life)
	if _, err := c.Finish(t.Context(), back, []*http.Cookie{cookie}); !errors.Is(err, ErrReturn) {
		t.Errorf("an old way back: %v", err)
	}
	now = began
	other := replica(t, v, c.Store, c.Now)
	other.Provider = "another"
	if _, err := other.Finish(t.Context(), back, []*http.Cookie{cookie}); !errors.Is(err, ErrReturn) {
		t.Errorf("at another provider: %v", err)
	}
	if v.asked != 0 {
		t.Errorf("the vendor was asked %d times", v.asked)
	}
	once := record{ID: "a", Access: "x", Issued: began, Expiry: began.Add(time.Hour)}
	if !once.live(began) || once.live(began.Add(time.Hour)) || once.renewable(began) {
		t.Error("a consent without a refresh token")
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
