package alipaycaddy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// TestSecretsOfFailoverAreNotShown sends alerts that are refused, seals
// evidence, keeps answers in Redis and falls over to an API with a key: what
// Caddy shows has nothing of it, nor has Redis.
func TestSecretsOfFailoverAreNotShown(t *testing.T) {
	const (
		apiKey, refusedKey = "an-anthropic-key-for-tests", "an-anthropic-key-that-is-refused"
		redisPassword      = "a-redis-password-for-tests"
		path               = "an-alert-path-for-tests"
		prompt             = "a-prompt-for-tests"
	)
	encryptionKey := strings.Repeat("5a", 32)
	g := newFailoverRig(t)
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	claude := must(sandbox.New(sandbox.Config{Format: sandbox.Anthropic, Apps: []sandbox.App{{ClientID: "app", APIKey: apiKey}}}))
	upstream := httptest.NewServer(claude)
	t.Cleanup(upstream.Close)
	store := redistest.Start(t, "--requirepass", redisPassword)
	identity := must(age.GenerateX25519Identity())
	g.vars["claude"], g.vars["redis"], g.vars["recipient"] = upstream.Listener.Addr().String(), store.Addr, identity.Recipient().String()
	for name, value := range map[string]string{
		"TEST_HMAC_KEY": hmacKey, "TEST_ENCRYPTION_KEY": encryptionKey, "TEST_REDIS_PASSWORD": redisPassword,
		"TEST_API_KEY": apiKey, "TEST_REFUSED_KEY": refusedKey, "TEST_ROUTING_KEY": aRoutingKey,
		"TEST_WEBHOOK": refusing.URL + "/" + path, "TEST_SLACK": "http://" + g.vars["gone"] + "/" + path,
		"TEST_SHOUTRRR": "generic://" + refusing.Listener.Addr().String() + "/" + path + "?disabletls=yes",
	} {
		t.Setenv(name, value)
	}
	g.load(`
metrics
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	store redis ${redis} {
		password {env.TEST_REDIS_PASSWORD}
	}
	alert webhook {env.TEST_WEBHOOK}
	alert slack {env.TEST_SLACK}
	alert shoutrrr {env.TEST_SHOUTRRR}
	alert pagerduty {env.TEST_ROUTING_KEY} http://`+refusing.Listener.Addr().String()+`/v2/enqueue
	evidence {
		recipient ${recipient}
		dir ${dir}/evidence
	}
	provider alipay {
		profile sandbox
		base_url http://${api}
	}
	provider claude {
		profile anthropic
		base_url http://${claude}/v1
		api_key {env.TEST_API_KEY}
	}
	provider refused {
		profile anthropic
		base_url http://${claude}/v1
		api_key {env.TEST_REFUSED_KEY}
	}
	provider unused {
		profile alipay
		base_url http://${gone}
		client_id app
		key 1 {env.TEST_HMAC_KEY}
		token http://${gone}/oauth2/token {env.TEST_HMAC_KEY}
	}
}`, strings.Replace(failoverSite("cached_answer 1h", "breaker 1 5m"), "alipay claude", "alipay refused claude", 1))
	g.fail(g.api, systemError)
	var shown []string
	show := func(a answer) {
		t.Helper()
		shown = append(shown, a.body)
		for name, values := range a.header {
			shown = append(shown, name+": "+strings.Join(values, ","))
		}
		if a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	call := func(stream bool) {
		t.Helper()
		show(g.do("POST", chatPath, chatBody(prompt, stream), g.acme))
	}
	show(g.keyed("gateway", prompt, g.acme))
	show(g.keyed("gateway", prompt, g.acme))
	call(true)
	call(false)
	if err := claude.SetFaults(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: 529}); err != nil {
		t.Fatal(err)
	}
	call(false) // from the cache
	failed := func() int { return strings.Count(g.logs(), "alert could not be sent") }
	g.eventually("the alerts to be refused", func() bool { return failed() >= 3 })
	g.wantEncrypted(store.Addr, redisPassword, "acme", prompt, "You said", "once")
	g.wantHidden(shown, hmacKey, encryptionKey, redisPassword, apiKey, refusedKey, aRoutingKey, path,
		strings.TrimPrefix(g.acme, "Authorization: Bearer "), sandbox.DemoOAuthSecret, identity.String())
}

// wantEncrypted reads all that Redis holds: none of these words, no key that
// names the tenant, and nothing that stays for ever.
func (g *rig) wantEncrypted(addr, password, tenant string, words ...string) {
	g.t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, Password: password})
	defer client.Close()
	keys := must(client.Keys(g.t.Context(), "*").Result())
	if len(keys) < 3 {
		g.t.Errorf("Redis holds only %q", keys)
	}
	for _, key := range keys {
		dump, err := client.Dump(g.t.Context(), key).Result()
		if errors.Is(err, redis.Nil) {
			continue // its end has come
		}
		held := key + must(dump, err)
		if left := must(client.PTTL(g.t.Context(), key).Result()); left <= 0 && left != -2 { // -2: its end has come
			g.t.Errorf("%q has no end", key)
		}
		if strings.Contains(key, tenant) {
			g.t.Errorf("%q names the tenant", key)
		}
		for _, word := range words {
			if strings.Contains(held, word) {
				g.t.Errorf("%q shows in %q", word, held)
			}
		}
	}
}
