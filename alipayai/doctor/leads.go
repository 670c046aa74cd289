package doctor

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-alipayai/gateway/alipayai/token"
)

// maxSaid is the longest text of a failure that is shown beside its code and message, in bytes, and maxTexts how many are.
const maxSaid, maxTexts = 200, 4

// secretNames are in the names of members that are not shown.
var secretNames = []string{"token", "secret", "key", "sign", "password", "credential", "auth", "session", "cookie"}

// said gives what a failure says for people beside the code and the message that are read of it: the short texts in it, as
// sub_msg. Those whose name is that of a credential are left out.
func said(body []byte, shown ...string) (texts []string) {
	for _, m := range membersOf(body) {
		text := strings.TrimSpace(m.text)
		known := slices.ContainsFunc(slices.Concat(shown, texts), func(before string) bool { return strings.Contains(before, text) })
		secret := slices.ContainsFunc(m.path, func(name string) bool {
			return slices.ContainsFunc(secretNames, func(word string) bool { return strings.Contains(strings.ToLower(name), word) })
		})
		switch {
		case len(texts) == maxTexts:
			return texts
		case text == "", m.number, len(text) > maxSaid, !utf8.ValidString(text), text[0] == '{', text[0] == '[', known, secret, m.isRequestID():
		default:
			texts = append(texts, text)
		}
	}
	return texts
}

// said gives what the failure says beside its message; none of a success.
func (x *exchange) said() []string {
	if x.answer == nil || x.verdict >= otherNames {
		return nil
	}
	return said(x.body, x.code, x.message)
}

const aField = "[A-Za-z_][A-Za-z0-9_.-]*"

// missingFields read which field a refusal says is not there, and in what object.
var missingFields = []*regexp.Regexp{
	regexp.MustCompile("(?i)(?:\\b(?:wants?|missing|lacks?|requires?|needs?)\\b|缺少|缺失)(?: ?(?:the|a|required|mandatory|parameters?|params?|fields?|members?|arguments?|必填|必要|必选|参数|字段)\\b)*" +
		"(?:必填|必要|必选)?(?:参数|字段)?[:： ]*['\"`]?(" + aField + ")['\"`]?(?: in ['\"`]?(" + aField + ")['\"`]?)?\\s*(?:$|[.,;)，。；])"),
	regexp.MustCompile("(?i)(" + aField + ")['\"`]? ?(?:(?:parameter|param|field) )?(?:(?:is|was) (?:missing|required|mandatory|absent|empty)|must not be (?:empty|blank|null)|(?:can ?not|can't) be (?:empty|blank|null)|不能为空|必填|缺失)"),
}

// sentFields are those that each chat has, and words that name none.
var sentFields = []string{
	"model", "messages", "stream", "max_tokens", "role", "content", "signature", "authorization",
	"parameter", "param", "field", "argument", "member", "value", "body", "header", "object", "it", "this", "which", "nothing", "one",
}

// missingField gives the path of the field that the failure says is missing; empty for none.
func (x *exchange) missingField() string {
	for _, text := range append([]string{x.message}, x.said()...) {
		for _, pattern := range missingFields {
			found := pattern.FindStringSubmatch(text)
			if found == nil {
				continue
			}
			name := strings.TrimRight(found[1], ".-")
			if slices.Contains(sentFields, strings.ToLower(name)) {
				continue
			}
			if len(found) > 2 && found[2] != "" {
				name = strings.TrimRight(found[2], ".-") + "." + name
			}
			return name
		}
	}
	return ""
}

// clientTaken reports whether the token endpoint has taken the client, and by the same signature as calls have: what a call is
// refused for is then neither its id nor its key.
func (c *check) clientTaken() (known, signed bool) {
	grant, ok := grantOf(c.provider)
	if !ok || c.access.Access == "" {
		return false, false
	}
	return true, grant.Sign != nil
}

// clientSuspects says what an upstream may mean that does not know the client.
func (c *check) clientSuspects() (advice string, suspects []string) {
	switch known, signed := c.clientTaken(); {
	case signed:
		return "the token endpoint has taken the same client and signature, so that those are right: look for the upstream's place of the access token, or another field that names the app",
			append(c.untried(texts(tokenHeaderOptions)), c.suspectedLayout()...)
	case known:
		return "the token endpoint knows the client: this is about the version of its key, or the field that names the app in a call",
			append([]string{"key <version> <key>"}, c.suspectedLayout()...)
	}
	return "the upstream does not know the client, or that version of its key", []string{"client_id", "key <version> <key>"}
}

// formOf describes what a token request has.
func formOf(source *token.Source, grant *token.Grant) string {
	has := "grant_type=client_credentials"
	if source.RefreshToken != "" {
		has = "grant_type=refresh_token, refresh_token"
	}
	if grant.Scope != "" {
		has += ", scope"
	}
	form := "a form"
	switch grant.Auth {
	case token.AuthJSON:
		form = "JSON"
	case token.AuthQuery:
		form = "a query"
	}
	form += " with " + has
	switch {
	case grant.Auth == token.AuthForm || grant.Auth == token.AuthJSON || grant.Auth == token.AuthQuery:
		form += ", client_id"
		if grant.Secret != "" {
			form += ", client_secret"
		}
	case grant.Secret != "":
		form += "; client id and secret by HTTP Basic"
	}
	switch {
	case grant.Sign != nil && grant.Secret == "":
		form += "; signed, without a client secret"
	case grant.Sign != nil:
		form += "; signed"
	}
	return form
}

// refusedTexts gives what a token endpoint's refusal says.
func refusedTexts(x *exchange) []string {
	if x.answer == nil || x.answer.StatusCode < http.StatusBadRequest {
		return nil
	}
	return said(x.body, x.reason)
}
