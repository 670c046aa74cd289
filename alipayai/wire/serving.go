package wire

import (
	"bytes"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Serving is what a request chooses, beside its model, of how it is served: vendors charge by it.
type Serving struct {
	// Tier is the service tier: its service_tier, or "fast" where its speed says so
	// (platform.claude.com/docs/en/build-with-claude/fast-mode). It is empty where there is none.
	Tier string
	// Models are those that may answer in the place of its own: OpenRouter's models
	// (openrouter.ai/docs/features/model-routing) and the fallbacks of Anthropic and LiteLLM.
	Models []string
	// MaxTokens is the most that one of them may answer where the request says that beside its name, and OwnTier says that it
	// is served in a tier of its own, or at a speed.
	MaxTokens int64
	OwnTier   bool
}

// servingMembers are those that [ServingOf] reads, with the quotes that end them.
var servingMembers = [...]string{`service_tier"`, `speed"`, `models"`, `fallbacks"`}

var quote = []byte{'"'}

// maySayServing reports whether one of them may be in body, which is false of most: whether its name follows a quote, or there
// are escapes by which letters can be written. It goes from quote to quote since that is faster than a search for each.
func maySayServing(body []byte) bool {
	for _, rest, quoted := bytes.Cut(body, quote); quoted; _, rest, quoted = bytes.Cut(rest, quote) {
		for _, member := range servingMembers {
			if len(rest) >= len(member) && rest[0] == member[0] && string(rest[:len(member)]) == member {
				return true
			}
		}
	}
	return bytes.Contains(body, []byte(`\u00`))
}

// ServingOf reads what a request chooses.
func ServingOf(body []byte) (chosen Serving) {
	if !maySayServing(body) {
		return chosen
	}
	s := newScanner(body, Limits{})
	defer s.release()
	fast := false
	add := func() error {
		v, err := s.scalar()
		if model := wordOf(v); model != "" {
			chosen.Models = append(chosen.Models, model)
		}
		return err
	}
	// What cannot be read is no request of this form.
	_ = s.document(func(name []byte) error {
		switch kind := string(name); {
		case kind == "service_tier":
			v, err := s.scalar()
			chosen.Tier = wordOf(v)
			return err
		case kind == "speed":
			v, err := s.scalar()
			fast = wordOf(v) == "fast"
			return err
		case (kind == "models" || kind == "fallbacks") && s.is('['):
			return s.array(func() error {
				if !s.is('{') {
					return add()
				}
				return s.object(func(name []byte) error {
					switch string(name) {
					case "model":
						return add()
					case "max_tokens", "max_completion_tokens", "max_output_tokens":
						most, err := s.count()
						chosen.MaxTokens = max(chosen.MaxTokens, most)
						return err
					case "service_tier", "speed":
						v, err := s.scalar()
						chosen.OwnTier = chosen.OwnTier || v.Kind() == '"'
						return err
					}
					_, err := s.skip()
					return err
				})
			})
		}
		_, err := s.skip()
		return err
	})
	if fast {
		chosen.Tier = "fast"
	}
	return chosen
}

// PlaceOf names the first member by which a request chooses where a vendor works, or whom it sends the request's texts on to;
// empty for none. They are: inference_geo and mcp_servers of Anthropic (platform.claude.com/docs/en/build-with-claude/data-residency,
// .../agents-and-tools/mcp-connector), provider of OpenRouter (openrouter.ai/docs/features/provider-routing), server_url and
// connector_id of OpenAI's tools (platform.openai.com/docs/guides/tools-connectors-mcp), data_sources of Azure, and api_base and
// base_url of LiteLLM, which calls that address.
func PlaceOf(body []byte) (member string) {
	s := newScanner(body, Limits{})
	defer s.release()
	place := func(name string) error {
		filled, err := s.skip()
		if filled && member == "" {
			member = name
		}
		return err
	}
	var tools func() error
	tools = func() error {
		if !s.is('[') {
			_, err := s.skip()
			return err
		}
		return s.array(func() error {
			if !s.is('{') {
				_, err := s.skip()
				return err
			}
			return s.object(func(name []byte) error {
				switch string(name) {
				case "server_url", "connector_id":
					return place("tools." + string(name))
				case "tools": // a namespace's
					return tools()
				}
				_, err := s.skip()
				return err
			})
		})
	}
	// What cannot be read is no request of this form.
	_ = s.document(func(name []byte) error {
		switch {
		case slices.Contains(places[:], string(name)):
			return place(string(name))
		case string(name) == "tools":
			return tools()
		}
		_, err := s.skip()
		return err
	})
	return member
}

// places are the members of a request by which PlaceOf knows.
var places = [...]string{"inference_geo", "mcp_servers", "provider", "data_sources", "api_base", "base_url"}

// PlaceIn names the first parameter of a query that chooses what PlaceOf says of a body; empty for none.
func PlaceIn(query url.Values) string {
	for _, name := range places {
		if slices.ContainsFunc(query[name], func(value string) bool { return value != "" }) {
			return name
		}
	}
	return ""
}

// wordOf gives a word of a vendor's, which is a string; empty for anything else. The common ones need no allocation.
func wordOf(v jsontext.Value) string {
	switch string(v) {
	case `"default"`:
		return "default"
	case `"standard"`:
		return "standard"
	case `"auto"`:
		return "auto"
	case `"priority"`:
		return "priority"
	}
	if v.Kind() != '"' {
		return ""
	}
	return clean(v, maxWord)
}
