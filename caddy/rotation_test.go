package alipaycaddy

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/alipayai/tenants"
)

// replace writes a file as careful people do: all of it at once.
func (g *rig) replace(name, content string) {
	g.t.Helper()
	path := filepath.Join(g.vars["dir"], name)
	hidden := filepath.Join(filepath.Dir(path), ".new")
	if err := os.WriteFile(hidden, []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(hidden, path); err != nil {
		g.t.Fatal(err)
	}
}

// TestKeysAreRotatedWithoutReload adds a key to a provider's folder, and then
// one that is no key. How soon a changed file is in use is judged where time is that of a
// bubble: package filewatch's TestKeyRingFollowsItsFolder.
func TestKeysAreRotatedWithoutReload(t *testing.T) {
	var mu sync.Mutex
	var version string
	g := newRig(t, sandbox.Config{
		Apps: []sandbox.App{{ClientID: "app", OAuthSecret: oauthSecret, Keys: map[int][]byte{
			1: []byte("the-first-key-of-three"), 2: []byte("the-second-key-of-three"), 3: []byte("the-third-key-of-three"),
		}}},
		RequestsPerSecond: -1,
		OnRequest: func(r *http.Request, _ []byte) {
			if _, rest, ok := strings.Cut(r.Header.Get("Signature"), "keyVersion="); ok {
				mu.Lock()
				defer mu.Unlock()
				version, _, _ = strings.Cut(rest, ",")
			}
		},
	})
	signsWith := func() string {
		g.chat("hello")
		mu.Lock()
		defer mu.Unlock()
		return version
	}
	t.Setenv("TEST_SECRET", oauthSecret)
	g.file("keys/1", "the-first-key-of-three\n")
	g.load(`
alipayai {
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		keys dir ${dir}/keys
		token http://${api}/oauth2/token {env.TEST_SECRET}
	}
}`, proxySite)
	if got := signsWith(); got != "1" {
		t.Fatalf("signs with version %s", got)
	}
	g.replace("keys/2", "the-second-key-of-three")
	g.eventually("signing with the second key", func() bool { return signsWith() == "2" })

	g.replace("keys/3", "short-key")
	g.eventually("the log to say why the third key is not used", func() bool {
		logs := g.logs()
		return strings.Contains(logs, "new keys are not usable") && strings.Contains(logs, `key file \"3\"`) && strings.Contains(logs, "16 bytes")
	})
	if got := signsWith(); got != "2" {
		t.Errorf("signs with version %s after a bad key came", got)
	}
	if strings.Contains(g.logs(), "short-key") {
		t.Error("the log holds the bad key")
	}
	g.replace("keys/3", "the-third-key-of-three")
	g.eventually("signing with the third key", func() bool { return signsWith() == "3" })
}

// TestStrayFilesDoNotStopRotation leaves in a provider's folder what editors and people leave, before it starts and
// while it runs. Each is warned of once, and new keys sign all the same; what was meant as a key and is none is alerted.
func TestStrayFilesDoNotStopRotation(t *testing.T) {
	keys, s := newCalendarRig(t)
	g := &failoverRig{rig: keys}
	g.file("keys/README", "how keys are named")
	global, n := g.alerting(`
alipayai {
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		keys dir ${dir}/keys
		token http://${api}/oauth2/token {env.TEST_SECRET}
	}
}`)
	_, hash := tenants.NewKey()
	g.file("tenants", "acme "+hash.String()+"\n")
	g.load(global, `
http://${gateway} {
	@tenants path /tenants
	alipayai_auth @tenants {
		file ${dir}/tenants
	}
	alipayai_proxy alipay
}`)
	g.chat("hello")
	for name, content := range map[string]string{"2~": "", "new-key.txt": "k", "#2#": "k", "2.pem.bak": "k", "2.swp": "k"} {
		g.file("keys/"+name, content)
	}
	g.file("keys/2", "")
	g.wantTold(n, "keys_unusable", "trigger alipay")
	if sent := fmt.Sprint(n.at("/webhook")); !strings.Contains(sent, `key file "2"`) {
		t.Errorf("the alert does not name the file: %s", sent)
	}
	g.replace("keys/2", fmt.Sprintf(calendarKey, 2))
	g.eventually("the second key to sign", func() bool { g.chat("hello"); return s.of("completions 2") > 0 })
	g.wantTold(n, "keys_unusable", "trigger alipay", "resolve alipay")
	for _, name := range []string{"README", "2~", "new-key.txt", "#2#", "2.pem.bak", "2.swp"} {
		if times := strings.Count(g.logs(), `"file":"`+name+`"`); times != 1 {
			t.Errorf("%s is warned of %d times", name, times)
		}
	}
	g.replace("tenants", "acme no-hash\n")
	file := filepath.Join(g.vars["dir"], "tenants")
	g.wantTold(n, "keys_unusable", "trigger alipay", "resolve alipay", "trigger "+file)
	g.load(oneProvider, proxySite) // a configuration without them ends it
	g.eventually("the alert to be over", func() bool { return strings.Contains(g.logs(), "the keys of "+file+" are read again") })
}

// TestTenantsAreReadAnew changes the file of keys: one tenant comes, one goes,
// and a damaged file changes nothing.
func TestTenantsAreReadAnew(t *testing.T) {
	g := newRig(t, sandbox.Config{RequestsPerSecond: -1})
	acme, acmeHash := tenants.NewKey()
	zeta, zetaHash := tenants.NewKey()
	fixed, fixedHash := tenants.NewKey()
	status := func(key string) int {
		return g.do("POST", chatPath, chatBody("hello", false), "Authorization: Bearer "+key).status
	}
	g.vars["fixed"] = fixedHash.String()
	g.file("tenants", "# people\nacme "+acmeHash.String()+"\n")
	g.load(oneProvider, `
http://${gateway} {
	alipayai_auth {
		key fixed ${fixed}
		file ${dir}/tenants
	}
	alipayai_proxy alipay
}`)
	if status(acme) != 200 || status(zeta) != 401 || status(fixed) != 200 {
		t.Fatal("the first file is not in use")
	}
	g.replace("tenants", "zeta "+zetaHash.String()+"\n")
	g.eventually("the new tenant", func() bool { return status(zeta) == 200 })
	if status(acme) != 401 {
		t.Error("the removed tenant still has access")
	}
	if n := strings.Count(g.logs(), "keys of tenants are read anew"); n != 1 {
		t.Errorf("the log says %d times that the file was read anew", n)
	}
	g.replace("tenants", "zeta "+aSecret+"\n")
	g.eventually("the log to say why the file is not used", func() bool {
		return strings.Contains(g.logs(), "new keys are not usable") && strings.Contains(g.logs(), "line 1")
	})
	if strings.Contains(g.logs(), aSecret) {
		t.Error("the log holds what was pasted in the place of a hash")
	}
	if status(zeta) != 200 || status(fixed) != 200 {
		t.Error("a damaged file locked tenants out")
	}
}

// TestRefreshTokenSurvivesRestart lets the API rotate the refresh token, stops
// Caddy and starts it again: the first token is dead, so only the stored one
// can be what serves.
func TestRefreshTokenSurvivesRestart(t *testing.T) {
	const first = "the-first-refresh-token"
	var mu sync.Mutex
	var used []string
	g := newRig(t, sandbox.Config{
		Apps: []sandbox.App{{
			ClientID: "app", Keys: map[int][]byte{1: []byte(hmacKey)}, OAuthSecret: oauthSecret, RefreshToken: first,
		}},
		RotateRefreshTokens: true,
		OnRequest: func(_ *http.Request, body []byte) {
			if form, err := url.ParseQuery(string(body)); err == nil && form.Has("refresh_token") {
				mu.Lock()
				defer mu.Unlock()
				used = append(used, form.Get("refresh_token"))
			}
		},
	})
	t.Setenv("TEST_HMAC_KEY", hmacKey)
	t.Setenv("TEST_SECRET", oauthSecret)
	t.Setenv("TEST_REFRESH", first)
	t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
	start := func() {
		g.load(`
storage file_system ${dir}/storage
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		key 1 {env.TEST_HMAC_KEY}
		token http://${api}/oauth2/token {env.TEST_SECRET} {
			refresh_token {env.TEST_REFRESH}
		}
	}
}`, proxySite)
	}
	stop := func() {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		if left := references(); len(left) != 0 {
			t.Fatalf("left in the pool: %v", left)
		}
	}
	for range 3 {
		start()
		g.chat("hello")
		stop()
	}
	if len(used) != 3 || used[0] != first || used[1] == first || used[1] == used[2] {
		t.Fatalf("refresh tokens used: %q", used)
	}
	files := g.storedTokens()
	if len(files) != 1 {
		t.Fatalf("%d files are stored, want 1", len(files))
	}
	for path, content := range files {
		for _, token := range used {
			if bytes.Contains(content, []byte(token)) {
				t.Errorf("%s holds the refresh token %s as it is", path, token)
			}
		}
	}

	t.Run("with another key", func(t *testing.T) {
		t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5b", 32))
		start()
		defer stop()
		g.eventually("the log to say why there is no token", func() bool {
			return strings.Contains(g.logs(), "cannot be decrypted with encryption_key")
		})
	})
	start()
	g.chat("and with the right one again")
}

// storedTokens gives the files that hold refresh tokens, by path.
func (g *rig) storedTokens() map[string][]byte {
	g.t.Helper()
	paths, err := filepath.Glob(filepath.Join(g.vars["dir"], "storage/alipayai/refresh_tokens/*"))
	if err != nil {
		g.t.Fatal(err)
	}
	files := make(map[string][]byte, len(paths))
	for _, path := range paths {
		if files[path], err = os.ReadFile(path); err != nil {
			g.t.Fatal(err)
		}
	}
	return files
}
