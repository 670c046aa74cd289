package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-alipayai/gateway/alipayai"
	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
	"github.com/caddy-alipayai/gateway/failover"
)

// answered is what a client got for a request with that key, by answer id.
func answered(key, id string, header ...string) reply {
	q := asks(true)
	q.key = key
	h := make(http.Header)
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return reply{request: q, status: http.StatusOK, header: h, body: events(id, "m", q.said(), "stop", "[DONE]")}
}

// quiet is a rig to which nothing has happened.
func quiet(t *testing.T) *rig {
	t.Helper()
	r := &rig{seen: newLedger(), replicas: make([]*replica, 2)}
	for name, to := range map[string]**upstream{first: &r.alipay, second: &r.claude} {
		u, err := newUpstream(t.Context(), name, "/v1/chat/completions", sandbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(u.site.close)
		*to = u
	}
	return r
}

// wantFailing checks which invariants do not hold, of those that something must not happen.
func wantFailing(t *testing.T, r report, want ...string) {
	t.Helper()
	var got []string
	for _, l := range r.lines {
		if !l.holds() && l.least == 0 {
			got = append(got, l.what)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("failing are %q, want %q", got, want)
	}
	if len(want) > 0 && (r.holds() || !strings.Contains(r.String(), "FAIL  "+want[0])) {
		t.Errorf("the report does not say so:\n%s", r)
	}
}

func TestJudgesKeys(t *testing.T) {
	served, refused, lost := alipayai.Outcome{Attempts: 1}, alipayai.Outcome{Attempts: 1, Code: "throttled"}, alipayai.Outcome{Attempts: 1, Code: "upstream_timeout"}
	aborted := alipayai.Outcome{Attempts: 1, Code: "upstream_timeout", Aborted: true}
	again := alipayai.Outcome{Stored: alipayai.StoredClaim}
	for name, test := range map[string]struct {
		replies []reply
		runs    []alipayai.Outcome
		whole   []string // at the first upstream
		want    []string
	}{
		"once":                     {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{served}, whole: []string{"c-1"}},
		"given again":              {replies: []reply{answered("k", "c-1"), answered("k", "c-1", "Age", "1")}, runs: []alipayai.Outcome{served, again}, whole: []string{"c-1"}},
		"refused before":           {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{refused, served}, whole: []string{"c-1"}},
		"another answer":           {replies: []reply{answered("k", "c-1"), answered("k", "c-2")}, whole: []string{"c-1"}, want: []string{"keys with two answers"}},
		"another key":              {replies: []reply{answered("k", "c-1"), answered("l", "c-2")}},
		"no key":                   {replies: []reply{answered("", "c-1"), answered("", "c-2")}, whole: []string{"c-1", "c-2"}},
		"served twice":             {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{served, served}, whole: []string{"c-1"}, want: []string{"keys served twice by the replicas"}},
		"sent again":               {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{served, refused}, want: []string{"keys served twice by the replicas"}},
		"sent after a broken one":  {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{aborted, refused}, want: []string{"keys served twice by the replicas"}},
		"answered twice":           {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{served}, whole: []string{"c-1", "c-2"}, want: []string{"keys answered twice by the upstreams"}},
		"answered twice, too late": {replies: []reply{answered("k", "c-1")}, runs: []alipayai.Outcome{lost}, whole: []string{"c-1", "c-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := quiet(t)
			w := &witness{ledger: r.seen}
			for _, o := range test.runs {
				o.RequestID = alipayai.NewRequestID()
				if o.Attempts > 0 {
					w.Attempted(alipayai.Attempt{RequestID: o.RequestID, Provider: first, Number: 1, Code: o.Code})
				}
				w.Settled(withKey(context.Background(), "tenant-1", "k"), o)
			}
			r.alipay.asked["id"], r.alipay.whole["id"] = asks(true).prompt, make(map[string]bool)
			for _, id := range test.whole {
				r.alipay.whole["id"][id] = true
			}
			wantFailing(t, judge(r, test.replies, &storm{}, 0, remains{}), test.want...)
		})
	}
}

func TestJudgesUpstreams(t *testing.T) {
	attempts := func(n int) func(*rig) {
		return func(r *rig) {
			for i := range 10 {
				w := &witness{ledger: r.seen, replica: 1}
				w.Attempted(alipayai.Attempt{RequestID: string(rune('a' + i)), Provider: first, Number: 1})
				w.Attempted(alipayai.Attempt{RequestID: string(rune('a' + i)), Provider: first, Number: 2})
			}
			r.alipay.arrived[1] = n
		}
	}
	for name, test := range map[string]struct {
		happens func(*rig)
		replies []reply
		want    []string
	}{
		"nothing":         {happens: func(*rig) {}},
		"in the budget":   {happens: attempts(22)},
		"over the budget": {happens: attempts(23), want: []string{"attempts of replica 1 at alipay, for 10 calls"}},
		"of no replica": {
			happens: func(r *rig) { r.claude.note(newArrival("", "id"), nil) },
			want:    []string{"attempts at claude of no replica"},
		},
		"another's id": {
			happens: func(r *rig) {
				r.claude.asked["id"], r.claude.whole["id"] = "tenant-2 asks 7", map[string]bool{"c-1": true}
			},
			replies: []reply{answered("", "c-1")},
			want:    []string{"answers crossed between calls"},
		},
		"two prompts of one id": {
			happens: func(r *rig) {
				for _, prompt := range []string{"tenant-1 asks 7", "tenant-2 asks 7"} {
					r.alipay.note(newArrival("0", "id"), []byte(prompt))
				}
			},
			want: []string{"answers crossed between calls"},
		},
		"a second provider with a reason": {
			happens: func(*rig) {}, replies: []reply{answered("", "c-1", "X-Alipayai-Provider", second, "X-Alipayai-Reason", "system_error")},
		},
		"a second provider without one": {
			happens: func(*rig) {}, replies: []reply{answered("", "c-1", "X-Alipayai-Provider", second)},
			want: []string{"answers of the second provider without a reason"},
		},
		"one given again": {happens: func(*rig) {}, replies: []reply{answered("", "c-1", "X-Alipayai-Provider", second, "Age", "0")}},
	} {
		t.Run(name, func(t *testing.T) {
			r := quiet(t)
			test.happens(r)
			wantFailing(t, judge(r, test.replies, &storm{}, 0, remains{}), test.want...)
		})
	}
}

// newArrival is a request at an upstream.
func newArrival(replica, id string) *http.Request {
	r, _ := http.NewRequest(http.MethodPost, "http://upstream/v1/chat/completions", http.NoBody)
	r.Header.Set(replicaHeader, replica)
	r.Header.Set("Idempotency-Key", id)
	return r
}

func TestJudgesWhatIsLeft(t *testing.T) {
	wantFailing(t, judge(quiet(t), nil, &storm{}, 1, remains{goroutines: 2, connections: 3, inFlight: 4}),
		"tenants and replicas not served when all is well", "goroutines left", "connections left", "calls left at the upstreams")
}

// A run in which too little has happened shows nothing, and fails.
func TestJudgesQuietRuns(t *testing.T) {
	r := quiet(t)
	(&witness{ledger: r.seen}).BreakerChanged("tenant-1", first, failover.Open)
	got := judge(r, []reply{answered("", "c-1")}, &storm{}, 0, remains{})
	if got.holds() || !strings.Contains(got.String(), "FAIL  errors of the right form") || !strings.Contains(got.String(), "PASS  breakers opened") {
		t.Errorf("it is taken for a success:\n%s", got)
	}
}
