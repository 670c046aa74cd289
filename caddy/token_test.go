package alipaycaddy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// sharingRig is a rig with a Redis, and what was seen of access tokens upstream.
type sharingRig struct {
	*rig
	redis *redistest.Server

	mu     sync.Mutex
	tokens []string
}

func newSharingRig(t *testing.T) *sharingRig {
	t.Helper()
	g := &sharingRig{redis: redistest.Start(t)}
	g.rig = newRig(t, sandbox.Config{
		Apps: []sandbox.App{{
			ClientID: "app", OAuthSecret: oauthSecret, RefreshToken: "the-first-refresh-token",
			Keys: map[int][]byte{1: []byte(hmacKey)},
		}},
		RotateRefreshTokens: true, RequestsPerSecond: -1,
		OnRequest: func(r *http.Request, _ []byte) {
			if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.tokens = append(g.tokens, token)
			}
		},
	})
	g.vars["redis"] = g.redis.Addr
	t.Setenv("TEST_SECRET", oauthSecret)
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_REFRESH", "the-first-refresh-token")
	t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
	return g
}

// start starts the gateway, with options of its app and of its token, and makes a call.
func (g *sharingRig) start(app, token string) {
	g.t.Helper()
	g.load(`
storage file_system ${dir}/storage
alipayai {
	store redis ${redis}
	`+app+`
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		key 1 {env.TEST_HMAC_KEY}
		limit off
		token http://${api}/oauth2/token {env.TEST_SECRET} {
			scope all
			`+token+`
		}
	}
}`, proxySite)
	g.chat("hello")
}

// stop ends it, so that what starts next is a new replica for all that it knows.
func (g *sharingRig) stop() {
	g.t.Helper()
	if err := caddy.Stop(); err != nil {
		g.t.Fatal(err)
	}
	g.eventually("the last call to give back what it held", func() bool { return len(references()) == 0 })
}

// seen is how many tokens were used.
func (g *sharingRig) seen() (tokens map[string]bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tokens = make(map[string]bool)
	for _, token := range g.tokens {
		tokens[token] = true
	}
	return tokens
}

const withEncryptionKey = "encryption_key {env.TEST_ENCRYPTION_KEY}"

// TestReplicasShareTokens starts a replica after another.
func TestReplicasShareTokens(t *testing.T) {
	tests := map[string]struct {
		app, token string
		want       int64 // fetches of two replicas
		log        string
	}{
		"client_credentials":          {withEncryptionKey, "", 1, ""},
		"refresh_token":               {withEncryptionKey, "refresh_token {env.TEST_REFRESH}", 1, ""},
		"client_credentials, another": {"encryption_key {env.TEST_OTHER_KEY}", "", 2, "do all replicas have the same encryption_key?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			first := tt.app
			if strings.Contains(first, "OTHER") {
				first = withEncryptionKey
			}
			var g *sharingRig
			for range 5 {
				g = newSharingRig(t)
				t.Setenv("TEST_OTHER_KEY", strings.Repeat("a5", 32))
				g.start(first, tt.token)
				g.stop()
				g.start(tt.app, tt.token)
				if !strings.Contains(g.logs(), "access tokens are not shared at present") {
					break
				}
				g.stop() // Redis did not answer in time, on a busy machine: that shows nothing
			}
			if n := g.tokenFetches(); n != tt.want {
				t.Errorf("%d tokens were fetched, want %d", n, tt.want)
			}
			if n := len(g.seen()); n != int(tt.want) {
				t.Errorf("%d tokens were used, want %d", n, tt.want)
			}
			if got := strings.Count(g.logs(), "access token"); tt.log == "" && got > 0 {
				t.Error("the log mentions tokens, although all is well")
			}
			if tt.log != "" && !strings.Contains(g.logs(), tt.log) {
				t.Errorf("the log does not say %q", tt.log)
			}
			g.nothingShows(t)
		})
	}
}

// nothingShows reads all that Redis and the log hold.
func (g *sharingRig) nothingShows(t *testing.T) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: g.redis.Addr})
	defer client.Close()
	all := []string{g.logs()}
	for _, key := range must(client.Keys(t.Context(), "*").Result()) {
		all = append(all, key, must(client.Dump(t.Context(), key).Result()))
		if left := must(client.PTTL(t.Context(), key).Result()); left <= 0 {
			t.Errorf("%s has no end", key)
		}
	}
	everything := strings.Join(all, "\n")
	for _, never := range []string{oauthSecret, hmacKey, "the-first-refresh-token"} {
		if strings.Contains(everything, never) {
			t.Errorf("%s shows", never)
		}
	}
	for token := range g.seen() {
		if strings.Contains(everything, token) {
			t.Errorf("the access token %s shows", token)
		}
	}
}

// TestReplicaWithoutRedisGetsItsOwnToken calls while Redis is gone. How long that takes is tested in package token, in
// simulated time.
func TestReplicaWithoutRedisGetsItsOwnToken(t *testing.T) {
	g := newSharingRig(t)
	g.redis.Kill()
	g.start(withEncryptionKey, "")
	g.eventually("word of it in the log", func() bool {
		return strings.Contains(g.logs(), "access tokens are not shared at present")
	})
	if n := g.tokenFetches(); n != 1 {
		t.Errorf("%d tokens were fetched", n)
	}
}

// TestTokenOutlivesItsConfiguration replaces a configuration while the endpoint is asked for a token: that is shared all the same.
func TestTokenOutlivesItsConfiguration(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, `{"access_token":"access","expires_in":3600}`)
	}))
	t.Cleanup(tokens.Close)
	t.Setenv("TEST_SECRET", oauthSecret)
	g := newSharingRig(t)
	g.vars["tokens"] = tokens.URL
	const app = withEncryptionKey + "\n" + `
	provider other {
		profile alipay
		base_url http://${api}
		client_id other
		key 1 {env.TEST_HMAC_KEY}
		token ${tokens} {env.TEST_SECRET}
	}`
	g.start(app, "")
	<-asked
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	close(answer)
	g.eventually("the end of what the configuration held", func() bool { return len(references()) == 0 })
	g.start(app, "")
	g.stop()
	if len(asked) > 0 || strings.Contains(g.logs(), "not shared") {
		t.Errorf("the endpoint was asked %d times more; %s", len(asked), g.logs())
	}
}

// TestExitKeepsTheNextRefreshToken ends the process, or replaces the configuration, while the endpoint redeems the refresh
// token.
func TestExitKeepsTheNextRefreshToken(t *testing.T) {
	for name, exits := range map[string]bool{"exit": true, "reload": false} {
		t.Run(name, func(t *testing.T) {
			asked, answer := make(chan struct{}), make(chan struct{})
			tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(asked)
				<-answer
				_, _ = io.WriteString(w, `{"access_token":"access","expires_in":3600,"refresh_token":"the-next-refresh-token"}`)
			}))
			t.Cleanup(tokens.Close)
			g := newRig(t, sandbox.Config{})
			g.vars["tokens"] = tokens.URL
			t.Setenv("TEST_SECRET", oauthSecret)
			t.Setenv("TEST_HMAC_KEY", hmacKey)
			t.Setenv("TEST_REFRESH", "the-first-refresh-token")
			t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
			g.load(`
storage file_system ${dir}/storage
alipayai {
	`+withEncryptionKey+`
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id demo
		key 1 {env.TEST_HMAC_KEY}
		token ${tokens} {env.TEST_SECRET} {
			refresh_token {env.TEST_REFRESH}
		}
	}
}`, proxySite)
			<-asked
			must(caddy.ActiveContext().App("alipayai")).(*App).exiting = func() bool { return exits }
			ended := make(chan error, 1)
			go func() { ended <- caddy.Stop() }()
			if exits {
				time.AfterFunc(200*time.Millisecond, func() { close(answer) }) // nothing that it waits for else takes as long
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if kept := len(g.storedTokens()) > 0; kept != exits {
				t.Errorf("kept at the end: %v", kept)
			}
			if !exits {
				close(answer)
				g.eventually("the one that was on its way to be kept", func() bool { return len(g.storedTokens()) > 0 })
			}
		})
	}
}
