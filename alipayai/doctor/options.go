package doctor

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// option is a change of a provider's configuration that an upstream may want.
type option struct {
	// text is how a Caddyfile says it, inside of the provider's block.
	text string
	// patch is the same as a JSON merge patch (RFC 7396) of the provider.
	patch string
	// step is the step that shows it.
	step string
	// signs says that it changes what is signed: a wrong one is a wrong signature.
	signs bool
	// answers says that it is the option answer, whole: it takes the place of one found before.
	answers bool
}

// texts are how a Caddyfile says the options.
func texts(options []option) []string {
	var all []string
	for _, o := range options {
		all = append(all, o.text)
	}
	return all
}

// optionsOf are those that have been found, of one step.
func (c *check) optionsOf(step string) []string {
	return texts(slices.DeleteFunc(slices.Clone(c.found), func(o option) bool { return o.step != step }))
}

// The options by what they are for, the likeliest first. Each is one that APIs of
// this kind are known to have.
var (
	versionOptions = []option{{
		text: "transport http {\n\tversions 1.1\n}", patch: `{"transport":{"protocol":"http","versions":["1.1"]}}`, step: stepConnection,
	}}
	// tokenFormOptions: RFC 6749, section 2.3.1, has the client's credentials in HTTP
	// Basic or in the form; many APIs take JSON alone.
	tokenFormOptions = []option{
		tokenOption("auth", "form"),
		tokenOption("auth", "json"),
	}
	tokenHeaderOptions = []option{
		tokenOption("header", "X-Access-Token"),
		tokenOption("header", "Access-Token"),
		tokenOption("header", "X-Auth-Token"),
	}
)

// tokenOption is one of the option token's block.
func tokenOption(name, value string) option {
	return option{
		text:  fmt.Sprintf("token <url> <secret> {\n\t%s %s\n}", name, value),
		patch: fmt.Sprintf(`{"token":{%q:%q}}`, name, value), step: stepToken,
	}
}

// pathPrefixes are where APIs in OpenAI's form have their endpoints.
var pathPrefixes = []string{"/api/v1", "/v1", "", "/openai/v1", "/api", "/compatible-mode/v1"}

// pathOptions are other places for the provider's endpoints.
func pathOptions(p *upstream.Provider) []option {
	var options []option
	for _, prefix := range pathPrefixes {
		paths := map[upstream.Endpoint]string{
			upstream.EndpointChat:       prefix + "/chat/completions",
			upstream.EndpointEmbeddings: prefix + "/embeddings",
			upstream.EndpointModels:     prefix + "/models",
		}
		text := ""
		for _, endpoint := range []upstream.Endpoint{upstream.EndpointChat, upstream.EndpointEmbeddings, upstream.EndpointModels} {
			if !p.Has(endpoint) {
				delete(paths, endpoint)
				continue
			}
			if text != "" {
				text += "\n"
			}
			text += "path " + string(endpoint) + " " + paths[endpoint]
		}
		patch, err := json.Marshal(map[string]any{"paths": paths})
		if err != nil {
			panic(err) // strings always marshal
		}
		options = append(options, option{text: text, patch: string(patch), step: stepModels})
	}
	return options
}
