package doctor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/token"
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

// versionOption has requests go by this version of HTTP alone.
func versionOption(name string) option {
	return option{
		text:  "transport http {\n\tversions " + name + "\n}",
		patch: fmt.Sprintf(`{"transport":{"protocol":"http","versions":[%q]}}`, name), step: stepConnection,
	}
}

// versionOptions are the other versions of HTTP than that of x.
func versionOptions(x *exchange) []option {
	switch {
	case x.answer == nil || x.answer.ProtoMajor > 1:
		return []option{versionOption("1.1")}
	case x.answer.TLS != nil:
		return []option{versionOption("2")}
	}
	return []option{versionOption("h2c")}
}

// namesAsWritten are for an upstream that looks for header fields by their names in upper and lower case, as HTTP/1.1 alone
// has them: HTTP/2 has all names in lower case (RFC 9113, section 8.2).
func namesAsWritten(x *exchange) []option {
	if x.answer == nil || x.answer.ProtoMajor < 2 {
		return nil
	}
	o := versionOption("1.1")
	o.signs = true // it sends once more what was refused
	return []option{o}
}

// requestOptions are what may have to be around a model call, those first that the refusal names.
func requestOptions(x *exchange) []option {
	var named, others []option
	for _, name := range []string{"biz_content", "bizContent", "data", "request", "payload", "params", "input", "body"} {
		for _, form := range []string{"string", "object"} {
			o := option{
				text:  "request {\n\tinside " + name + " " + form + "\n}",
				patch: patchOf("request", map[string]string{"inside": name, "inside_form": form}), step: stepChat,
			}
			if strings.Contains(x.message, name) {
				named = append(named, o)
			} else {
				others = append(others, o)
			}
		}
	}
	return append(named, others...)
}

// tokenOption is one of the option token's block.
func tokenOption(name, value string) option {
	return option{
		text:  fmt.Sprintf("token <url> <secret> {\n\t%s %s\n}", name, value),
		patch: fmt.Sprintf(`{"token":{%q:%q}}`, name, value), step: stepToken,
	}
}

// grantOf is how p's tokens are had.
func grantOf(p *upstream.Provider) (*token.Grant, bool) {
	if p.Tokens == nil {
		return nil, false
	}
	grant, ok := p.Tokens.Fetcher.(*token.Grant)
	return grant, ok
}

// pathPrefixes are where APIs in OpenAI's form have their endpoints.
var pathPrefixes = []string{"/api/v1", "/v1", "", "/openai/v1", "/api", "/compatible-mode/v1"}

// pathOptions are other places for the provider's endpoints.
func pathOptions(p *upstream.Provider) []option {
	var options []option
	prefixes := pathPrefixes
	if grant, ok := grantOf(p); ok {
		if u, err := url.Parse(grant.URL); err == nil && u.Host == p.BaseURL.Host {
			base := strings.TrimSuffix(path.Dir(path.Dir(u.Path)), "/") // of /base/oauth2/token
			if base != "" && base != "." {
				prefixes = slices.Concat([]string{base + "/v1", base}, prefixes)
			}
		}
	}
	for _, prefix := range prefixes {
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
