package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// layout is what is signed, how and where it stands, as the option signature says
// it. The zero value is the profile's own.
type layout struct{ content, time, field, value string }

// option gives l as an option.
func (l layout) option() option {
	at := "{" + cmp.Or(l.time, "time_ms") + "}"
	content := strings.ReplaceAll(cmp.Or(l.content, `{method} {uri}\n{client_id}.TIME.{body}`), "TIME", at)
	field, value := cmp.Or(l.field, "Signature"), cmp.Or(l.value, "algorithm=HMAC-SHA256,keyVersion={key_version},signature={base64_escaped}")
	patch, err := json.Marshal(map[string]any{"signature": map[string]any{
		"content": content, "headers": map[string]string{"Client-Id": "{client_id}", "Request-Time": at, field: value},
	}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return option{
		text: fmt.Sprintf("signature {\n\tcontent \"%s\"\n\theader Client-Id \"{client_id}\"\n\theader Request-Time \"%s\"\n\theader %s \"%s\"\n}",
			content, at, field, value),
		patch: string(patch), step: stepSignature, signs: true,
	}
}

// options of layouts.
func optionsOfLayouts(layouts ...layout) (options []option) {
	for _, l := range layouts {
		options = append(options, l.option())
	}
	return options
}

// Layouts that differ from the profile's in one thing. Which there are of other
// vendors is in the recipes of the tests of package signer.
var (
	timeOptions      = optionsOfLayouts(layout{time: "time_s"}, layout{time: "time_iso"})
	signatureOptions = optionsOfLayouts(
		layout{field: "X-Signature", value: "{hex}"},
		layout{field: "X-Signature", value: "{base64}"},
		layout{value: "{hex}"},
		layout{value: "{base64}"},
		layout{value: "algorithm=HMAC-SHA256,keyVersion={key_version},signature={hex}"},
		layout{content: `{method}\n{uri}\n{client_id}\nTIME\n{body_sha256}`},
		layout{content: `{method}\n{uri}\n{client_id}\nTIME\n{body}`},
		layout{content: `{method}\n{uri}\nTIME\n{body_sha256}`},
		layout{content: `{method}\n{uri}\nTIME\n{body}`},
		layout{content: `{client_id}\nTIME\n{method}\n{uri}\n{body}`},
		layout{content: `TIME.{body}`},
	)
)
