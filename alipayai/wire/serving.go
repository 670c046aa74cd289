package wire

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

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
	// Unnamed says that the provider chooses such models itself, as by Anthropic's "fallbacks": "default"
	// (https://github.com/mozex/anthropic-laravel/releases/tag/1.8.0).
	Unnamed bool
	// Searches says that the provider's own tools may search the web, and MaxSearches how often at most; 0 where the request
	// does not say: Anthropic's max_uses of a tool (platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool),
	// and max_tool_calls of OpenAI's Responses API, which bounds all tools together.
	Searches    bool
	MaxSearches int64
}

// servingMembers are those that [ServingOf] reads, with the quotes that end them, and how the types of tools that search begin.
var servingMembers = [...]string{`service_tier"`, `speed"`, `models"`, `fallbacks"`, searchTool, openRouter + searchTool}

// searchTool begins the type of each vendor's tool that searches the web, behind its own name at OpenRouter, and OpenAI's member
// of chats, web_search_options.
const (
	searchTool = "web_search"
	openRouter = "openrouter:"
)

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
func ServingOf(body []byte) Serving {
	if !maySayServing(body) {
		return Serving{}
	}
	s := newScanner(body, Limits{})
	defer s.release()
	var r servingReading
	// What cannot be read is no request of this form.
	_ = s.document(func(name []byte) error { return s.servingMember(&r, name) })
	return r.whole()
}

// servingReading is a Serving while it is read.
type servingReading struct {
	Serving
	fast     bool
	maxCalls int64 // of all tools together
}

func (r *servingReading) whole() Serving {
	chosen := r.Serving
	if r.fast {
		chosen.Tier = "fast"
	}
	if chosen.Searches && r.maxCalls > 0 && (chosen.MaxSearches == 0 || r.maxCalls < chosen.MaxSearches) {
		chosen.MaxSearches = r.maxCalls
	}
	return chosen
}

// servingMember reads the member of a request of that name.
func (s *scanner) servingMember(r *servingReading, name []byte) (err error) {
	var v jsontext.Value
	switch kind := string(name); {
	case kind == "service_tier":
		v, err = s.scalar()
		r.Tier = wordOf(v)
		return err
	case kind == "speed":
		v, err = s.scalar()
		r.fast = wordOf(v) == "fast"
		return err
	case kind == "web_search_options" && !s.is('n'):
		r.search(0)
	case kind == "max_tool_calls":
		r.maxCalls, err = s.count()
		return err
	case kind == "tools" && s.is('['):
		return s.array(func() error { return s.searching(&r.Serving) })
	case kind == "fallbacks" && s.is('"'):
		v, err = s.scalar()
		r.Unnamed = wordOf(v) != ""
		return err
	case (kind == "models" || kind == "fallbacks") && s.is('['):
		return s.array(func() error { return s.standIn(&r.Serving) })
	}
	_, err = s.skip()
	return err
}

// standIn reads a model that may answer in the place of the request's own: its name, or an object with how it is served besides.
func (s *scanner) standIn(chosen *Serving) error {
	if !s.is('{') {
		return s.standInName(chosen)
	}
	return s.object(func(name []byte) error {
		switch string(name) {
		case "model":
			return s.standInName(chosen)
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
}

func (s *scanner) standInName(chosen *Serving) error {
	v, err := s.scalar()
	if model := wordOf(v); model != "" {
		chosen.Models = append(chosen.Models, model)
	}
	return err
}

// search adds a tool that searches that often; 0 where it does not say.
func (c *Serving) search(most int64) {
	switch {
	case !c.Searches: // the first
		c.MaxSearches = most
	case most == 0 || c.MaxSearches == 0:
		c.MaxSearches = 0
	default:
		c.MaxSearches += most
	}
	c.Searches = true
}

// searching reads a tool, and notes one that searches.
func (s *scanner) searching(chosen *Serving) error {
	searches, most := false, int64(0)
	err := s.eachMember(func(name []byte) error {
		switch string(name) {
		case "type":
			v, err := s.scalar()
			searches = strings.HasPrefix(strings.TrimPrefix(wordOf(v), openRouter), searchTool)
			return err
		case "max_uses":
			n, err := s.count()
			most = n
			return err
		}
		_, err := s.skip()
		return err
	})
	if searches {
		chosen.search(min(most, maxTokens)) // of which sums cannot overflow
	}
	return err
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
				of := placeNamed(toolPlaces[:], string(name))
				switch {
				case of != "":
					return place("tools." + of)
				case strings.EqualFold(string(name), "tools"): // a namespace's
					return tools()
				}
				_, err := s.skip()
				return err
			})
		})
	}
	// What cannot be read is no request of this form.
	_ = s.document(func(name []byte) error {
		of := placeNamed(places[:], string(name))
		switch {
		case of != "":
			return place(of)
		case strings.EqualFold(string(name), "tools"):
			return tools()
		}
		_, err := s.skip()
		return err
	})
	return member
}

// places are the members of a request by which PlaceOf knows, and toolPlaces those of a tool, in whichever letters: some servers
// find a member that is written in others too, as encoding/json does.
var (
	places     = [...]string{"inference_geo", "mcp_servers", "provider", "data_sources", "api_base", "base_url"}
	toolPlaces = [...]string{"server_url", "connector_id"}
)

// PlaceIn names the first parameter of a query or a form that chooses what PlaceOf says of a body; empty for none. Servers find
// parameters in other letters too, and members of objects in brackets or behind a dot, as provider[order][] and
// tools[0][server_url].
func PlaceIn(query url.Values) string {
	var found []string
	for name, values := range query {
		if !slices.ContainsFunc(values, func(value string) bool { return value != "" }) {
			continue
		}
		parts := strings.FieldsFunc(name, func(r rune) bool { return r == '[' || r == ']' || r == '.' })
		for i, part := range parts {
			if i == 0 {
				found = append(found, placeNamed(places[:], part))
			} else if tool := placeNamed(toolPlaces[:], part); tool != "" && strings.EqualFold(parts[0], "tools") {
				found = append(found, "tools."+tool)
			}
		}
	}
	found = slices.DeleteFunc(found, func(name string) bool { return name == "" })
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// placeNamed gives the one of these names that name is, in whichever letters; empty for none.
func placeNamed(names []string, name string) string {
	for _, of := range names {
		if strings.EqualFold(of, name) {
			return of
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
