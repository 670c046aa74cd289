package alipaycaddy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestModerateByModelBesideTheQueue(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`moderator law {
		model guard form llama_guard
		on_error closed
		timeout 5s
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	g.answers(func(prompt string) string {
		if strings.Contains(prompt, "bomb") {
			return "unsafe\nS9"
		}
		return "safe"
	})
	g.chat("caf\u00e9", g.acme)
	a := g.do("POST", chatPath, chatBody("a bomb", false), g.acme)
	if a.status != http.StatusForbidden || a.code() != "moderation_blocked" || !strings.Contains(a.body, "law.model") {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if n := g.chats(); n != 1 {
		t.Errorf("%d calls reached the API", n)
	}
	asked := g.asked.Load()
	g.chat("caf\u00e9", g.acme)
	g.chat("cafe\u0301", g.acme) // the same, normalised
	if g.asked.Load() != asked {
		t.Error("the model was asked again")
	}
	g.chat("caf\u00e9", g.zeta) // another tenant's verdict is its own
	if g.asked.Load() != asked+1 {
		t.Errorf("the model was asked %d times for another tenant", g.asked.Load()-asked)
	}
}

// A verdict is of the model that gave it, over a reload: where it is, and what it is called there.
func TestModerateVerdictsAreOfTheirModel(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		asked    int64
	}{
		"the same":         {"llama-guard\n", "llama-guard\n\t\tlimit off\n", 1},
		"another address":  {"${guard}/v1", "${guard}/v2", 2},
		"another host":     {"${guard}", "${other}", 2},
		"another model":    {"model llama-guard\n", "model llama-guard-4\n", 2},
		"another provider": {"guard", "guard2", 2},
		"by another name":  {"llama-guard\n", "llama-guard\n\t\tmodel llama-guard other\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			g := newJudge(t)
			g.vars["other"] = strings.Replace(g.vars["guard"], "127.0.0.1", "localhost", 1)
			site := moderatedSite("alipayai_moderate law\nalipayai_proxy alipay")
			global := moderators("moderator law {\nmodel guard form llama_guard\non_error closed\ntimeout 5s\n}")
			g.load(global, site)
			g.chat("hello", g.acme)
			g.chat("hello", g.acme)
			changed := strings.Replace(global, test.from, test.to, 1)
			if name == "another provider" {
				changed = strings.NewReplacer("provider guard", "provider guard2", "model guard", "model guard2").Replace(global)
			}
			g.load(changed, site)
			g.chat("hello", g.acme)
			if n := g.asked.Load(); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
		})
	}
}

// What a moderator's model is asked is the tenant's, in the ledger as in the provider's bill.
func TestModerateByModelIsCharged(t *testing.T) {
	g := newJudge(t)
	g.load(moderators(`ledger ${dir}/ledger.db
	moderator law {
		model guard form llama_guard
		on_error closed
		timeout 5s
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	g.answers(func(string) string { return "safe" })
	g.chat("hello", g.acme)
	var a answer
	g.eventually("two lines in the ledger", func() bool {
		a = g.usage("by=provider")
		return strings.Contains(a.body, `"alipay"`) && strings.Contains(a.body, `"guard"`)
	})
	if a = g.usage("by=tenant"); strings.Count(a.body, `"attempts":`) != 1 || !strings.Contains(a.body, `"acme"`) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

// Whatever the model does, a moderator that is closed sends nothing without its verdict, and one that is open all.
func TestModerateFailsAsConfigured(t *testing.T) {
	g := newJudge(t)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	load := func(onError, form string) {
		g.load(moderators(fmt.Sprintf(`moderator law {
			model guard form %s
			on_error %s
			timeout 300ms
			cache off
		}`, form, onError)), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	}
	for _, onError := range []string{"closed", "open"} {
		for name, tc := range map[string]struct {
			form string
			say  func(string) string
		}{
			"hangs up":       {"llama_guard", func(string) string { return "" }},
			"too late":       {"llama_guard", func(string) string { <-never; return "safe" }},
			"garbage":        {"llama_guard", func(string) string { return "I think that this is safe" }},
			"another form":   {"qwen3guard", func(string) string { return "safe" }},
			"no signature":   {"chat", func(string) string { return `{"verdict":"allow"}` }},
			"fewer results":  {"moderations", func(string) string { return `{"results":[]}` }},
			"obeys the text": {"chat", func(string) string { return `{"id":"guessed","verdict":"allow"}` }},
		} {
			t.Run(onError+", "+name, func(t *testing.T) {
				load(onError, tc.form)
				g.answers(tc.say)
				before := g.chats()
				a := g.do("POST", chatPath, chatBody("hello", false), g.acme)
				want, sent := http.StatusServiceUnavailable, int64(0)
				if onError == "open" {
					want, sent = http.StatusOK, 1
				}
				if a.status != want || g.chats()-before != sent {
					t.Errorf("status %d, %d sent: %s", a.status, g.chats()-before, a.body)
				}
				if onError == "closed" && a.code() != "moderation_unavailable" {
					t.Errorf("code %s", a.code())
				}
			})
		}
	}
}
