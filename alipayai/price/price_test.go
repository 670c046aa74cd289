package price

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCharge(t *testing.T) {
	cached, written, hour, audioIn, audioOut := PerToken(2e9), PerToken(30e9), PerToken(50e9), PerToken(80e9), PerToken(90e9)
	caches := Rates{Input: 10e9, Output: 20e9, Cached: &cached, Written: &written, WrittenHour: &hour}
	sounds := Rates{Input: 10e9, Output: 20e9, Cached: &cached, AudioIn: &audioIn, AudioOut: &audioOut, ImageIn: &written, ImageOut: &hour}
	alipay := Price{Currency: "CNY", Rates: Rates{Input: 24e9, Output: 72e9}, MinCharacters: 5000}
	for name, tt := range map[string]struct {
		price Price
		used  Used
		want  Charge
	}{
		"nothing":                   {Price{}, Used{}, Charge{}},
		"below the minimum":         {alipay, Used{Prompt: 1, Completion: 2, Characters: 3}, Charge{Amount: 1250*24e3 + 2*72e3, Floor: 1249 * 24e3, Characters: 5000, Tokens: 1250}},
		"just the minimum":          {alipay, Used{Prompt: 1200, Characters: 5000}, Charge{Amount: 1200 * 24e3, Characters: 5000, Tokens: 1200}},
		"dense, below the minimum":  {alipay, Used{Prompt: 4000, Characters: 4999}, Charge{Amount: 4000 * 24e3, Characters: 5000, Tokens: 4000}},
		"above":                     {alipay, Used{Prompt: 2000, Completion: 10, Characters: 9000}, Charge{Amount: 2000*24e3 + 10*72e3, Characters: 9000, Tokens: 2000}},
		"minimum in tokens":         {Price{Rates: Rates{Input: 1e9}, MinTokens: 100}, Used{Prompt: 40, Characters: 7}, Charge{Amount: 100e3, Floor: 60e3, Characters: 7, Tokens: 100}},
		"by request":                {Price{Request: 5}, Used{Prompt: 9}, Charge{Amount: 5, Tokens: 9}},
		"cached":                    {Price{Rates: Rates{Input: 10e9, Cached: &cached, Written: &written}}, Used{Prompt: 100, Cached: 60, Written: 30}, Charge{Amount: 10*10e3 + 60*2e3 + 30*30e3, Tokens: 100}},
		"cached, without its price": {Price{Rates: Rates{Input: 10e9}}, Used{Prompt: 100, Cached: 60}, Charge{Amount: 100 * 10e3, Tokens: 100}},
		"kept for an hour":          {Price{Rates: caches}, Used{Prompt: 100, Cached: 60, Written: 30, WrittenHour: 20}, Charge{Amount: 10*10e3 + 60*2e3 + 10*30e3 + 20*50e3, Tokens: 100}},
		"an hour, without a price":  {Price{Rates: Rates{Input: 10e9, Written: &written}}, Used{Prompt: 30, Written: 30, WrittenHour: 30}, Charge{Amount: 30 * 30e3, Tokens: 30}},
		"more hours than written":   {Price{Rates: caches}, Used{Prompt: 30, Written: 10, WrittenHour: 30}, Charge{Amount: 20*10e3 + 10*50e3, Tokens: 30}},
		"sound":                     {Price{Rates: sounds}, Used{Prompt: 20, AudioIn: 5, Completion: 47, AudioOut: 34}, Charge{Amount: 15*10e3 + 5*80e3 + 13*20e3 + 34*90e3, Tokens: 20}},
		"sound, in part cached":     {Price{Rates: sounds}, Used{Prompt: 20, Cached: 18, AudioIn: 5}, Charge{Amount: 18*2e3 + 2*80e3, Tokens: 20}},
		"sound and pictures":        {Price{Rates: sounds}, Used{Prompt: 20, AudioIn: 5, ImageIn: 4, Completion: 47, AudioOut: 34, ImageOut: 3}, Charge{Amount: 11*10e3 + 5*80e3 + 4*30e3 + 10*20e3 + 34*90e3 + 3*50e3, Tokens: 20}},
		"more of both than all":     {Price{Rates: sounds}, Used{Prompt: 20, AudioIn: 15, ImageIn: 14}, Charge{Amount: 15*80e3 + 5*30e3, Tokens: 20}},
		"sound, without its price":  {Price{Rates: caches}, Used{Prompt: 20, AudioIn: 20, Completion: 2, AudioOut: 2}, Charge{Amount: 20*10e3 + 2*20e3, Tokens: 20}},
		"more cached than there is": {Price{Rates: Rates{Input: 10e9, Cached: &cached}}, Used{Prompt: 10, Cached: 60, Written: 60}, Charge{Amount: 10 * 2e3, Tokens: 10}},
		"searches":                  {Price{Request: 5, Search: 3}, Used{Searches: 4}, Charge{Amount: 17}},
		"searches beyond money":     {Price{Search: 3}, Used{Searches: math.MaxInt64}, Charge{Amount: MaxAmount}},
		"no search below none":      {Price{Search: 3}, Used{Searches: -4}, Charge{}},
		"rounded up":                {Price{Rates: Rates{Input: 1}}, Used{Prompt: 1}, Charge{Amount: 1, Tokens: 1}},
		"a long prompt": {Price{Rates: Rates{Input: 1e9}, Above: []Tier{{100, Rates{Input: 2e9}}, {200, Rates{Input: 3e9}}}}, Used{Prompt: 201},
			Charge{Amount: 201 * 3e3, Tokens: 201}},
		"not yet long": {Price{Rates: Rates{Input: 1e9}, Above: []Tier{{100, Rates{Input: 2e9}}}}, Used{Prompt: 100}, Charge{Amount: 100e3, Tokens: 100}},
		"too much":     {Price{Rates: Rates{Input: math.MaxInt64}}, Used{Prompt: math.MaxInt64}, Charge{Amount: MaxAmount, Tokens: math.MaxInt64}},
	} {
		if got := tt.price.Of(tt.used); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// No call costs more than its bound, whatever the price is, and whatever of its prompt
// is cached.
func TestBoundIsABound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	rate := func() PerToken { return PerToken(random.Int64N(100e9)) }
	rates := func() Rates {
		r := Rates{Input: rate(), Output: rate()}
		if random.IntN(2) == 0 {
			cached, written := rate(), rate()
			r.Cached, r.Written = &cached, &written
		}
		for _, other := range []**PerToken{&r.WrittenHour, &r.AudioIn, &r.AudioOut, &r.ImageIn, &r.ImageOut} {
			if random.IntN(2) == 0 {
				n := rate()
				*other = &n
			}
		}
		return r
	}
	for range 20_000 {
		p := Price{Rates: rates(), Request: Amount(random.Int64N(1e6)), MinCharacters: random.Int64N(2) * 500, MinTokens: random.Int64N(2) * 100, MaxTokens: 1 + random.Int64N(100),
			Search: Amount(random.Int64N(1e6)), EachSearches: random.IntN(2) == 0}
		for tokens := int64(50); random.IntN(2) == 0; tokens += 50 {
			p.Above = append(p.Above, Tier{tokens, rates()})
		}
		a := Asked{Bytes: random.Int64N(400), Images: random.Int64N(3), MaxTokens: random.Int64N(100), N: random.Int64N(3), Searches: random.Int64N(4)}
		p.ImageTokens = 1 + random.Int64N(50)
		u := Used{Characters: random.Int64N(a.Bytes + 1), Prompt: random.Int64N(a.Bytes + a.Images*p.ImageTokens + 1)}
		u.Cached = random.Int64N(u.Prompt + 1)
		u.Written = random.Int64N(u.Prompt - u.Cached + 1)
		longest := p.MaxTokens
		if a.MaxTokens > 0 {
			longest = min(longest, a.MaxTokens)
		}
		p.ThinkingTokens = random.Int64N(2) * 70
		u.Completion = random.Int64N(max(a.N, 1)*(longest+p.ThinkingTokens) + 1)
		u.Searches = random.Int64N(max(a.N, 1)*a.Searches + 1)
		u.ImageIn, u.ImageOut = random.Int64N(u.Prompt+1), random.Int64N(u.Completion+1)
		u.WrittenHour, u.AudioIn, u.AudioOut = random.Int64N(u.Written+1), random.Int64N(u.Prompt+1), random.Int64N(u.Completion+1)
		p.Uplifts = map[string]Amount{"us": Amount(random.Int64N(int64(2 * Unit)))}
		if cost, bound := max(p.Of(u).Amount, p.Within("us").Of(u).Amount), p.Bound(a); cost > bound {
			t.Fatalf("%+v of %+v costs %d, more than %d: %+v", u, a, cost, bound, p)
		}
	}
}

func TestBoundWithoutMaxima(t *testing.T) {
	p := Price{Rates: Rates{Input: 1e9, Output: 1e9}, Search: 2e3}
	for name, tt := range map[string]struct {
		asked Asked
		want  Amount // thousands
	}{
		"nothing said":      {Asked{}, DefaultMaxTokens},
		"said by client":    {Asked{MaxTokens: 1 << 20}, 1 << 20},
		"several":           {Asked{MaxTokens: 10, N: 4}, 40},
		"an image":          {Asked{Images: 2, MaxTokens: 1}, 2*DefaultImageTokens + 1},
		"more than can be":  {Asked{MaxTokens: math.MaxInt64, N: math.MaxInt64}, most},
		"bytes of a prompt": {Asked{Bytes: 7, MaxTokens: 1}, 8},
		"searches":          {Asked{MaxTokens: 1, N: 3, Searches: 4}, 3 + 3*4*2},
	} {
		if got := p.Bound(tt.asked); got != tt.want*1e3 {
			t.Errorf("%s: %d, want %d", name, got, tt.want*1e3)
		}
	}
}

// A bound holds back no more of a budget than a call can cost.
func TestBoundIsTight(t *testing.T) {
	p := Price{Rates: Rates{Input: 1e9, Output: 1e9}, MaxTokens: 50, ImageTokens: 7, Above: []Tier{{Tokens: 100, Rates: Rates{Input: 3e9, Output: 1e9}}}, Search: 2e3}
	for name, tt := range map[string]struct {
		asked Asked
		want  Amount // thousands
	}{
		"the model's longest":             {Asked{}, 50},
		"less than that":                  {Asked{MaxTokens: 40}, 40},
		"more than that":                  {Asked{MaxTokens: 60}, 50},
		"nothing that is generated":       {Asked{Bytes: 5, Silent: true}, 5},
		"images":                          {Asked{Images: 2, Silent: true}, 14},
		"searches of one answer":          {Asked{Searches: 4, Silent: true}, 8},
		"the longest that is not dearer":  {Asked{Bytes: 100, Silent: true}, 100},
		"the shortest that is dearer":     {Asked{Bytes: 101, Silent: true}, 303},
		"more bytes than can be counted":  {Asked{Bytes: math.MaxInt64, Images: math.MaxInt64, Silent: true}, 3 * most},
		"more images than can be counted": {Asked{Images: math.MaxInt64, Silent: true}, 3 * most},
	} {
		if got := p.Bound(tt.asked); got != tt.want*1e3 {
			t.Errorf("%s: %d, want %d", name, got, tt.want*1e3)
		}
	}
}

func TestLiteLLM(t *testing.T) {
	f, err := LoadFile("testdata/litellm.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		vendor, model string
		used          Used
		want          Amount // -1: no price
	}{
		"exact":                       {"", "amazon.nova-2-pro-preview-20251202-v1:0", Used{Prompt: 1000, Cached: 1000}, 546875},
		"with a vendor":               {"openai", "gpt-4o-mini", Used{Prompt: 1_000_000, Completion: 1_000_000}, 750_000_000},
		"of another vendor":           {"mistral", "gpt-4o-mini", Used{}, -1},
		"under the vendor's prefix":   {"deepseek", "deepseek-chat", Used{Prompt: 1}, 270},
		"thinking is dearer":          {"deepseek", "deepseek-chat", Used{Completion: 1}, 2000},
		"a prefix of one's own":       {"", "deepseek/deepseek-chat", Used{Prompt: 1}, 270},
		"a long prompt":               {"anthropic", "long-context", Used{Prompt: 200_001}, 200_001 * 6000},
		"a long prompt, cached":       {"anthropic", "long-context", Used{Prompt: 200_001, Cached: 200_001}, 200_001 * 300},
		"written to the cache":        {"anthropic", "long-context", Used{Prompt: 10, Written: 10}, 37500},
		"written for an hour":         {"anthropic", "long-context", Used{Prompt: 10, Written: 10, WrittenHour: 10}, 60000},
		"long, for an hour":           {"anthropic", "long-context", Used{Prompt: 200_001, Written: 200_001, WrittenHour: 1}, 200_000*7500 + 12000},
		"sound":                       {"openai", "gpt-audio", Used{Prompt: 10, AudioIn: 10, Completion: 1, AudioOut: 1}, 10*32000 + 64000},
		"a search":                    {"openai", "searching", Used{Prompt: 1, Searches: 2}, 100_001_000},
		"a picture":                   {"openai", "gpt-audio", Used{Completion: 11, ImageOut: 10}, 10*30000 + 10000},
		"the first tier, to its end":  {"dashscope", "qwen3-coder-plus", Used{Prompt: 32_000, Completion: 10}, 32_000*1000 + 10*5000},
		"the second tier":             {"dashscope", "qwen3-coder-plus", Used{Prompt: 32_001, Completion: 10}, 32_001*1800 + 10*9000},
		"the second tier, cached":     {"dashscope", "qwen3-coder-plus", Used{Prompt: 32_001, Cached: 32_001}, 32_001 * 180},
		"beyond the last tier":        {"dashscope", "qwen3-coder-plus", Used{Prompt: 2_000_000}, 2_000_000 * 1800},
		"by request":                  {"azure", "by-request", Used{Prompt: 10}, 2_000_000},
		"not by tokens":               {"openai", "1024-x-1024/dall-e-2", Used{}, -1},
		"the explanation of the file": {"", "sample_spec", Used{}, -1},
		"unknown":                     {"", "m", Used{}, -1},
	} {
		p := f.Of(tt.vendor, tt.model)
		switch {
		case tt.want < 0 && p != nil:
			t.Errorf("%s: has a price: %+v", name, p)
		case tt.want >= 0 && p == nil:
			t.Errorf("%s: has no price", name)
		case p != nil && (p.Of(tt.used).Amount != tt.want || p.Currency != "USD"):
			t.Errorf("%s: %d %s, want %d", name, p.Of(tt.used).Amount, p.Currency, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		tier  string
		used  Used
		want  Amount
		known bool
	}{
		"none":          {"", Used{Prompt: 10, Completion: 1}, 10*1250 + 10000, true},
		"as always":     {"default", Used{Prompt: 10, Completion: 1}, 10*1250 + 10000, true},
		"dearer":        {"priority", Used{Prompt: 10, Completion: 1}, 10*2500 + 20000, true},
		"dearer, long":  {"priority", Used{Prompt: 272_001}, 272_001 * 5000, true},
		"cheaper":       {"flex", Used{Prompt: 10, Completion: 1}, 10*625 + 5000, true},
		"cheaper, long": {"flex", Used{Prompt: 272_001}, 272_001 * 2500, true}, // of which the file says nothing
		"unknown":       {"fast", Used{Prompt: 10, Completion: 1}, 10*1250 + 10000, false},
	} {
		p, known := f.Of("openai", "gpt-tiers").In(tt.tier)
		if got := p.Of(tt.used).Amount; got != tt.want || known != tt.known {
			t.Errorf("service tier, %s: %d, known %t, want %d", name, got, known, tt.want)
		}
	}
	if p := f.Of("openai", "gpt-4o-mini"); p.MaxTokens != 16384 {
		t.Errorf("the longest answer is %d", p.MaxTokens)
	}
	if _, err := ParseFile([]byte("\ufeff" + `{"m":{"litellm_provider":"x","input_cost_per_token":1e-6}}` + "\r\n")); err != nil {
		t.Errorf("with a byte order mark: %v", err)
	}
	for text, want := range map[string]string{
		`[]`: "is not LiteLLM's price file", `{`: "is not LiteLLM's price file", `{}`: "no model with a price", `{"m":{"litellm_provider":"x"}}`: "no model with a price",
		`{"m":{"input_cost_per_token":1e-6}}`: "no model with a price", `{"m":1}`: "no model with a price", // of no provider
		`{"m":{"litellm_provider":"x","input_cost_per_token":1e-17}}`:                                                 "model m: input_cost_per_token 1e-17 is finer",
		`{"m":{"litellm_provider":"x","input_cost_per_token":1e30}}`:                                                  "model m: input_cost_per_token 1e30 is too large",
		`{"m":{"litellm_provider":"x","tiered_pricing":[{"range":[0,1e3],"input_cost_per_token":1e-17}]}}`:            "model m: tiered_pricing: input_cost_per_token 1e-17 is finer",
		`{"m":{"litellm_provider":"x","input_cost_per_token":1e-7,"tiered_pricing":[{"input_cost_per_token":1e-7}]}}`: "no model with a price",
	} {
		if _, err := ParseFile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestBook(t *testing.T) {
	f, err := LoadFile("testdata/litellm.json")
	if err != nil {
		t.Fatal(err)
	}
	own, any := &Price{Currency: "CNY"}, &Price{Currency: "EUR"}
	b := Book{ByModel: map[string]*Price{"gpt-4o-mini": own}, Any: any, File: f, Vendor: "deepseek"}
	if b.Of("gpt-4o-mini") != own || b.Of("deepseek-chat") != f.Of("deepseek", "deepseek-chat") || b.Of("other") != any || (&Book{}).Of("m") != nil {
		t.Error("prices in another order than own, file's, any")
	}
	models := Book{ByModel: map[string]*Price{"a": {Currency: "EUR"}, "b": {Currency: "CNY"}, "c": {Currency: "EUR"}}}
	for range 16 { // in whichever order
		if got := models.Currencies(); !slices.Equal(got, []Currency{"CNY", "EUR"}) {
			t.Fatalf("currencies of models alone %v", got)
		}
	}
	for model, owns := range map[string]bool{"gpt-4o-mini": true, "gpt-4o-mini-2024-07-18": true, "deepseek-chat": false, "other": false} {
		if b.Owns(model) != owns {
			t.Errorf("the price of %s is its own: %t", model, !owns)
		}
	}
	if got := b.Currencies(); len(got) != 3 || got[0] != "CNY" || got[1] != "EUR" || got[2] != "USD" {
		t.Errorf("currencies %v", got)
	}
	if !b.Names("deepseek-chat") || b.Names("other") {
		t.Error("what is named is not told")
	}
	for name, b := range map[string]Book{"a model's price": {ByModel: map[string]*Price{"m": own}}, "a price of all": {Any: any}, "a file": {File: f}, "": {}} {
		if b.Empty() != (name == "") {
			t.Errorf("%q: a book is empty: %t", name, b.Empty())
		}
	}
}

// A model of Google's has the price of the Gemini API, and where the file has none that of Vertex AI, not another's there.
func TestPricesOfGoogle(t *testing.T) {
	f, err := ParseFile([]byte(`{
		"gemini-a": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 2e-6}, "gemini/gemini-a": {"litellm_provider": "gemini", "input_cost_per_token": 1e-6},
		"gemini-b": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 3e-6}, "embedding-c": {"litellm_provider": "vertex_ai-embedding-models", "input_cost_per_token": 4e-6},
		"claude-d": {"litellm_provider": "vertex_ai-anthropic_models", "input_cost_per_token": 5e-6}}`))
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]PerToken{"gemini-a": 1e9, "gemini-b": 3e9, "embedding-c": 4e9, "claude-d": 0} {
		var got PerToken
		if p := f.Of("gemini", model); p != nil {
			got = p.Input
		}
		if got != want {
			t.Errorf("%s costs %d, want %d", model, got, want)
		}
		if p := f.Of("deepseek", model); p != nil {
			t.Errorf("%s is another vendor's", model)
		}
	}
}
