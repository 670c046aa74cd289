package alipaycaddy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/token"
	"github.com/caddy-alipayai/gateway/alipayai/upstream"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// Answer says where an upstream's answers have what is read of them, where that is
// not as in OpenAI's form and those of Ant's interfaces. Its paths are names of
// members with a dot between them, such as `data.code`; a dot in a name is `\.`.
type Answer struct {
	// The member that holds what OpenAI's form has at the top, in answers and in the
	// events of streams. JSON in a string is read as well. Default: none, it is at
	// the top.
	Inside string `json:"inside,omitempty"`

	// The member that tells a success from a failure. Default: none, and a failure
	// is told by its form.
	Success string `json:"success,omitempty"`

	// The values of `success` in a success: with any other one an answer is a
	// failure, whatever its status. Required with `success`.
	SuccessValues []string `json:"success_values,omitempty"`

	// Where a failure's code is: the first of them that is there counts. Options
	// `on` go by it. Default: `error.code`, `code` and those of Ant's interfaces.
	Code []string `json:"code,omitempty"`

	// Where a failure's text is. Default: `error.message`, `message` and their kin.
	Message []string `json:"message,omitempty"`

	// Where the name is by which the upstream's support knows a call; the log has it
	// of calls that failed. Default: none.
	RequestID []string `json:"request_id,omitempty"`

	// Where a failure has how long to wait, at most a minute; the header
	// `Retry-After` counts first. Default: none.
	RetryAfter string `json:"retry_after,omitempty"`

	// The unit of `retry_after`, `s` or `ms`. Default: `s`
	RetryAfterUnit string `json:"retry_after_unit,omitempty"`

	// Where the text of an answer stands, in whole answers and in the events of streams: the first path counts that has
	// some. With it, all of an answer is read where these options say, and clients get OpenAI's form. Default: in
	// OpenAI's choices.
	Content []string `json:"content,omitempty"`

	// Where the text of its reasoning stands. Default: none.
	Reasoning []string `json:"reasoning,omitempty"`

	// Where tool calls stand. Default: none.
	ToolCalls *AnswerToolCalls `json:"tool_calls,omitempty"`

	// Where it says why an answer ended: the first that says so counts. Default: none, and an answer that has come to its
	// end is whole.
	Finish []AnswerFinish `json:"finish,omitempty"`

	// Where tokens are counted: the first that is there counts. Default: none.
	Usage []AnswerUsage `json:"usage,omitempty"`

	// What each event of a stream has of the text: `delta`, what is new, or `whole`, all there is so far. Default: `delta`
	Text string `json:"text,omitempty"`

	// How streams read. Default: as server-sent events of OpenAI's chunks, up to `[DONE]`.
	Stream *AnswerStream `json:"stream,omitempty"`
}

// AnswerStream says how an upstream's streams read, where that is not as
// server-sent events of OpenAI's chunks, up to `[DONE]`. What is around each chunk is
// what `inside` of Answer says.
type AnswerStream struct {
	// What a stream is made of: `sse`, server-sent events, or `json`, JSON values that
	// follow each other, as one on each line. Default: `sse`
	Form string `json:"form,omitempty"`

	// The member that names an event. Default: its field `event`.
	Name string `json:"name,omitempty"`

	// The names of events that hold the answer; others are passed over. Default: all
	// events hold it.
	Events []string `json:"events,omitempty"`

	// The names of events that report a failure. `error` always does. Default: none.
	Errors []string `json:"errors,omitempty"`

	// The data, or the names, of events that end the stream. `[DONE]` always does.
	// Default: none.
	End []string `json:"end,omitempty"`

	// The member that tells the last event, of which the answer is read first. Default: none.
	Last string `json:"last,omitempty"`

	// The values of `last` in the last event. Required with `last`.
	LastValues []string `json:"last_values,omitempty"`
}

// TokenAnswer says where a token endpoint's answers have what is read of them,
// where that is not as in RFC 6749 and Ant's interfaces. Its paths are those of
// Answer.
type TokenAnswer struct {
	// Where the access token is. Default: `access_token` or `accessToken`
	AccessToken string `json:"access_token,omitempty"`

	// Where the refresh token is. Default: `refresh_token` or `refreshToken`
	RefreshToken string `json:"refresh_token,omitempty"`

	// Where the end of the access token is. Default: `expires_in`, `expiresIn` or
	// `accessTokenExpiryTime`; without it a token lives for 30 minutes.
	Expires string `json:"expires,omitempty"`

	// What stands at `expires`: how long, in `s` or `ms`; or until when, as a `date` in
	// ISO 8601 (without a zone, China's time), or since 1970 in seconds (`unix`) or
	// milliseconds (`unix_ms`). Default: `s`
	ExpiresUnit string `json:"expires_unit,omitempty"`

	// The member that tells a success from a failure. Default: none, and a failure
	// is an answer without a token.
	Success string `json:"success,omitempty"`

	// The values of `success` in a success. Required with `success`.
	SuccessValues []string `json:"success_values,omitempty"`

	// Where a failure's code is: the first of them that is there counts.
	// Default: `error`, `sub_code`, `code` or `result.resultCode`
	Code []string `json:"code,omitempty"`
}

// unmarshalAnswer reads the option answer of a provider.
func (p *Provider) unmarshalAnswer(d *caddyfile.Dispenser) error { return readAnswer(&p.Answer)(d) }

// readAnswer reads the option answer of a provider, or of a simulated app.
func readAnswer(to **Answer) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if err := args(d); err != nil {
			return err
		}
		*to = new(Answer)
		return (*to).unmarshal(d)
	}
}

func (a *Answer) unmarshal(d *caddyfile.Dispenser) error {
	return block(d, "answer",
		option{form: "inside <path>, such as inside data.response", read: text(&a.Inside)},
		option{form: "success <path> <values...>, such as success code 10000", read: pathAndValues(&a.Success, &a.SuccessValues)},
		option{form: "code <paths...>, such as code sub_code code", read: list(&a.Code)},
		option{form: "message <paths...>", read: list(&a.Message)},
		option{form: "request_id <paths...>", read: list(&a.RequestID)},
		option{form: "retry_after <path> [s|ms]", read: pathAndUnit(&a.RetryAfter, &a.RetryAfterUnit)},
		option{form: "content <paths...>, such as content output.text output.choices.0.message.content", read: list(&a.Content)},
		option{form: "reasoning <paths...>", read: list(&a.Reasoning)},
		option{form: "tool_calls <path> [<id> <name> <arguments>], such as tool_calls output.calls id name arguments", read: a.unmarshalToolCalls},
		option{form: "finish <path> [<word>=<openai word>...], such as finish truncated true=length", read: a.unmarshalFinish, repeats: true},
		option{form: "usage <prompt path> <completion path> [<total path>], such as usage usage.input usage.output", read: a.unmarshalUsage, repeats: true},
		option{form: "text delta|whole", read: text(&a.Text)},
		option{form: "stream { ... }", read: a.unmarshalStream},
	)
}

func (a *Answer) unmarshalStream(d *caddyfile.Dispenser) error {
	if err := args(d); err != nil {
		return err
	}
	s := new(AnswerStream)
	a.Stream = s
	return block(d, "stream",
		option{form: "form sse|json", read: text(&s.Form)},
		option{form: "name <path>, such as name type", read: text(&s.Name)},
		option{form: "events <names...>, such as events message delta", read: list(&s.Events)},
		option{form: "errors <names...>", read: list(&s.Errors)},
		option{form: "end <words...>, such as end [END] finish", read: list(&s.End)},
		option{form: "last <path> <values...>, such as last is_end true", read: pathAndValues(&s.Last, &s.LastValues)},
	)
}

// unmarshalAnswer reads the option answer of a token.
func (t *Token) unmarshalAnswer(d *caddyfile.Dispenser) error {
	return readTokenAnswer("answer", &t.Answer)(d)
}

// readTokenAnswer reads the option answer of a token, or token_answer of a simulated app.
func readTokenAnswer(name string, to **TokenAnswer) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if err := args(d); err != nil {
			return err
		}
		*to = new(TokenAnswer)
		return block(d, name, (*to).options()...)
	}
}

func (a *TokenAnswer) options() []option {
	return []option{
		{form: "access_token <path>, such as access_token data.token", read: text(&a.AccessToken)},
		{form: "refresh_token <path>", read: text(&a.RefreshToken)},
		{form: "expires <path> [s|ms|date|unix|unix_ms], such as expires data.ttl ms", read: pathAndUnit(&a.Expires, &a.ExpiresUnit)},
		{form: "success <path> <values...>, such as success code 10000", read: pathAndValues(&a.Success, &a.SuccessValues)},
		{form: "code <paths...>, such as code sub_code code", read: list(&a.Code)},
	}
}

// pathAndValues reads a path and the values that may stand there.
func pathAndValues(path *string, values *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		given := d.RemainingArgs()
		if len(given) < 2 || slices.Contains(given, "") {
			return errArguments
		}
		*path, *values = given[0], given[1:]
		return nil
	}
}

// pathAndUnit reads a path and, if there is one, a unit.
func pathAndUnit(path, unit *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if d.CountRemainingArgs() == 1 {
			return args(d, path)
		}
		return args(d, path, unit)
	}
}

// fields gives the option as the domain has it; nil for none.
func (a *Answer) fields() (*wire.AnswerFields, error) {
	if a == nil {
		return nil, nil
	}
	fields := &wire.AnswerFields{
		Inside: a.Inside, Success: a.Success, SuccessValues: a.SuccessValues,
		Code: a.Code, Message: a.Message, RequestID: a.RequestID, RetryAfter: a.RetryAfter,
	}
	if s := a.Stream; s != nil {
		if !slices.Contains([]string{"", "sse", "json"}, s.Form) {
			return nil, fmt.Errorf("answer: stream: form %q is unknown; use sse or json", s.Form)
		}
		fields.Stream = &wire.StreamFields{
			Values: s.Form == "json", Name: s.Name, Events: s.Events, Errors: s.Errors, End: s.End, Last: s.Last, LastValues: s.LastValues,
		}
	}
	var err error
	if fields.Members, err = a.members(); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	switch {
	case a.RetryAfterUnit != "" && a.RetryAfter == "":
		return nil, fmt.Errorf("answer: retry_after has a unit, and no path; write it like retry_after data.wait ms")
	case a.RetryAfterUnit == "" || a.RetryAfterUnit == "s":
		fields.RetryUnit = time.Second
	case a.RetryAfterUnit == "ms":
		fields.RetryUnit = time.Millisecond
	default:
		return nil, fmt.Errorf("answer: retry_after: unit %q is unknown; use s or ms", a.RetryAfterUnit)
	}
	return fields, nil
}

// form gives the option as the domain has it; nil for none.
func (a *TokenAnswer) form() (*token.AnswerForm, error) {
	if a == nil {
		return nil, nil
	}
	form, err := token.NewAnswerForm(token.AnswerFields{
		AccessToken: a.AccessToken, RefreshToken: a.RefreshToken, Expires: a.Expires, Unit: token.ExpiryUnit(a.ExpiresUnit),
		Success: a.Success, SuccessValues: a.SuccessValues, Code: a.Code,
	})
	if err != nil {
		return nil, fmt.Errorf("token answer: %w", err)
	}
	return form, nil
}

// tokenFields are the fields of a token request whose names can be said.
var tokenFields = []string{"grant_type", "client_id", "client_secret", "refresh_token", "scope"}

// request gives grant its own names of the request's fields, and its further ones. identity
// is what these add to what makes another token.
func (t *Token) request(grant *token.Grant, p *upstream.Provider, s secrets) (identity string, err error) {
	used := make(map[string]string)
	for _, field := range tokenFields {
		used[cmp.Or(t.Fields[field], field)] = field
	}
	for _, field := range slices.Sorted(maps.Keys(t.Fields)) {
		switch {
		case !slices.Contains(tokenFields, field):
			return "", fmt.Errorf("token field %s is unknown; use grant_type, client_id, client_secret, refresh_token or scope", field)
		case (field == "client_id" || field == "client_secret") && (grant.Auth == "" || grant.Auth == token.AuthBasic):
			return "", fmt.Errorf("token field %s stands in no request with auth basic; set auth form or auth json", field)
		case used[t.Fields[field]] != field:
			return "", fmt.Errorf("token fields %s and %s have one name, %s", field, used[t.Fields[field]], t.Fields[field])
		}
	}
	grant.Fields, grant.Params = t.Fields, make(map[string]string, len(t.Params))
	for _, name := range slices.Sorted(maps.Keys(t.Params)) {
		value := t.Params[name]
		if field, ok := used[name]; ok {
			return "", fmt.Errorf("token param %s is the request's %s already", name, field)
		}
		if hasPlaceholder(value) || isSecretName(name) {
			if value, err = s.fill("token param "+name, value); err != nil {
				return "", err
			}
		}
		grant.Params[name] = value
		identity += fmt.Sprintf("%q=%q ", name, value)
	}
	return identity, nil
}
