package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// A moderator answers POST /v1/moderations itself: a result for each input, by its rules and then by its model.
func TestModerations(t *testing.T) {
	g := newJudge(t)
	g.answers(func(prompt string) string {
		if strings.Contains(prompt, "weapon") {
			return "unsafe\nS1"
		}
		return "safe"
	})
	g.load(moderators(`moderator law {
		words 稳赚不赔
		model guard form llama_guard
		on_error closed
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	for name, test := range map[string]struct {
		input   string
		flagged string // a letter for each result: r by rules, m by the model, - not at all
		asked   int64
	}{
		"string":             {`"hello"`, "-", 1},
		"by a rule":          {`"稳赚不赔"`, "r", 0},
		"by a rule, escaped": {`"\u7a33\u8d5a不赔"`, "r", 0},
		"by the model":       {`"a weapon"`, "m", 1},
		"several":            {`["first","稳赚不赔","second weapon",""]`, "-rm-", 3},
		"parts":              {`[{"type":"text","text":"稳赚"},{"type":"text","text":"不赔"}]`, "r", 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := g.asked.Load()
			a := g.do("POST", "/v1/moderations", `{"input":`+test.input+`}`, g.acme)
			var got struct {
				ID, Model string
				Results   []struct {
					Flagged    bool
					Categories map[string]bool
					Scores     map[string]float64  `json:"category_scores"`
					Applied    map[string][]string `json:"category_applied_input_types"`
				}
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK || got.Model != "law" || got.ID != "modr-"+a.header.Get("X-Request-Id") || !strings.HasPrefix(got.ID, "modr-req_") {
				t.Fatalf("status %d: %s", a.status, a.body)
			}
			var flagged strings.Builder
			for _, r := range got.Results {
				by := "-"
				switch {
				case r.Categories["law"]:
					by = "r"
				case r.Categories["law.model"]:
					by = "m"
				}
				flagged.WriteString(by)
				if r.Flagged != (by != "-") || len(r.Scores) != len(r.Categories) || len(r.Applied) != len(r.Categories) {
					t.Errorf("result %+v", r)
				}
				for _, c := range []string{"hate", "self-harm/intent", "illicit/violent"} {
					if v, ok := r.Categories[c]; !ok || v {
						t.Errorf("category %s is %v, %v", c, v, ok)
					}
				}
			}
			if flagged.String() != test.flagged || g.asked.Load()-before != test.asked {
				t.Errorf("flagged %s, want %s; the model was asked %d times, want %d", flagged.String(), test.flagged, g.asked.Load()-before, test.asked)
			}
		})
	}
	for name, test := range map[string]struct{ body, code string }{
		"none":         {`{"model":"m"}`, "missing_required_parameter"},
		"no texts":     {`{"input":[]}`, "empty_array"},
		"number":       {`{"input":471147114711}`, "invalid_type"},
		"numbers":      {`{"input":[471147114711]}`, "invalid_value"},
		"image":        {`{"input":[{"type":"image_url","image_url":{"url":"https://example.com/secret"}}]}`, "invalid_value"},
		"mixed":        {`{"input":["a",{"type":"text","text":"b"}]}`, "invalid_value"},
		"more than 64": {`{"input":["a"` + strings.Repeat(`,"a"`, 64) + `]}`, "invalid_value"},
		"twice":        {`{"input":"a","input":"b"}`, "duplicate_key"},
	} {
		t.Run(name, func(t *testing.T) {
			a := g.do("POST", "/v1/moderations", test.body, g.acme)
			if a.status != http.StatusBadRequest || a.code() != test.code || strings.Contains(a.body, "secret") || strings.Contains(a.body, "471147114711") {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	g.answers(func(string) string { return "" })
	if a := g.do("POST", "/v1/moderations", `{"input":"unseen"}`, g.acme); a.status != http.StatusServiceUnavailable || a.code() != "moderation_unavailable" {
		t.Errorf("without its model: status %d: %s", a.status, a.body)
	}
	if n := g.chats() + g.api.Stats().Paths["/v1/moderations"]; n != 0 {
		t.Errorf("%d requests reached the provider", n)
	}
}

// A model of form moderations is asked about the inputs of one request together, but for those that a rule flags or that it has
// judged before.
func TestModerationsTogether(t *testing.T) {
	g := newJudge(t)
	g.answers(func(prompt string) string {
		var results []string
		for text := range strings.SplitSeq(prompt, "\n") {
			results = append(results, fmt.Sprintf(`{"flagged":%t}`, strings.Contains(text, "weapon")))
		}
		return `{"results":[` + strings.Join(results, ",") + `]}`
	})
	g.load(moderators(`moderator law {
		words 稳赚不赔
		model guard form moderations
		on_error closed
	}`), moderatedSite("alipayai_moderate law\nalipayai_proxy alipay"))
	for _, test := range []struct {
		input, flagged string
		asked          int64 // in all
	}{
		{`["first","稳赚不赔","second weapon","third"]`, "false true true false", 1},
		{`["third","second weapon"]`, "false true", 1},
		{`["fourth","second weapon","a fifth weapon"]`, "false true true", 2},
	} {
		a := g.do("POST", "/v1/moderations", `{"input":`+test.input+`}`, g.acme)
		var got struct{ Results []struct{ Flagged bool } }
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		var flagged []string
		for _, r := range got.Results {
			flagged = append(flagged, strconv.FormatBool(r.Flagged))
		}
		if strings.Join(flagged, " ") != test.flagged || g.asked.Load() != test.asked {
			t.Errorf("%s: flagged %v, want %s; the model was asked %d times, want %d", test.input, flagged, test.flagged, g.asked.Load(), test.asked)
		}
	}
}
