package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// maxNamesDepth is how deep answers are searched for what the gateway reads of them.
const maxNamesDepth = 3

// member is a member of an answer, somewhere in it.
type member struct {
	path wire.Path
	// name is the last of path in lower case, without separators.
	name string
	// text is its value, where that is a string or a number.
	text   string
	number bool
	// value is its value as JSON; of a string, the text.
	value []byte
	// models says that its value is an object with a list of models.
	models bool
}

var separators = strings.NewReplacer("_", "", "-", "", ".", "", " ", "")

// membersOf gives the members of a JSON object, of objects in it, and of those in strings:
// the outer before the inner, and else in the order of their names.
func membersOf(body []byte) []member {
	var all []member
	level := []wire.Path{nil}
	objects := [][]byte{body}
	for range maxNamesDepth {
		var paths []wire.Path
		var inner [][]byte
		for i, object := range objects {
			var members map[string]json.RawMessage
			if json.Unmarshal(object, &members) != nil {
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(members)) {
				if name == "" {
					continue
				}
				m := member{path: append(slices.Clone(level[i]), name), name: separators.Replace(strings.ToLower(name))}
				value := members[name]
				var text string
				if json.Unmarshal(value, &text) == nil {
					m.text = text
					value = []byte(text)
				} else if _, err := strconv.ParseFloat(string(value), 64); err == nil {
					m.text, m.number = string(value), true
				}
				m.value = value
				m.models = len(modelsOf(value)) > 0
				all = append(all, m)
				paths, inner = append(paths, m.path), append(inner, value)
			}
		}
		level, objects = paths, inner
	}
	return all
}

// firstOf gives the path of the first member for which is holds, as an option has it; empty
// for none.
func firstOf(all []member, is func(member) bool) (path string, found member) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i].path.String(), all[i]
	}
	return "", member{}
}

// isWord reports whether a member's value may be a code: one word.
func (m member) isWord() bool {
	return m.text != "" && len(m.text) <= 64 && !strings.ContainsFunc(m.text, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"`{}", r)
	})
}

func (m member) isCode() bool {
	named := strings.HasSuffix(m.name, "code") || strings.HasSuffix(m.name, "errno") || strings.HasSuffix(m.name, "errid") || m.name == "err" || m.name == "error" || m.name == "errortype"
	return named && m.isWord()
}

func (m member) isMessage() bool {
	return m.text != "" && !m.number && slices.ContainsFunc([]string{"msg", "message", "text", "desc", "reason", "detail"}, func(word string) bool { return strings.Contains(m.name, word) })
}

func (m member) isRequestID() bool {
	return m.isWord() && slices.ContainsFunc([]string{"traceid", "requestid", "reqid", "logid", "tracerid"}, func(word string) bool { return strings.HasSuffix(m.name, word) })
}

// answerNames gives what the option answer has to say for this answer to be read, with what
// it says already: the list of models of a success, or the code of a failure, where those are
// not where they are looked for. ok is false where there is nothing new to say.
func answerNames(p *upstream.Provider, x *exchange) (fields wire.AnswerFields, ok bool) {
	if p.AnswerFields != nil {
		fields = *p.AnswerFields
	}
	if x == nil || x.answer == nil || p.Profile.Format != wire.OpenAI {
		return fields, false
	}
	members := membersOf(x.body)
	inside, list := firstOf(members, func(m member) bool { return m.models })
	switch {
	case x.answer.StatusCode >= http.StatusBadRequest || inside == "" && len(modelsOf(x.body)) == 0:
		return errorNames(fields, members, x)
	case x.verdict == good && len(x.models) > 0:
		inside = fields.Inside // it has been found
	case fields.Inside != "" || fields.Success != "":
		return fields, false // the contract's words come before a guess
	}
	path, success := firstOf(members, func(m member) bool {
		return m.isCode() && len(m.path) <= max(len(list.path), 1) && !knownSuccess(m.text)
	})
	if path != "" && fields.Success == "" {
		fields.Success, fields.SuccessValues, ok = path, []string{success.text}, true
	}
	if inside != fields.Inside {
		fields.Inside, ok = inside, true
	}
	return fields, ok
}

// knownSuccess reports whether a code says success without an option.
func knownSuccess(code string) bool {
	_, a, err := (*wire.AnswerForm)(nil).ParseBody(fmt.Appendf(nil, `{"code":%q}`, code), false)
	return err == nil && a.Failure == nil
}

// errorNames adds where a failure has its code.
func errorNames(fields wire.AnswerFields, members []member, x *exchange) (wire.AnswerFields, bool) {
	if x.code != "" || len(fields.Code) > 0 {
		return fields, false
	}
	code, found := firstOf(members, member.isCode)
	if code == "" {
		return fields, false
	}
	fields.Code = []string{code}
	beside := slices.DeleteFunc(slices.Clone(members), func(m member) bool { return len(m.path) != len(found.path) })
	if message, _ := firstOf(beside, member.isMessage); message != "" && x.message == "" && len(fields.Message) == 0 {
		fields.Message = []string{message}
	}
	if id, _ := firstOf(members, member.isRequestID); id != "" && len(fields.RequestID) == 0 {
		fields.RequestID = []string{id}
	}
	retry, wait := firstOf(beside, func(m member) bool { return m.number && strings.Contains(m.name, "retry") })
	if retry != "" && fields.RetryAfter == "" {
		fields.RetryAfter, fields.RetryUnit = retry, time.Second
		if strings.HasSuffix(wait.name, "ms") || strings.Contains(wait.name, "milli") {
			fields.RetryUnit = time.Millisecond
		}
	}
	return fields, true
}

// answerOption is the option answer, whole.
func answerOption(fields wire.AnswerFields) option {
	patch := make(map[string]any)
	var lines []string
	say := func(name string, values ...string) {
		words := make([]string, len(values))
		for i, value := range values {
			words[i] = quoted(value)
		}
		lines = append(lines, "\t"+name+" "+strings.Join(words, " ")+"\n")
	}
	if fields.Inside != "" {
		say("inside", fields.Inside)
		patch["inside"] = fields.Inside
	}
	if fields.Success != "" {
		say("success", append([]string{fields.Success}, fields.SuccessValues...)...)
		patch["success"], patch["success_values"] = fields.Success, fields.SuccessValues
	}
	for _, list := range []struct {
		name  string
		paths []string
	}{{"code", fields.Code}, {"message", fields.Message}, {"request_id", fields.RequestID}} {
		if len(list.paths) > 0 {
			say(list.name, list.paths...)
			patch[list.name] = list.paths
		}
	}
	if fields.RetryAfter != "" {
		unit := "s"
		if fields.RetryUnit == time.Millisecond {
			unit = "ms"
		}
		say("retry_after", fields.RetryAfter, unit)
		patch["retry_after"], patch["retry_after_unit"] = fields.RetryAfter, unit
	}
	if s := fields.Stream; s != nil {
		text, inner := streamOption(s)
		lines, patch["stream"] = append(lines, text), inner
	}
	return option{text: "answer {\n" + strings.Join(lines, "") + "}", patch: patchOf("answer", patch), step: stepModels, answers: true}
}

// patchOf is a merge patch of one option.
func patchOf(name string, value any) string {
	patch, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(patch)
}

// longLife is a number that, as seconds, is a longer life than access tokens have, and as
// milliseconds ten minutes.
const longLife = 600_000

// tokenNames gives where an answer of a token endpoint has the token, in place of where it
// is looked for; ok is false where it has none that can be told by its name.
func tokenNames(body []byte) (fields token.AnswerFields, ok bool) {
	members := membersOf(body)
	isToken := func(m member) bool {
		return strings.HasSuffix(m.name, "token") && !m.number && len(m.text) >= 8 && m.isToken()
	}
	fields.AccessToken, _ = firstOf(members, func(m member) bool { return isToken(m) && !isRefresh(m) })
	if fields.AccessToken == "" {
		return fields, false
	}
	fields.RefreshToken, _ = firstOf(members, func(m member) bool {
		return isRefresh(m) && !m.number && m.isToken() && len(m.text) >= 8
	})
	expires, end := firstOf(members, func(m member) bool {
		return m.text != "" && !isRefresh(m) && slices.ContainsFunc([]string{"expire", "expir", "ttl", "validity", "lifetime"}, func(word string) bool { return strings.Contains(m.name, word) })
	})
	if unit := unitOf(end); unit != "" {
		fields.Expires, fields.Unit = expires, unit
	}
	return fields, true
}

func (m member) isToken() bool {
	return !strings.ContainsFunc(m.text, func(r rune) bool { return r <= ' ' || r > '~' })
}

func isRefresh(m member) bool {
	return strings.HasPrefix(m.name, "refresh") || strings.HasPrefix(m.name, "renew") || strings.HasPrefix(m.name, "re") && strings.Contains(m.name, "expir")
}

// unitOf is what a number or text about the end of a token seems to be; empty for neither.
// A number that may be either is taken for milliseconds: the token is then renewed too early
// at worst.
func unitOf(m member) token.ExpiryUnit {
	n, err := strconv.ParseFloat(m.text, 64)
	switch {
	case err != nil:
		for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02T15:04:05"} {
			if _, err := time.Parse(layout, m.text); err == nil {
				return token.ExpiryDate
			}
		}
		return ""
	case n < 1 || math.IsInf(n, 0):
		return ""
	case n >= 1e11:
		return token.ExpiryUnixMilliseconds
	case n >= 1e9:
		return token.ExpiryUnix
	case n >= longLife || strings.HasSuffix(m.name, "ms") || strings.Contains(m.name, "milli"):
		return token.ExpiryMilliseconds
	}
	return token.ExpirySeconds
}

// tokenAnswerOption is the option answer of token.
func tokenAnswerOption(fields token.AnswerFields) option {
	patch := map[string]any{"access_token": fields.AccessToken}
	text := "token <url> <secret> {\n\tanswer {\n\t\taccess_token " + quoted(fields.AccessToken) + "\n"
	if fields.RefreshToken != "" {
		patch["refresh_token"] = fields.RefreshToken
		text += "\t\trefresh_token " + quoted(fields.RefreshToken) + "\n"
	}
	if fields.Expires != "" {
		patch["expires"], patch["expires_unit"] = fields.Expires, fields.Unit
		text += "\t\texpires " + quoted(fields.Expires) + " " + string(fields.Unit) + "\n"
	}
	return option{text: text + "\t}\n}", patch: patchOf("token", map[string]any{"answer": patch}), step: stepToken}
}
