package alipayai_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/pack"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// packed turns packing on. Calls that come at once need no more time to come together
// than this, on a machine however busy.
func packed(edits ...func(*alipayai.Packs)) func(*alipayai.Gateway) {
	return func(g *alipayai.Gateway) {
		g.Packs = &alipayai.Packs{MaxWait: time.Second, Verify: -1}
		for _, edit := range edits {
			edit(g.Packs)
		}
	}
}

// of makes packs of n calls: with the n-th a pack is full, and leaves.
func of(n int) func(*alipayai.Packs) {
	return func(k *alipayai.Packs) { k.MaxCalls = n }
}

// userBody is a chat of an end user, with other members.
func userBody(user, prompt string, members ...string) string {
	text, _ := json.Marshal(prompt)
	name, _ := json.Marshal(user)
	return `{"model":"alipay-fin-1","user":` + string(name) + `,` + strings.Join(append(members, ""), ",") +
		`"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":` + string(text) + `}]}`
}

// together makes calls at once and gives their answers, in order.
func (r *rig) together(bodies []string, header ...string) []reply {
	r.t.Helper()
	return r.togetherAt("/v1/chat/completions", bodies, header...)
}

func (r *rig) togetherAt(path string, bodies []string, header ...string) []reply {
	r.t.Helper()
	got := make([]reply, len(bodies))
	var wg sync.WaitGroup
	for i, body := range bodies {
		wg.Go(func() { got[i] = r.do(r.t.Context(), "POST", path, body, header...) })
	}
	wg.Wait()
	return got
}

// saying is the text of an answer, of a stream too.
func saying(t *testing.T, got reply) string {
	t.Helper()
	if got.status != 200 || got.err != nil {
		t.Errorf("%d %s (%v)", got.status, got.body, got.err)
		return ""
	}
	type part struct{ Content string }
	var text strings.Builder
	for line := range strings.Lines(got.body) {
		if line = strings.TrimSpace(strings.TrimPrefix(line, "data: ")); line == "" || line == "[DONE]" {
			continue
		}
		var answer struct {
			Choices []struct{ Message, Delta part }
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Errorf("%q: %v", line, err)
			return ""
		}
		for _, choice := range answer.Choices {
			text.WriteString(choice.Message.Content + choice.Delta.Content)
		}
	}
	return text.String()
}

const chats = "/v1/chat/completions"

// Calls of one end user leave as one request, and each gets its own answer.
func TestCallsLeaveTogether(t *testing.T) {
	r := newRig(t, sandbox.Config{}, packed(of(7)))
	var bodies []string
	for i := range 7 {
		members := []string{`"temperature":0.5`}
		if i%2 == 1 {
			members = append(members, `"stream":true,"stream_options":{"include_usage":true}`)
		}
		bodies = append(bodies, userBody("u1", "question "+strconv.Itoa(i), members...))
	}
	got := r.together(bodies)
	var prompt, completion, total int64
	for i, one := range got {
		if text, want := saying(t, one), "You said: question "+strconv.Itoa(i); text != want {
			t.Errorf("call %d was answered %q, want %q", i, text, want)
		}
		wantHeader(t, one, "X-Alipayai-Packed", "7", "X-Alipayai-Attempts", "1", "X-Alipayai-Provider", "alipay")
		if stream := i%2 == 1; stream != strings.HasSuffix(one.body, "data: [DONE]\n\n") || stream != strings.Contains(one.header.Get("Content-Type"), "event-stream") {
			t.Errorf("call %d: %v %s", i, one.header, one.body)
		}
		o := r.outcome()
		if o.Packed != 7 || !strings.HasPrefix(o.Pack, "req_") || o.Pack == o.RequestID || !o.Usage.OK {
			t.Errorf("outcome %+v", o)
		}
		prompt, completion, total = prompt+o.Usage.Prompt, completion+o.Usage.Completion, total+o.Usage.Total
	}
	arrived := r.arrived.at(chats)
	if len(arrived) != 1 {
		t.Fatalf("%d requests reached the provider, want 1", len(arrived))
	}
	if attempts := r.seen.attempted(); !slices.Equal(attempts, []string{"alipay:"}) {
		t.Errorf("attempts %v, want 1", attempts)
	}
	var sent struct {
		Temperature float64
		User        string
		Messages    []struct{ Role, Content string }
	}
	if err := json.Unmarshal(arrived[0].body, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Temperature != 0.5 || sent.User != "u1" || len(sent.Messages) != 2 || !strings.HasPrefix(sent.Messages[0].Content, "Be brief.\n\n") {
		t.Errorf("sent %s", arrived[0].body)
	}
	// The simulator counts four characters to a token.
	count := func(text string) int64 { return int64(len(text)+3) / 4 }
	if want := count(sent.Messages[0].Content) + count(sent.Messages[1].Content); prompt != want || total != prompt+completion || completion == 0 {
		t.Errorf("the calls' usage sums to %d + %d = %d, the pack's prompt was %d", prompt, completion, total, want)
	}
}

// What the calls of a pack have to have in common, and what keeps a call on its own.
func TestWhatIsPacked(t *testing.T) {
	const plain = "hello"
	body := func(members ...string) string { return userBody("u1", plain, members...) }
	for name, test := range map[string]struct {
		bodies  [2]string
		headers [2][]string
		edit    func(*alipayai.Packs)
		apart   bool
	}{
		"equal":                      {bodies: [2]string{body(), body()}},
		"a parameter in other words": {bodies: [2]string{body(`"temperature":0`), body(`"temperature":0.0`)}},
		"what says nothing":          {bodies: [2]string{body(`"n":1`, `"tools":[]`, `"response_format":{"type":"text"}`), body(`"logprobs":null`)}},
		"a stream":                   {bodies: [2]string{body(`"stream":true`), body()}},
		"max_tokens":                 {bodies: [2]string{body(`"max_tokens":100`), body(`"max_tokens":100`)}},
		"users":                      {bodies: [2]string{body(), userBody("u2", plain)}, apart: true},
		"a user, and none":           {bodies: [2]string{body(), chatBody(plain)}, apart: true},
		"no user":                    {bodies: [2]string{chatBody(plain), chatBody(plain)}, apart: true},
		"no user, across_users":      {bodies: [2]string{chatBody(plain), chatBody(plain)}, edit: func(k *alipayai.Packs) { k.AcrossUsers = true }},
		"users, across_users":        {bodies: [2]string{body(), userBody("u2", plain)}, edit: func(k *alipayai.Packs) { k.AcrossUsers = true }},
		"users of a header": {
			bodies: [2]string{chatBody(plain), chatBody(plain)}, headers: [2][]string{{"X-User", "a"}, {"X-User", "b"}}, apart: true,
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"a user of a header": {
			bodies: [2]string{chatBody(plain), chatBody(plain)}, headers: [2][]string{{"X-User", "a"}, {"X-User", "a"}},
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"users by case":           {bodies: [2]string{userBody("U1", plain), userBody("u1", plain)}, apart: true},
		"users by form":           {bodies: [2]string{userBody("\u00e9", plain), userBody("e\u0301", plain)}, apart: true},
		"users by width":          {bodies: [2]string{userBody("u\uff11", plain), userBody("u1", plain)}, apart: true},
		"users by a space":        {bodies: [2]string{userBody("u1 ", plain), userBody("u1", plain)}, apart: true},
		"a user by an escape":     {bodies: [2]string{strings.Replace(body(), `"u1"`, `"\u0075\u0031"`, 1), body()}},
		"a user without a name":   {bodies: [2]string{userBody("", plain), userBody("", plain)}, apart: true},
		"a user of white space":   {bodies: [2]string{userBody(" \t", plain), userBody(" \t", plain)}, apart: true},
		"a user of zero width":    {bodies: [2]string{userBody("\u200b", plain), userBody("\u200b", plain)}, apart: true},
		"a user that is null":     {bodies: [2]string{strings.Replace(body(), `"u1"`, `null`, 1), strings.Replace(body(), `"u1"`, `null`, 1)}, apart: true},
		"one user of two tenants": {bodies: [2]string{body(), body()}, headers: [2][]string{{tenantHeader, "ab"}, {tenantHeader, "abu1"}}, apart: true},
		"a header, and as a field": {
			bodies: [2]string{chatBody(plain), userBody("a", plain)}, headers: [2][]string{{"X-User", "a"}, nil}, apart: true,
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"a header, and other fields": {
			bodies: [2]string{body(), userBody("u2", plain)}, headers: [2][]string{{"X-User", "a"}, {"X-User", "a"}}, apart: true,
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"a field, and other headers": {
			bodies: [2]string{body(), body()}, headers: [2][]string{{"X-User", "a"}, {"X-User", "b"}}, apart: true,
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"a header without a value": {
			bodies: [2]string{chatBody(plain), chatBody(plain)}, headers: [2][]string{{"X-User", ""}, {"X-User", ""}}, apart: true,
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"a user of a header that is not configured": {
			bodies: [2]string{chatBody(plain), chatBody(plain)}, headers: [2][]string{{"X-User", "a"}, {"X-User", "a"}}, apart: true,
		},
		"a header twice": {
			bodies: [2]string{body(), body()}, headers: [2][]string{{"X-User", "a", "X-User", "b"}, {"X-User", "a", "X-User", "b"}}, apart: true,
			edit: func(k *alipayai.Packs) { k.UserHeader = "X-User" },
		},
		"tenants":   {bodies: [2]string{body(), body()}, headers: [2][]string{{tenantHeader, "a"}, {tenantHeader, "b"}}, apart: true},
		"anonymous": {bodies: [2]string{body(), body()}, headers: [2][]string{{tenantHeader, "anonymous"}, {tenantHeader, "anonymous"}}, apart: true},
		"tenants, across_users": {
			bodies: [2]string{body(), body()}, headers: [2][]string{{tenantHeader, "a"}, {tenantHeader, "b"}}, apart: true,
			edit: func(k *alipayai.Packs) { k.AcrossUsers = true },
		},
		"an Idempotency-Key": {bodies: [2]string{body(), body()}, headers: [2][]string{{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}, apart: true},
		"a proof of payment": {bodies: [2]string{body(), body()}, headers: [2][]string{{"Payment-Proof", "a"}, {"Payment-Proof", "a"}}, apart: true},
		"models":             {bodies: [2]string{body(), strings.Replace(body(), "alipay-fin-1", "alipay-fin-mini", 1)}, apart: true},
		"system prompts":     {bodies: [2]string{body(), strings.Replace(body(), "Be brief", "Be long", 1)}, apart: true},
		"parameters":         {bodies: [2]string{body(`"temperature":0`), body(`"temperature":1`)}, apart: true},
		"a seed":             {bodies: [2]string{body(`"seed":1`), body(`"seed":1`)}, apart: true},
		"several answers":    {bodies: [2]string{body(`"n":2`), body(`"n":2`)}, apart: true},
		"a bias":             {bodies: [2]string{body(`"logit_bias":{"1":1}`), body(`"logit_bias":{"1":1}`)}, apart: true},
		"sound":              {bodies: [2]string{body(`"modalities":["text","audio"]`), body(`"modalities":["text","audio"]`)}, apart: true},
		"what is unknown":    {bodies: [2]string{body(`"later":1`), body(`"later":1`)}, apart: true},
		"a stop":             {bodies: [2]string{body(`"stop":["a"]`), body(`"stop":["a"]`)}, apart: true},
		"tools": {
			bodies: [2]string{body(`"tools":[{"type":"function","function":{"name":"f"}}]`), body(`"tools":[{"type":"function","function":{"name":"f"}}]`)}, apart: true,
		},
		"a schema":          {bodies: [2]string{body(`"response_format":{"type":"json_object"}`), body(`"response_format":{"type":"json_object"}`)}, apart: true},
		"logprobs":          {bodies: [2]string{body(`"logprobs":true`), body(`"logprobs":true`)}, apart: true},
		"another's special": {bodies: [2]string{body(`"enable_search":true`), body(`"enable_search":true`)}, apart: true},
		"much at most":      {bodies: [2]string{body(`"max_tokens":4096`), body(`"max_tokens":4096`)}, apart: true},
		"an option of streams": {
			bodies: [2]string{body(`"stream":true`, `"stream_options":{"x":1}`), body(`"stream":true`, `"stream_options":{"x":1}`)}, apart: true,
		},
		"a long text": {bodies: [2]string{userBody("u1", strings.Repeat("a", 2001)), userBody("u1", strings.Repeat("a", 2001))}, apart: true},
		"an image": {
			bodies: [2]string{
				strings.Replace(body(), `"hello"`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]`, 1),
				strings.Replace(body(), `"hello"`, `[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]`, 1),
			}, apart: true,
		},
		"a conversation": {
			bodies: [2]string{
				strings.Replace(body(), `{"role":"system"`, `{"role":"user","content":"hi"},{"role":"system"`, 1),
				strings.Replace(body(), `{"role":"system"`, `{"role":"user","content":"hi"},{"role":"system"`, 1),
			}, apart: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edits := []func(*alipayai.Packs){of(2)}
			if test.apart {
				// What is packed after all waits for a third, and does not come in time.
				edits = append(edits, func(k *alipayai.Packs) { k.MaxWait = time.Millisecond })
			}
			if test.edit != nil {
				edits = append(edits, test.edit)
			}
			r := newRig(t, sandbox.Config{}, packed(edits...))
			var wg sync.WaitGroup
			for i := range 2 {
				wg.Go(func() {
					if got := r.do(t.Context(), "POST", chats, test.bodies[i], test.headers[i]...); got.status != 200 && !strings.Contains(got.body, "PAYMENT") && !strings.Contains(got.body, "gives one choice") {
						t.Errorf("%d %s", got.status, got.body)
					}
				})
			}
			wg.Wait()
			want := 1
			if test.apart {
				want = 2
			}
			if arrived := r.arrived.at(chats); len(arrived) != want {
				t.Errorf("%d requests reached the provider, want %d", len(arrived), want)
			}
		})
	}
}

// One call alone leaves as it came, and its stream is the provider's own.
func TestOneCallLeavesAsItIs(t *testing.T) {
	for name, stream := range map[string]string{"JSON": `"stream":false`, "stream": `"stream":true`} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Config{}, packed(func(k *alipayai.Packs) { k.MaxWait = time.Millisecond }))
			body := userBody("u1", "hello [[events:5]]", stream)
			got := r.post(chats, body)
			if text := saying(t, got); !strings.HasPrefix(text, "You said: hello") {
				t.Errorf("answered %q", text)
			}
			if arrived := r.arrived.at(chats); len(arrived) != 1 || string(arrived[0].body) != body {
				t.Errorf("sent %s", arrived[0].body)
			}
			wantHeader(t, got, "X-Alipayai-Packed", "", "X-Alipayai-Attempts", "1")
			if o := r.outcome(); o.Packed != 0 || o.Pack != "" || o.RequestID != got.header.Get("X-Request-Id") {
				t.Errorf("outcome %+v", o)
			}
			if name == "stream" && strings.Count(got.body, "data: ") != 1+5+1+1 {
				t.Errorf("the stream is not the provider's own: %s", got.body)
			}
		})
	}
}

// Each way in which a model gets a pack wrong costs the calls that it concerns a request of
// their own, and changes no answer.
func TestMistakesAreAskedAlone(t *testing.T) {
	for kind, want := range map[sandbox.Kind]struct {
		alone   int
		mistake pack.Mistake
	}{
		sandbox.PackMissing:   {1, pack.Missing},
		sandbox.PackDoubled:   {1, pack.Doubled},
		sandbox.PackTypes:     {1, pack.Unparsable},
		sandbox.PackForeignID: {1, pack.ForeignID},
		sandbox.PackUnknownID: {5, pack.UnknownID},
		sandbox.PackExtra:     {5, pack.UnknownID},
		sandbox.PackProse:     {5, pack.Unparsable},
		sandbox.PackYAML:      {5, pack.Unparsable},
		sandbox.PackCut:       {5, pack.CutOff},
		sandbox.PackFenced:    {0, ""}, // around all that was asked for
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, sandbox.Config{}, packed(of(5)))
			r.set(sandbox.Fault{Kind: kind})
			var bodies []string
			for i := range 5 {
				bodies = append(bodies, userBody("u1", fmt.Sprint("question ", i)))
			}
			for i, got := range r.together(bodies) {
				if text := saying(t, got); text != fmt.Sprint("You said: question ", i) {
					t.Errorf("call %d was answered %q", i, text)
				}
			}
			alone := 0
			for range bodies {
				switch o := r.outcome(); o.AskedAlone {
				case "":
					if o.Packed != 5 || o.Attempts != 1 {
						t.Errorf("outcome %+v", o)
					}
				case string(want.mistake):
					if alone++; o.Packed != 0 || o.Attempts != 2 || o.Pack == "" {
						t.Errorf("outcome %+v", o)
					}
				default:
					t.Errorf("asked alone for %q, want %q", o.AskedAlone, want.mistake)
				}
			}
			if requests := len(r.arrived.at(chats)); alone != want.alone || requests != 1+want.alone {
				t.Errorf("%d calls were asked alone, with %d requests; want %d", alone, requests, want.alone)
			}
		})
	}
}

// Embeddings of one tenant become one array of inputs.
func TestEmbeddingsLeaveTogether(t *testing.T) {
	r := newRig(t, sandbox.Config{}, packed(of(4)))
	bodies := []string{
		`{"model":"alipay-embed-1","input":"one"}`,
		`{"model":"alipay-embed-1","input":["two","three"],"user":"u2"}`,
		`{"model":"alipay-embed-1","input":["four"],"user":"u3"}`,
	}
	got := r.togetherAt("/v1/embeddings", bodies)
	if n := len(r.arrived.at("/v1/embeddings")); n != 1 {
		t.Errorf("%d requests reached the provider, want 1", n)
	}
	type list struct {
		Data []struct {
			Index     int
			Embedding []float64
		}
	}
	plain := newRig(t, sandbox.Config{})
	for i, body := range bodies {
		var here, alone list
		if err := json.Unmarshal([]byte(got[i].body), &here); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(plain.post("/v1/embeddings", body).body), &alone); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(here) != fmt.Sprint(alone) || len(here.Data) == 0 {
			t.Errorf("%s: %v, alone %v", body, here, alone)
		}
		wantHeader(t, got[i], "X-Alipayai-Packed", "3")
	}
	total := int64(0)
	for range bodies {
		total += r.outcome().Usage.Total
	}
	if total != 1+1+2+1 { // as the simulator counts
		t.Errorf("%d tokens in all", total)
	}
}
