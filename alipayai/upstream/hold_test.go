package upstream

import (
	"strconv"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/limiter"
)

// TestThrottledBelongs holds whom a throttling silences: the model where the vendor counts by model, else the account;
// never what another account of the host has.
func TestThrottledBelongs(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		profile     string
		model       string
		same, other bool
	}{
		"openai":         {"openai", "a", true, false},
		"openrouter":     {"openrouter", "a", true, false},
		"anthropic":      {"anthropic", "a", true, false},
		"qwen":           {"qwen", "a", true, false},
		"deepseek":       {"deepseek", "a", true, true},
		"mistral":        {"mistral", "a", true, true},
		"model unknown":  {"openai", "", true, true},
		"litellm, model": {"litellm", "a", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := LookupProfile(test.profile)
			if err != nil {
				t.Fatal(err)
			}
			p := &Provider{Profile: profile, Hold: new(Hold)}
			p.Throttled(now, time.Minute, test.model)
			if held := p.Held(now.Add(30*time.Second), "a") == 30*time.Second; held != test.same {
				t.Errorf("the model itself is held: %t", held)
			}
			if held := p.Held(now, "b") > 0; held != test.other {
				t.Errorf("another model is held: %t", held)
			}
			if left := p.Held(now.Add(time.Minute), "a"); left != 0 {
				t.Errorf("still held for %v", left)
			}
			if other := (&Provider{Profile: profile, Hold: new(Hold)}); other.Held(now, "a") != 0 {
				t.Error("another account is held")
			}
		})
	}
}

// TestThrottledWindow holds that the window of a host, which accounts without a client id share, stays open for the others.
func TestThrottledWindow(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		profile, clientID string
		closes            bool
	}{
		"signed":          {"alipay", "app", true},
		"a fixed key":     {"deepseek", "", false},
		"fixed, by model": {"openai", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := LookupProfile(test.profile)
			if err != nil {
				t.Fatal(err)
			}
			window := limiter.NewMemoryWindow(time.Now)
			limit := limiter.Limit{Requests: 50, Per: time.Second}
			p := &Provider{Profile: profile, ClientID: test.clientID, Hold: new(Hold), Cap: &Cap{Limit: limit, Window: window, Queue: limiter.NewQueue(window, time.Now)}}
			p.Throttled(now, time.Minute, "a")
			if closed := time.Until(window.Next(limit, now)) > 30*time.Second; closed != test.closes {
				t.Errorf("the window is closed: %t", closed)
			}
			if held := p.Held(now, "a") > 0; held == test.closes {
				t.Errorf("held: %t", held)
			}
		})
	}
}

// TestHeldModelsAreBounded holds that names which clients choose take no more than so much room.
func TestHeldModelsAreBounded(t *testing.T) {
	h, now := new(Hold), time.Now()
	for i := range 3 * maxHeldModels {
		h.ExtendModel(now, time.Minute, strconv.Itoa(i))
	}
	if len(h.models) != maxHeldModels {
		t.Errorf("%d models are held", len(h.models))
	}
	later := now.Add(2 * time.Minute)
	h.ExtendModel(later, time.Minute, "late")
	if len(h.models) != 1 || h.LeftModel(later, "late") != time.Minute {
		t.Errorf("%d models, %v", len(h.models), h.LeftModel(later, "late"))
	}
}
