package alipaycaddy

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-alipayai/gateway/alipayai/upstream"
)

// Request says what is around a request, where an upstream wants more than OpenAI's
// form. Its paths are those of Answer.
type Request struct {
	// The member that holds the model call. Default: none, it is at the top, beside
	// the further members, which replace the client's of the same name.
	Inside string `json:"inside,omitempty"`

	// How `inside` holds it: as an `object`, or as JSON in a `string`. Default: `object`
	InsideForm string `json:"inside_form,omitempty"`

	// Further members whose values are strings, by their paths. Values are templates as
	// in Signature, with `{client_id}`, `{nonce}`, `{time}` and its forms, and
	// `{header.<Name>}` of what the request is sent with. Default: none.
	Fields map[string]string `json:"fields,omitempty" placeholder:"text"`

	// Further members whose values are JSON, such as numbers. Default: none.
	Values map[string]string `json:"values,omitempty" placeholder:"text"`

	// Where members of the model call stand that stand elsewhere than in OpenAI's form,
	// by their names there, such as `messages`: paths. Default: none.
	Members map[string]string `json:"members,omitempty"`

	// The members, besides those, that the upstream knows; all others are left out and
	// named in `X-Alipayai-Unsupported`. Default: all.
	Keep []string `json:"keep,omitempty"`

	// The members that the upstream does not know. Default: none.
	Drop []string `json:"drop,omitempty"`

	// The members that the upstream takes as arrays alone, such as `stop`: one value
	// becomes an array of it. Default: none.
	Lists []string `json:"lists,omitempty"`

	// Where the text that a conversation begins with stands, for an upstream that takes
	// no messages of the role `system`. Default: in the messages.
	System string `json:"system,omitempty"`

	// How the names of the call's members are written: `pascal`, as in `MaxTokens`.
	// Default: as in OpenAI's form.
	Names string `json:"names,omitempty"`

	// Header fields of requests that ask for a stream. Default: none.
	StreamHeaders map[string]string `json:"stream_headers,omitempty"`

	// The form of `{time}`, as in Signature. Default: `ms`
	Time string `json:"time,omitempty"`

	// The zone of times, as in Signature. Default: `Z`, UTC
	Zone string `json:"zone,omitempty"`
}

// unmarshalRequest reads the option request of a provider.
func (p *Provider) unmarshalRequest(d *caddyfile.Dispenser) error { return readRequest(&p.Request)(d) }

// readRequest reads the option request of a provider, or of a simulated app.
func readRequest(to **Request) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if err := args(d); err != nil {
			return err
		}
		r := new(Request)
		*to = r
		return block(d, "request",
			option{form: "inside <path> [object|string], such as inside biz_content string", read: func(d *caddyfile.Dispenser) error {
				err := pathAndUnit(&r.Inside, &r.InsideForm)(d)
				if err == nil && !slices.Contains([]string{"", "object", "string"}, r.InsideForm) {
					return errArguments
				}
				return err
			}},
			option{form: `field <path> "<template>", such as field app_id {client_id}`, read: named(&r.Fields, word), repeats: true},
			option{form: `value <path> "<template>", such as value timestamp {time_ms}`, read: named(&r.Values, word), repeats: true},
			option{form: "member <name> <path>, such as member messages input.messages", read: named(&r.Members, word), repeats: true},
			option{form: "keep <names...>, such as keep messages temperature", read: list(&r.Keep)},
			option{form: "drop <names...>, such as drop stream stream_options", read: list(&r.Drop)},
			option{form: "list <names...>, such as list stop", read: list(&r.Lists)},
			option{form: "system <path>, such as system system", read: text(&r.System)},
			option{form: "names pascal", read: text(&r.Names)},
			option{form: "stream_header <name> <value>, such as stream_header X-Stream enable", read: named(&r.StreamHeaders, word), repeats: true},
			option{form: "time ms|s|iso|iso_ms|basic|local|digits|rfc1123", read: text(&r.Time)},
			option{form: "zone <offset>, such as zone +08:00", read: text(&r.Zone)},
		)
	}
}

// fields gives the option as the domain has it; nil for none.
func (r *Request) fields() (*upstream.RequestFields, error) {
	if r == nil {
		return nil, nil
	}
	if r.InsideForm != "" && r.InsideForm != "object" && r.InsideForm != "string" {
		return nil, fmt.Errorf("request: inside: form %q is unknown; use object or string", r.InsideForm)
	}
	return &upstream.RequestFields{
		Inside: r.Inside, Text: r.InsideForm == "string", Fields: r.Fields, Values: r.Values, Time: r.Time, Zone: r.Zone,
		Members: r.Members, Keep: r.Keep, Drop: r.Drop, Lists: r.Lists, System: r.System, Names: r.Names,
	}, nil
}

// streamHeader is what requests for a stream have besides; nil for nothing.
func (r *Request) streamHeader() (http.Header, error) {
	if r == nil || len(r.StreamHeaders) == 0 {
		return nil, nil
	}
	h := make(http.Header, len(r.StreamHeaders))
	for name, value := range r.StreamHeaders {
		own, err := ownHeader("request: stream_header", name)
		if err != nil {
			return nil, err
		}
		if err := checkHeaderValue("request: stream_header "+name, value); err != nil {
			return nil, err
		}
		h[own] = []string{value}
	}
	return h, nil
}
