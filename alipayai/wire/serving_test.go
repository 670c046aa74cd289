package wire

import (
	"net/url"
	"slices"
	"testing"
)

// The service tier that a request asks for is read however it is written, and that of an answer with its usage.
func TestServiceTiers(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"none":                 {`{"model":"m"}`, ""},
		"priority":             {`{"model":"m","service_tier":"priority"}`, "priority"},
		"escaped":              {`{"model":"m","service\u005ftier":"pri\u006frity"}`, "priority"},
		"null":                 {`{"service_tier":null}`, ""},
		"an object":            {`{"service_tier":{"service_tier":"priority"}}`, ""},
		"of something else":    {`{"metadata":{"service_tier":"priority"}}`, ""},
		"in a text":            {`{"messages":[{"content":"\"service_tier\":\"priority\""}]}`, ""},
		"Anthropic's fast one": {`{"speed":"fast"}`, "fast"},
		"no fast one":          {`{"speed":"standard","service_tier":"auto"}`, "auto"},
		"both":                 {`{"speed":"fast","service_tier":"auto"}`, "fast"},
		"the other way round":  {`{"service_tier":"auto","speed":"fast"}`, "fast"},
		"no JSON":              {`"service_tier"`, ""},
	} {
		if got := ServingOf([]byte(test.body)).Tier; got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	for name, test := range map[string]struct{ body, want string }{
		"none":   {`{"choices":[],"usage":{"prompt_tokens":1}}`, ""},
		"before": {`{"service_tier":"flex","choices":[],"usage":{"prompt_tokens":1}}`, "flex"},
		"behind": {`{"choices":[],"usage":{"prompt_tokens":1},"service_tier":"default"}`, "default"},
		"null":   {`{"choices":[],"usage":{"prompt_tokens":1},"service_tier":null}`, ""},
	} {
		if a, err := ParseBody([]byte(test.body), Limits{}); err != nil || a.Usage.Tier != test.want {
			t.Errorf("answer, %s: %q, %v, want %q", name, a.Usage.Tier, err, test.want)
		}
	}
}

// Models that may answer in the place of the one that is asked for are read wherever vendors have them.
func TestOtherModels(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want []string
	}{
		"none":          {`{"model":"m"}`, nil},
		"OpenRouter's":  {`{"model":"m","models":["a/b","c"]}`, []string{"a/b", "c"}},
		"Anthropic's":   {`{"fallbacks":[{"model":"a","max_tokens":1},{"model":"b"}]}`, []string{"a", "b"}},
		"LiteLLM's":     {`{"fallbacks":["a",{"model":"b"}]}`, []string{"a", "b"}},
		"both, escaped": {`{"model\u0073":["a"],"fallback\u0073":["b"]}`, []string{"a", "b"}},
		"odd ones":      {`{"models":[1,null,[],{"x":"y"},""],"fallbacks":{"model":"a"}}`, nil},
		"in a message":  {`{"messages":[{"models":["a"]}]}`, nil},
	} {
		if got := ServingOf([]byte(test.body)).Models; !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
	for name, test := range map[string]struct {
		body string
		most int64
		tier bool
	}{
		"none":       {`{"max_tokens":9,"fallbacks":[{"model":"a"}]}`, 0, false},
		"the most":   {`{"fallbacks":[{"model":"a","max_tokens":1},{"model":"b","max_completion_tokens":7}]}`, 7, false},
		"no number":  {`{"fallbacks":[{"model":"a","max_tokens":"7","speed":null}]}`, 0, false},
		"at a speed": {`{"fallbacks":[{"model":"a","speed":"fast"}]}`, 0, true},
		"in a tier":  {`{"fallbacks":["b",{"service_tier":"priority","model":"a"}]}`, 0, true},
	} {
		if got := ServingOf([]byte(test.body)); got.Unnamed || got.MaxTokens != test.most || got.OwnTier != test.tier {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for body, unnamed := range map[string]bool{
		`{"fallbacks":"default"}`: true, `{"fallback\u0073":"default"}`: true, `{"fallbacks":""}`: false, `{"fallbacks":null}`: false, `{"models":"m"}`: false,
	} {
		if got := ServingOf([]byte(body)); got.Unnamed != unnamed || len(got.Models) > 0 {
			t.Errorf("%s: %+v", body, got)
		}
	}
}

// A tool of the provider's that searches is found at each vendor, with how often it may.
func TestSearches(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		may  bool
		most int64
	}{
		"none":                {`{"model":"m","messages":[{"content":"web_search"}]}`, false, 0},
		"a client's tool":     {`{"tools":[{"type":"function","function":{"name":"web_search"}}]}`, false, 0},
		"Anthropic's":         {`{"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":5}]}`, true, 5},
		"written backwards":   {`{"tools":[{"max_uses":5,"type":"web_search_20260209"}]}`, true, 5},
		"escaped":             {`{"tools":[{"type":"web\u005fsearch_20250305","max_uses":5}]}`, true, 5},
		"without a most":      {`{"tools":[{"type":"web_search_20250305"}]}`, true, 0},
		"of no most":          {`{"tools":[{"type":"web_search_20250305","max_uses":null}]}`, true, 0},
		"two":                 {`{"tools":[{"type":"web_search_20250305","max_uses":5},{"type":"web_search_20260209","max_uses":2}]}`, true, 7},
		"two, one of no most": {`{"tools":[{"type":"web_search_20250305","max_uses":5},{"type":"web_search"},{"type":"web_search","max_uses":1}]}`, true, 0},
		"another tool's most": {`{"tools":[{"type":"web_fetch_20250910","max_uses":5},{"type":"web_search_20250305"}]}`, true, 0},
		"OpenAI's":            {`{"max_tool_calls":3,"tools":[{"type":"web_search"}]}`, true, 3},
		"OpenAI's, of a day":  {`{"tools":[{"type":"web_search_preview_2025_03_11"}],"max_tool_calls":3}`, true, 3},
		"both":                {`{"tools":[{"type":"web_search","max_uses":2}],"max_tool_calls":3}`, true, 2},
		"calls of no search":  {`{"tools":[{"type":"function"}],"service_tier":"auto","max_tool_calls":3}`, false, 0},
		"OpenAI's, of a chat": {`{"web_search_options":{}}`, true, 0},
		"an option of null":   {`{"web_search_options":null}`, false, 0},
		"OpenRouter's":        {`{"tools":[{"type":"openrouter:web_search"}]}`, true, 0},
		"tools that are none": {`{"tools":["web_search",1,null,{"type":["web_search"]}]}`, false, 0},
	} {
		if got := ServingOf([]byte(test.body)); got.Searches != test.may || got.MaxSearches != test.most {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Searches of the provider's own tools are counted in each vendor's words.
func TestSearchesOfAnswers(t *testing.T) {
	for source, test := range map[string]struct {
		usage string
		want  int64
	}{
		"none":          {`{"prompt_tokens":1,"completion_tokens":1}`, 0},
		"Anthropic's":   {`{"prompt_tokens":1,"completion_tokens":1,"server_tool_use":{"web_search_requests":2}}`, 2},
		"Perplexity's":  {`{"prompt_tokens":1,"completion_tokens":1,"num_search_queries":3}`, 3},
		"in both words": {`{"prompt_tokens":1,"completion_tokens":1,"num_search_queries":3,"server_tool_use":{"web_search_requests":2}}`, 3},
		"https://github.com/BerriAI/litellm/pull/30817": {`{"prompt_tokens":1,"completion_tokens":1,"server_side_tool_usage_details":{"web_search_calls":2,"mcp_calls":9}}`, 2},
		"https://github.com/BerriAI/litellm/pull/16001": {`{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":0,"web_search_requests":4}}`, 4},
		"of no number": {`{"prompt_tokens":1,"completion_tokens":1,"server_side_tool_usage_details":{"web_search_calls":null},"server_tool_use":null}`, 0},
	} {
		if u, err := ReadUsage([]byte(test.usage)); err != nil || !u.OK || u.Searches != test.want {
			t.Errorf("%s: %+v, %v, want %d searches", source, u, err, test.want)
		}
	}
}

// A request's members that choose where its texts go are found, however they are written, and no others of their names.
func TestPlaceOf(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"a region":            {`{"model":"m","inference_geo":"us"}`, "inference_geo"},
		"escaped":             {`{"inference\u005fgeo":"us"}`, "inference_geo"},
		"no region":           {`{"inference_geo":null,"mcp_servers":[],"provider":{},"api_base":""}`, ""},
		"a server":            {`{"mcp_servers":[{"type":"url","url":"https://x.example","name":"x"}]}`, "mcp_servers"},
		"a vendor":            {`{"provider":{"order":["x"]}}`, "provider"},
		"a vendor, behind":    {`{"messages":[{"role":"user","content":"q"}],"provider":{"only":["x"]}}`, "provider"},
		"a tool's server":     {`{"tools":[{"type":"function","name":"f"},{"type":"mcp","server_label":"x","server_url":"https://x.example"}]}`, "tools.server_url"},
		"a connector":         {`{"tools":[{"type":"mcp","connector_id":"connector_dropbox"}]}`, "tools.connector_id"},
		"a namespace's":       {`{"tools":[{"type":"namespace","tools":[{"type":"mcp","server_url":"https://x.example"}]}]}`, "tools.server_url"},
		"a search":            {`{"data_sources":[{"type":"azure_search"}]}`, "data_sources"},
		"an address":          {`{"api_base":"https://x.example"}`, "api_base"},
		"another address":     {`{"base_url":"https://x.example"}`, "base_url"},
		"in other letters":    {`{"Inference_GEO":"us"}`, "inference_geo"},
		"a tool's, too":       {`{"Tools":[{"type":"mcp","Server_URL":"https://x.example"}]}`, "tools.server_url"},
		"a tool's argument":   {`{"tools":[{"type":"function","name":"f","parameters":{"properties":{"server_url":{"type":"string"}}}}]}`, ""},
		"a message's":         {`{"messages":[{"role":"user","content":"q","provider":{"a":1}}]}`, ""},
		"none":                {`{"model":"m","messages":[{"role":"user","content":"inference_geo"}]}`, ""},
		"tools that are none": {`{"tools":"x","provider":{"order":["x"]}}`, "provider"},
		"a tool that is none": {`{"tools":["x",1],"provider":{"order":["x"]}}`, "provider"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := PlaceOf([]byte(test.body)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// So are parameters of a query or a form.
func TestPlaceIn(t *testing.T) {
	for query, want := range map[string]string{
		"":                                          "",
		"model=m&prompt=inference_geo":              "",
		"inference_geo=us":                          "inference_geo",
		"inference_geo=":                            "",
		"inference_geo=&inference_geo=us":           "inference_geo",
		"Inference_Geo=us":                          "inference_geo",
		"API_BASE=https%3A%2F%2Fx.example":          "api_base",
		"provider[order][]=x":                       "provider",
		"provider%5Border%5D%5B0%5D=x":              "provider",
		"provider.only=x":                           "provider",
		"base_url[]=https://x.example":              "base_url",
		"tools[0][server_url]=https://x.example":    "tools.server_url",
		"tools.0.Connector_Id=connector_dropbox":    "tools.connector_id",
		"server_url=https://x.example":              "",
		"metadata[provider]=x&messages[0].api_base": "",
		"provider=x&data_sources[0][type]=y":        "data_sources",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := PlaceIn(values); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
