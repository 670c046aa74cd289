package alipaycaddy

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-alipayai/gateway/alipayai/calendar"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// signed counts, by path and version of the key, what has reached the upstream.
type signed struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *signed) see(r *http.Request, _ []byte) {
	_, rest, ok := strings.Cut(r.Header.Get("Signature"), "keyVersion=")
	if !ok {
		return
	}
	version, _, _ := strings.Cut(rest, ",")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[filepath.Base(r.URL.Path)+" "+version]++
}

func (s *signed) of(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[what]
}

const calendarKey = "the-%d-key-of-the-calendar"

// newCalendarRig is a rig whose app has two keys, and a folder with the first.
func newCalendarRig(t *testing.T, variants ...sandbox.Variant) (*rig, *signed) {
	t.Helper()
	s := &signed{count: make(map[string]int)}
	g := newRig(t, sandbox.Config{
		Apps: []sandbox.App{{ClientID: "app", OAuthSecret: oauthSecret, Keys: map[int][]byte{
			1: fmt.Appendf(nil, calendarKey, 1), 2: fmt.Appendf(nil, calendarKey, 2),
		}}},
		RequestsPerSecond: -1, OnRequest: s.see, Variants: variants,
	})
	t.Setenv("TEST_SECRET", oauthSecret)
	t.Setenv("TEST_ENCRYPTION_KEY", strings.Repeat("5a", 32))
	g.file("keys/1-2026-01-01", fmt.Sprintf(calendarKey, 1))
	return g, s
}

// calendarSite is a configuration whose keys have a calendar.
func calendarSite(store string) string {
	return `
storage file_system ${dir}/storage
alipayai {
	encryption_key {env.TEST_ENCRYPTION_KEY}
	` + store + `
	provider alipay {
		profile alipay
		base_url http://${api}
		client_id app
		limit off
		keys dir ${dir}/keys {
			rotate_every 30d
			warn 7d 1d
			check 24h
			activate checked
		}
		token http://${api}/oauth2/token {env.TEST_SECRET}
	}
}`
}

// A key is rotated as an operator does it: a wrong one is put there, then the right one, then the vendor revokes it. Alerts
// and metrics tell what happens, and what is known outlives reloads and the process.
func TestKeyIsRotated(t *testing.T) {
	g, s := newCalendarRig(t)
	load := func() { g.load(calendarSite(""), metricsSite) }
	load()
	g.chat("hello")
	g.eventually("the first key to be checked", func() bool { return s.of("models 1") == 1 })
	g.eventually("the alert that it is overdue", func() bool {
		return strings.Contains(g.logs(), `"kind":"key_overdue"`) && strings.Contains(g.logs(), "key 1 of alipay was to be replaced by 2026-01-31")
	})

	// Whatever an operator may get wrong, calls go on with the first one.
	day := time.Now().UTC().Format(time.DateOnly)
	g.replace("keys/2-"+day, "another-key-than-the-vendors")
	g.eventually("the wrong key to be checked", func() bool { return s.of("models 2") == 1 })
	g.eventually("the alert that it is not taken", func() bool { return strings.Contains(g.logs(), "alipay did not take key 2") })
	load()
	for range 3 {
		g.chat("hello")
	}
	if n := s.of("completions 2"); n != 0 {
		t.Fatalf("%d calls are signed with a key that was not taken", n)
	}

	g.replace("keys/2-"+day, fmt.Sprintf(calendarKey, 2))
	g.eventually("the right key to sign", func() bool { g.chat("hello"); return s.of("completions 2") > 0 })
	g.eventually("the alerts to be over", func() bool {
		return strings.Contains(g.logs(), "the keys of alipay have been replaced") && strings.Contains(g.logs(), "the keys of alipay are taken")
	})
	metrics := g.do("GET", "/metrics", "").body
	for _, want := range []string{
		`caddy_alipayai_key_signs{provider="alipay",version="1"} 0`, `caddy_alipayai_key_signs{provider="alipay",version="2"} 1`,
		`caddy_alipayai_key_taken{provider="alipay",version="2"} 1`, `caddy_alipayai_key_end_timestamp_seconds{provider="alipay"}`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}

	// The vendor refuses the new key: that very call is signed with the last good one.
	before := s.of("completions 1")
	if err := g.api.SetFaults(sandbox.Fault{Kind: sandbox.HTTPStatus, Status: http.StatusUnauthorized, Code: "INVALID_SIGNATURE", Times: 1, Path: chatPath}); err != nil {
		t.Fatal(err)
	}
	if a := g.chat("hello"); a.status != http.StatusOK {
		t.Errorf("the call ended with %d", a.status)
	}
	if s.of("completions 1") != before+1 {
		t.Error("the call was not signed with the first key")
	}
	g.eventually("the alert that it is refused", func() bool { return strings.Contains(g.logs(), "alipay refuses key 2") })
	asked := s.of("models 2")
	load()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	load()
	signedBefore := s.of("completions 2")
	g.chat("hello")
	if s.of("completions 2") != signedBefore || s.of("models 2") != asked {
		t.Error("a restart forgot that the key is refused")
	}
}

// Replicas ask once for all of them, and the record is in Redis.
func TestKeysOfReplicas(t *testing.T) {
	g, s := newCalendarRig(t)
	g.vars["redis"] = redistest.Start(t).Addr
	global := calendarSite("store redis ${redis}")
	g.load(global, proxySite)
	g.eventually("the first key to be checked", func() bool { return s.of("models 1") == 1 })
	kill := (&failoverRig{rig: g}).startReplica(global, proxySite)
	defer kill()
	g.chat("hello")
	if n := s.of("models 1"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if files, _ := filepath.Glob(filepath.Join(g.vars["dir"], "storage/alipayai/keys/*")); len(files) != 0 {
		t.Errorf("the record is in %v", files)
	}
}

// With Caddy's storage a record waits for the one who has its lock, and is nothing before it is kept.
func TestStoredKeys(t *testing.T) {
	g, _ := newCalendarRig(t)
	g.load(calendarSite(""), proxySite)
	var files []string
	g.eventually("the record to be kept", func() bool {
		files, _ = filepath.Glob(filepath.Join(g.vars["dir"], "storage/alipayai/keys/*.json"))
		return len(files) == 1
	})
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	r, err := calendar.ParseRecord(content)
	if err != nil || len(r.Keys) != 1 || strings.Contains(string(content), "key-of-the-calendar") {
		t.Errorf("kept is %s, %v", content, err)
	}
}

// With Redis killed a new key is checked and signs, and the others learn of it when Redis is back with what it had.
func TestKeysWithoutRedis(t *testing.T) {
	g, s := newCalendarRig(t)
	server := redistest.Start(t, onDisk...)
	g.vars["redis"] = server.Addr
	global := calendarSite("store redis ${redis}")
	g.load(global, proxySite)
	g.eventually("the first key to be checked", func() bool { return s.of("models 1") == 1 })
	server.Kill()
	second := "keys/2-" + time.Now().UTC().Format(time.DateOnly)
	g.replace(second, fmt.Sprintf(calendarKey, 2))
	g.eventually("the second key to sign", func() bool { g.chat("hello"); return s.of("completions 2") > 0 })
	if out := g.command("calendar"); !strings.Contains(out, "alipay: key 2 signs") || !strings.Contains(out, "the store does not answer") {
		t.Errorf("the calendar is\n%s", out)
	}
	server.Restart()
	path := filepath.Join(g.vars["dir"], second)
	if err := os.Rename(path, path+".pem"); err != nil { // by which the keeper looks at once
		t.Fatal(err)
	}
	g.eventually("the record to be shared", func() bool { return !strings.Contains(g.command("calendar"), "the store does not answer") })
	kill := (&failoverRig{rig: g}).startReplica(global, proxySite)
	defer kill()
	before := s.of("completions 2")
	if a := g.read(g.send("second", "POST", chatPath, chatBody("hello", false))); a.status != http.StatusOK || s.of("completions 2") != before+1 {
		t.Errorf("the other replica does not sign with the second key: %d %s", a.status, a.body)
	}
	if s.of("models 1") != 1 || s.of("models 2") != 1 {
		t.Errorf("asked %d and %d times", s.of("models 1"), s.of("models 2"))
	}
}

// A check asks with the key that a gateway signs with, which is not the newest where that one was not taken, and says so: also
// when it tries other options.
func TestCheckAsksWithTheKeyInUse(t *testing.T) {
	for name, tt := range map[string]struct {
		variants []sandbox.Variant
		option   string // that the gateway has and the check finds
		flags    []string
	}{
		"as it is":         {},
		"probing":          {flags: []string{"--probe-signature"}},
		"another layout":   {[]sandbox.Variant{sandbox.VariantLayout}, signedLines, []string{"--probe-signature"}},
		"another path too": {[]sandbox.Variant{sandbox.VariantLayout, sandbox.VariantPaths}, signedLines + "\npath models /api/v1/models\npath chat /api/v1/chat/completions", []string{"--probe-signature"}},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := newCalendarRig(t, tt.variants...)
			site := func(option string) string {
				return strings.Replace(calendarSite(""), "client_id app", "client_id app\n"+option, 1)
			}
			g.load(site(tt.option), metricsSite)
			g.chat("hello")
			g.replace("keys/2-2026-01-02", "another-key-than-the-vendors")
			g.eventually("the alert that it is not taken", func() bool { return strings.Contains(g.logs(), "alipay did not take key 2") })
			if err := caddy.Stop(); err != nil { // what is known is in the storage
				t.Fatal(err)
			}
			config := g.file("check.json", string(g.config(site(""), metricsSite)))
			output, err := runCommand(t, append([]string{"check", "--config", config}, tt.flags...)...)
			if (err == nil) != (tt.option == "") || !strings.Contains(output, "signed by key 1 is") {
				t.Errorf("%v\n%s", err, output)
			}
			for line := range strings.Lines(tt.option) {
				if !strings.Contains(output, strings.TrimSpace(line)) {
					t.Errorf("%s is not found\n%s", line, output)
				}
			}
		})
	}
}
