package price

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What users of other gateways have reported of price files: names under which a model is asked for and does not stand in the
// file, and entries that say of a price what is none. The amounts are in millionths; -1 for a price that is not known.
func TestPublicReportsOfPriceFiles(t *testing.T) {
	const flat = `"mode":"chat","input_cost_per_token":1e-6,"output_cost_per_token":10e-6`
	openai := func(name string) string { return `{"` + name + `":{"litellm_provider":"openai",` + flat + `}}` }
	claude := func(members string) string {
		return `{"claude-opus-5":{"litellm_provider":"anthropic",` + flat + members + `}}`
	}
	used := Used{Prompt: 100, Completion: 10}
	for source, tt := range map[string]struct {
		file, vendor, model string
		used                Used
		want                Amount
	}{
		// Names.
		"https://github.com/AgentOps-AI/tokencost/pull/27": {openai("ft:gpt-3.5-turbo"), "openai", "ft:gpt-3.5-turbo:my-org:custom_suffix:id", used, 200},
		"https://github.com/BerriAI/litellm/issues/20411":  {openai("ft:gpt-4o-mini-2024-07-18"), "openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123", used, 200},
		"a checkpoint": {openai("ft:gpt-4o-mini-2024-07-18"), "openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123:ckpt-step-90", used, 200},
		"tuned, where the file has the untuned one alone":   {openai("gpt-4o-mini-2024-07-18"), "openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123", used, -1},
		"https://github.com/BerriAI/litellm/pull/42467":     {claude(""), "anthropic", "claude-opus-5-20250930", used, 200},
		"https://github.com/comet-ml/opik/pull/8139":        {openai("gpt-5.2"), "openai", "gpt-5.2-2025-12-17", used, 200},
		"https://github.com/pydantic/pydantic-ai/pull/4877": {`{"openrouter/openai/gpt-5.2":{"litellm_provider":"openrouter",` + flat + `}}`, "openrouter", "openai/gpt-5.2-20251211", used, 200},
		"the version itself comes first":                    {`{"m":{"litellm_provider":"x",` + flat + `},"m-2024-05-13":{"litellm_provider":"x","input_cost_per_token":2e-6}}`, "x", "m-2024-05-13", Used{Prompt: 100}, 200},
		"a name that ends in other digits":                  {openai("gpt-5"), "openai", "gpt-5-32", used, -1},
		"a name that ends in no day":                        {openai("gpt-5"), "openai", "gpt-5-20259930", used, -1},
		"a family of another vendor":                        {claude(""), "openai", "claude-opus-5-20250930", used, -1},
		"https://github.com/comet-ml/opik/issues/5621":      {openai("gpt-4o"), "", "openai/gpt-4o", used, 200},
		"a prefix and a day":                                {claude(""), "", "anthropic/claude-opus-5-20250930", used, 200},
		"a prefix of another vendor":                        {openai("gpt-4o"), "", "azure/gpt-4o", used, -1},
		"a prefix of nothing":                               {openai("gpt-4o"), "", "/gpt-4o", used, -1},
		"its own vendor's prefix":                           {openai("gpt-4o"), "openai", "openai/gpt-4o", used, 200},
		"https://github.com/junhoyeo/tokscale/issues/831":   {openai("gpt-5.5"), "", "cx/gpt-5.5", used, -1}, // whose prices cx has is not known
		"https://ai.google.dev/api/models":                  {`{"gemini/gemini-2.5-flash":{"litellm_provider":"gemini",` + flat + `}}`, "gemini", "models/gemini-2.5-flash", used, 200},
		// Values.
		"https://github.com/Kilo-Org/kilocode/pull/13040":  {`{"auto":{"litellm_provider":"x","input_cost_per_token":-1,"output_cost_per_token":-1}}`, "x", "auto", used, -1},
		"https://github.com/dcouple/Pane/issues/534":       {`{"auto":{"litellm_provider":"x",` + flat + `,"cache_read_input_token_cost":"-1"}}`, "x", "auto", used, -1},
		"a text that is a number":                          {`{"m":{"litellm_provider":"x","input_cost_per_token":"0.000001","output_cost_per_token":"1e-05"}}`, "x", "m", used, 200},
		"a text that is none":                              {`{"m":{"litellm_provider":"x","input_cost_per_token":1e-6,"output_cost_per_token":"free"}}`, "x", "m", used, -1},
		"https://github.com/coder/coder/pull/27926":        {`{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":1e-6,"output_cost_per_token":null}}`, "x", "m", used, -1},
		"no price of an answer":                            {`{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":1e-6}}`, "x", "m", used, -1},
		"no price of a prompt":                             {`{"m":{"litellm_provider":"x","mode":"chat","output_cost_per_token":1e-6}}`, "x", "m", used, -1},
		"https://github.com/junhoyeo/tokscale/pull/1069":   {`{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":0.0,"output_cost_per_token":0}}`, "x", "m", used, 0},
		"https://github.com/openclaw/openclaw/pull/111175": {`{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":null,"output_cost_per_token":null}}`, "x", "m", used, -1},
		"embeddings have no answer":                        {`{"m":{"litellm_provider":"x","mode":"embedding","input_cost_per_token":1e-6}}`, "x", "m", Used{Prompt: 100}, 100},
		"a part without a price":                           {`{"m":{"litellm_provider":"x",` + flat + `,"cache_read_input_token_cost":null}}`, "x", "m", Used{Prompt: 100, Cached: 100}, 100},
		"DeepSeek's word for what is cached":               {`{"m":{"litellm_provider":"x",` + flat + `,"input_cost_per_token_cache_hit":0.1e-6}}`, "x", "m", Used{Prompt: 100, Cached: 100}, 10},
		"both words":                                       {`{"m":{"litellm_provider":"x",` + flat + `,"input_cost_per_token_cache_hit":0.2e-6,"cache_read_input_token_cost":0.1e-6}}`, "x", "m", Used{Prompt: 100, Cached: 100}, 10},
		"a length with a price that is none":               {`{"m":{"litellm_provider":"x",` + flat + `,"input_cost_per_token_above_200k_tokens":-1}}`, "x", "m", used, -1},
		"ranges in another order": {`{"m":{"litellm_provider":"x","tiered_pricing":[{"range":[1e3,2e3],"input_cost_per_token":3e-6},` +
			`{"range":[50,1e3],"input_cost_per_token":2e-6},{"range":[0,50],"input_cost_per_token":1e-6}]}}`, "x", "m", Used{Prompt: 100}, 200},
		"no ranges":                      {`{"m":{"litellm_provider":"x",` + flat + `,"tiered_pricing":[]}}`, "x", "m", used, -1},
		"a range of nothing":             {`{"m":{"litellm_provider":"x","tiered_pricing":[{"range":[],"input_cost_per_token":1e-6}]}}`, "x", "m", used, -1},
		"a range below nothing":          {`{"m":{"litellm_provider":"x","tiered_pricing":[{"range":[-1],"input_cost_per_token":1e-6}]}}`, "x", "m", used, -1},
		"a range from a part of a token": {`{"m":{"litellm_provider":"x","tiered_pricing":[{"range":[0.5],"input_cost_per_token":1e-6}]}}`, "x", "m", used, -1},
		"a range beyond all prompts":     {`{"m":{"litellm_provider":"x","tiered_pricing":[{"range":[1e300],"input_cost_per_token":1e-6}]}}`, "x", "m", used, -1},
		"a request for no price":         {`{"m":{"litellm_provider":"x",` + flat + `,"input_cost_per_request":-1}}`, "x", "m", used, -1},
		"a search for no price":          {`{"m":{"litellm_provider":"x",` + flat + `,"search_context_cost_per_query":{"search_context_size_low":-1}}}`, "x", "m", used, -1},
		"thinking that is cheaper":       {`{"m":{"litellm_provider":"x",` + flat + `,"output_cost_per_reasoning_token":1e-6}}`, "x", "m", used, 200},
		"thinking alone has a price":     {`{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":1e-6,"output_cost_per_reasoning_token":1e-6}}`, "x", "m", used, -1},
		"Google's prefix at another":     {openai("gpt-4o"), "openai", "models/gpt-4o", used, -1},
		"two lengths": {`{"m":{"litellm_provider":"x",` + flat + `,"input_cost_per_token_above_1k_tokens":3e-6,"input_cost_per_token_above_2k_tokens":5e-6,"input_cost_per_token_above_4k_tokens":7e-6}}`,
			"x", "m", Used{Prompt: 3000}, 15_000},
		"a length that is none": {`{"m":{"litellm_provider":"x",` + flat + `,"input_cost_per_token_above_0k_tokens":3e-6,"input_cost_per_token_above_99999999999k_tokens":3e-6,` +
			`"input_cost_per_token_above_-1k_tokens":3e-6,"input_cost_per_token_above_1k_words":3e-6}}`, "x", "m", used, 200},
		"by request and by answers":              {`{"m":{"litellm_provider":"x","mode":"chat","output_cost_per_token":1e-6,"input_cost_per_request":0.01}}`, "x", "m", used, -1},
		"by request and by prompts":              {`{"m":{"litellm_provider":"x","mode":"chat","input_cost_per_token":1e-6,"input_cost_per_request":0.01}}`, "x", "m", used, -1},
		"a range without a price of its answers": {`{"m":{"litellm_provider":"x","mode":"chat","tiered_pricing":[{"range":[0,1e3],"input_cost_per_token":1e-6}]}}`, "x", "m", used, -1},
	} {
		t.Run(source, func(t *testing.T) {
			file := strings.Replace(tt.file, "{", `{"other":{"litellm_provider":"y","input_cost_per_token":1},`, 1)
			for range 8 { // in whichever order the members of an object are read
				f, err := ParseFile([]byte(file))
				if err != nil {
					t.Fatal(err)
				}
				got := Amount(-1000)
				if p := f.Of(tt.vendor, tt.model); p != nil {
					got = p.Of(tt.used).Amount
				}
				if got != tt.want*1000 {
					t.Fatalf("%d, want %d", got, tt.want*1000)
				}
			}
		})
	}
}

// What a model costs by where it was processed, how fast, and what it searches without counting it.
func TestPublicReportsOfMultipliers(t *testing.T) {
	f, err := ParseFile([]byte(`{
		"claude-opus-5": {"litellm_provider":"anthropic","input_cost_per_token":5e-6,"output_cost_per_token":25e-6,"cache_read_input_token_cost":0.5e-6,
			"input_cost_per_token_above_200k_tokens":10e-6,"provider_specific_entry":{"us":1.1,"fast":6.0,"note":"of a text"}},
		"gpt-own-fast": {"litellm_provider":"openai","input_cost_per_token":5e-6,"output_cost_per_token":25e-6,"provider_specific_entry":{"fast":2}},
		"gpt-4o-mini-search-preview": {"litellm_provider":"openai","input_cost_per_token":1e-6,"output_cost_per_token":1e-6,"search_context_cost_per_query":{"search_context_size_low":0.025,"search_context_size_high":0.03}},
		"gpt-5": {"litellm_provider":"openai","input_cost_per_token":1e-6,"output_cost_per_token":1e-6,"search_context_cost_per_query":{"search_context_size_low":0.01}},
		"perplexity/sonar": {"litellm_provider":"perplexity","input_cost_per_token":1e-6,"output_cost_per_token":1e-6,"search_context_cost_per_query":{"search_context_size_low":0.005}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	used := Used{Prompt: 100, Cached: 50, Completion: 10}
	for source, tt := range map[string]struct {
		vendor, model, tier, region string
		used                        Used
		want                        Amount // millionths
	}{
		"as always": {"anthropic", "claude-opus-5", "", "", used, 250 + 25 + 250},
		"https://github.com/anthropics/claude-code/issues/60641": {"anthropic", "claude-opus-5", "", "us", Used{Prompt: 100, Completion: 20}, 550 + 550},
		"https://github.com/maximhq/bifrost/pull/5088":           {"anthropic", "claude-opus-5", "", "us", Used{Prompt: 100, Cached: 100, Completion: 20}, 55 + 550},
		"anywhere": {"anthropic", "claude-opus-5", "", "global", used, 250 + 25 + 250},
		"https://github.com/BerriAI/litellm/pull/38342":          {"anthropic", "claude-opus-5", "fast", "", used, 6 * (250 + 25 + 250)},
		"https://github.com/latitude-dev/latitude-llm/pull/4348": {"anthropic", "claude-opus-5", "fast", "us", Used{Prompt: 100, Completion: 20}, 6 * (550 + 550)},
		"a long prompt": {"anthropic", "claude-opus-5", "", "us", Used{Prompt: 200_001}, 200_001 * 11},
		"fast, of a vendor that has no such tier":            {"openai", "gpt-own-fast", "fast", "", used, 2 * (500 + 250)},
		"https://github.com/QuantumNous/new-api/issues/1108": {"openai", "gpt-4o-mini-search-preview", "", "", Used{Prompt: 100}, 100 + 30_000},
		"counted as well": {"openai", "gpt-4o-mini-search-preview", "", "", Used{Prompt: 100, Searches: 2}, 100 + 60_000},
		"https://github.com/BerriAI/litellm/issues/10384":           {"openai", "gpt-5", "", "", Used{Prompt: 100}, 100},
		"https://github.com/perplexityai/api-discussion/issues/214": {"", "perplexity/sonar", "", "", Used{Prompt: 100}, 100 + 5000},
	} {
		t.Run(source, func(t *testing.T) {
			p, known := f.Of(tt.vendor, tt.model).In(tt.tier)
			if got := p.Within(tt.region).Of(tt.used).Amount; got != tt.want*1000 || !known {
				t.Errorf("%d, known %t, want %d", got, known, tt.want*1000)
			}
			bound := p.Bound(Asked{Bytes: tt.used.Prompt, MaxTokens: max(tt.used.Completion, 1)})
			if got := p.Within(tt.region).Of(Used{Prompt: tt.used.Prompt, Completion: tt.used.Completion}).Amount; got > bound {
				t.Errorf("it costs %d, more than its bound of %d", got, bound)
			}
		})
	}
}

// What a faster tier costs is held back for calls that ask for it alone, and a tier without a price of long prompts has the dearer one
// of what the file says.
func TestTiersOfServiceByThemselves(t *testing.T) {
	f, err := ParseFile([]byte(`{
		"fast": {"litellm_provider":"x","input_cost_per_token":5e-6,"output_cost_per_token":25e-6,"provider_specific_entry":{"fast":2}},
		"m": {"litellm_provider":"x","input_cost_per_token":1e-6,"input_cost_per_token_priority":9e-6,"input_cost_per_token_above_1k_tokens":2e-6},
		"longest": {"litellm_provider":"x","input_cost_per_token":1e-6,"max_output_tokens":-5,"max_tokens":77},
		"legacy": {"litellm_provider":"x","input_cost_per_token":1e-6,"max_output_tokens":"see max_tokens","max_tokens":1125899906842624},
		"beyond": {"litellm_provider":"x","input_cost_per_token":1e-6,"max_output_tokens":1125899906842625,"max_tokens":99999999999999999999}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Of("x", "fast").Bound(Asked{Bytes: 100, MaxTokens: 10}); got != 750_000 {
		t.Errorf("a call of no tier costs %d at most, want 750000", got)
	}
	if p, _ := f.Of("x", "m").In("priority"); p.Of(Used{Prompt: 2000}).Amount != 2000*9000 {
		t.Errorf("a long prompt of a dearer tier costs %d, want %d", p.Of(Used{Prompt: 2000}).Amount, 2000*9000)
	}
	if _, known := f.Of("x", "fast").In("priority"); known {
		t.Error("a tier that the file has no price of has one")
	}
	for model, want := range map[string]int64{"longest": 77, "legacy": most, "beyond": 0, "fast": 0} {
		if got := f.Of("x", model).MaxTokens; got != want {
			t.Errorf("%s: the longest answer is %d, want %d", model, got, want)
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{large: "is larger than 32 MiB", large + "r": "no such file", filepath.Dir(large): "is a directory"} {
		if _, err := LoadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	_, err := ParseFile([]byte(`{"m":{"litellm_provider":"x","input_cost_per_token":1e-6,"search_context_cost_per_query":{"low":1e-12}}}`))
	if err == nil || !strings.Contains(err.Error(), "search_context_cost_per_query: low 1e-12 is finer") {
		t.Errorf("a search's price that is finer than what is counted: %v", err)
	}
}

// What a vendor says that it has charged is a float, which is rounded up where it is finer than what is counted.
func TestChargedAmounts(t *testing.T) {
	for text, want := range map[string]Amount{ // -1 for an error
		"0": 0, "0.95": 950_000_000, "0.00000812": 8120, "1.4000000000000001e-04": 140_001, "1e-12": 1, "0.0000000001": 1, "12.5": 12_500_000_000,
		"9223372036.854775807": MaxAmount, "9223372036.8547758071": MaxAmount, "9223372037": -1, "-1": -1, "": -1, "free": -1,
		"1e-100": 1, "1e-101": -1, "1e-9223372036854775808": -1, "1e9223372036854775807": -1, "10e9223372036854775800": -1,
	} {
		got, err := ParseCharged(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
}
