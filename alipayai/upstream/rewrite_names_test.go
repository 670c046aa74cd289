package upstream

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/wire"
	"github.com/caddy-alipayai/gateway/limiter"
	"github.com/caddy-alipayai/gateway/signer"
)

// A client says nothing to an upstream with names of its own that the gateway does not read, by a member whose name is
// the upstream's already or becomes the same.
func TestNamesOfTheUpstreamsAreNotTheClients(t *testing.T) {
	e, err := newEnvelope(RequestFields{Names: "pascal"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ call, param, want string }{
		"OpenAI's": {
			call: `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"MaxTokens":{},"é":{}}}}}],"metadata":{"Own Name":"v"}}`,
			want: `{"Model":"m","MaxTokens":5,"Messages":[{"Role":"user","Content":"x"}],"Tools":[{"Type":"function","Function":{"Name":"f","Parameters":{"type":"object","properties":{"MaxTokens":{},"é":{}}}}}],"Metadata":{"Own Name":"v"}}`,
		},
		"every letter and digit": {
			call: `{"model":"m","messages":[],"abcdefghijklmnopqrstuvwxyz_a0123456789":1}`,
			want: `{"Model":"m","Messages":[],"AbcdefghijklmnopqrstuvwxyzA0123456789":1}`,
		},
		"the upstream's":         {call: `{"model":"m","messages":[],"MaxTokens":9}`, param: "MaxTokens"},
		"another model":          {call: `{"model":"m","Model":"dear","messages":[]}`, param: "Model"},
		"in camel case":          {call: `{"model":"m","messages":[],"maxTokens":9}`, param: "maxTokens"},
		"two underscores":        {call: `{"model":"m","messages":[],"max__tokens":9}`, param: "max__tokens"},
		"one before":             {call: `{"model":"m","messages":[],"_model":"dear"}`, param: "_model"},
		"an empty name":          {call: `{"model":"m","messages":[],"":1}`, param: ""},
		"of another alphabet":    {call: `{"model":"m","messages":[],"élan":1}`, param: "élan"},
		"which become the same":  {call: `{"model":"m","messages":[],"top_1":1,"top1":2}`, param: "top1"},
		"within a message":       {call: `{"model":"m","messages":[{"role":"assistant","tool_calls":[],"Content":"hidden"}]}`, param: "messages"},
		"the same in a message":  {call: `{"model":"m","messages":[{"role":"user","content_1":"a","content1":"b"}]}`, param: "messages"},
		"within a member of one": {call: `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a","Text":"b"}]}]}`, param: "messages"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := e.wrap([]byte(c.call), signer.Message{}, "app")
			if c.want != "" {
				if err != nil || string(got) != c.want {
					t.Errorf("%v\n%s\nwant\n%s", err, got, c.want)
				}
				return
			}
			refused, ok := errors.AsType[*wire.RequestError](err)
			if !ok || refused.Param != c.param || !json.Valid([]byte(c.call)) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
}

// What the upstream's form cannot carry is the request's fault, and not that of who signs; another provider may take it.
func TestUncarriedIsTheRequestsFault(t *testing.T) {
	base, err := url.Parse("https://one.example")
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{
		Name: "p", Profile: known(t, "openai"), BaseURL: base, Clock: new(Clock), RequestFields: &RequestFields{Names: "pascal"},
		Transport: transport(func(*http.Request) (*http.Response, error) { t.Error("it was sent"); return nil, errors.New("sent") }),
	}
	if err := p.Prepare(); err != nil {
		t.Fatal(err)
	}
	_, f := p.Send(t.Context(), &Request{
		Endpoint: EndpointChat, Body: []byte(`{"model":"m","Model":"dear","messages":[]}`), Tenant: "acme", Share: Share{Priority: limiter.Low},
		Deadline: time.Now().Add(time.Minute), Caller: failing{t: t},
	})
	if f == nil || f.Status != http.StatusBadRequest || f.Param != "Model" || !f.UnsupportedHere || !strings.Contains(f.Message, "Model") {
		t.Errorf("%+v", f)
	}
}

// failing fails a test where signing is said to have failed.
type failing struct {
	prober
	t *testing.T
}

func (f failing) SigningFailed(*Provider) { f.t.Error("signing is said to have failed") }
