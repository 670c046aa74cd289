package alipayai_test

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/internal/testwait"
)

// rows reads a table of testdata: lines of so many words, of which the last is the rest of the line.
func rows(t *testing.T, name string, words int) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		row := strings.SplitN(line, " ", words)
		if len(row) != words {
			t.Fatalf("%s: %q", name, line)
		}
		lines = append(lines, row)
	}
	return lines
}

// What a vendor throttles is a model or an account: whichever way it says so, another account at the same host is asked at
// once, and the same account for another model where the limit is a model's.
func TestThrottlingOfOneModel(t *testing.T) {
	for _, row := range rows(t, "throttled.txt", 4) {
		name, of, body := row[0], row[1], row[3]
		status, err := strconv.Atoi(row[2])
		if err != nil {
			t.Fatal(err)
		}
		for _, stream := range []bool{false, true} {
			t.Run(strings.Join(row[:3], " ")+", stream "+strconv.FormatBool(stream)+" "+body[:min(len(body), 60)], func(t *testing.T) {
				testwait.Bubble(t, func(t *testing.T) {
					answer := says(status, body, "Retry-After", "30")
					fine, asks := good, func(model string) string {
						return `{"model":"` + model + `","messages":[{"role":"user","content":"hello"}],"stream":` + strconv.FormatBool(stream) + `}`
					}
					if stream {
						fine = streams(nil, deltaEvent, finishEvent, "[DONE]")
						if status == http.StatusOK {
							answer = says(status, "data: "+body+"\n\n", "Content-Type", "text/event-stream", "Retry-After", "30")
						}
					}
					s := perform(t, [][]turn{{answer, fine}, {fine, fine, fine}}, func(g *alipayai.Gateway) {
						for _, p := range g.Providers {
							vendor := profile(t, name)
							p.Profile.Codes, p.Profile.LimitsModels = vendor.Codes, vendor.LimitsModels
							p.BaseURL = g.Providers[0].BaseURL
						}
					})
					for i, call := range []struct{ model, by string }{
						{"a", "second"}, {"b", map[string]string{"model": "first", "account": "second"}[of]}, {"a", "second"},
					} {
						if got := s.call(asks(call.model)); got.status != http.StatusOK || got.header.Get("X-Alipayai-Provider") != call.by {
							t.Errorf("call %d: %d by %s: %s", i+1, got.status, got.header.Get("X-Alipayai-Provider"), got.body)
						}
					}
				})
			})
		}
	}
}
