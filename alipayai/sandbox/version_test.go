package sandbox

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// Version 2 calls tools with parameters that are named otherwise, and does else what version
// 1 does.
func TestAPIVersion(t *testing.T) {
	for version, want := range map[int]string{0: `{"city":"use the tool"}`, 1: `{"city":"use the tool"}`, 2: `{"city_v2":"use the tool"}`} {
		g := newRig(t, Config{APIVersion: version})
		for _, stream := range []string{"false", "true"} {
			body := `{"model":"alipay-fin-1","messages":[{"role":"user","content":"use the tool"}],"stream":` + stream +
				`,"tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]}`
			quoted, _ := json.Marshal(want)
			resp, err := g.do(g.signed("POST", "/v1/chat/completions", []byte(body)))
			if err != nil {
				t.Fatal(err)
			}
			got := string(g.read(resp, 200, nil))
			if stream == "false" && !strings.Contains(got, string(quoted)) {
				t.Errorf("version %d: %s", version, got)
			}
			if stream == "true" && strings.Contains(got, "_v2") != (version == 2) {
				t.Errorf("version %d: %s", version, got)
			}
		}
	}
	if _, err := New(Config{APIVersion: 3}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "APIVersion 3: want 1 or 2") {
		t.Errorf("version 3: %v", err)
	}
}
