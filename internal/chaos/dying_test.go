package main

import (
	"testing"
)

// Replicas die and freeze in the middle of calls: no key is sent twice, and its repeats say what is known.
func TestReplicasThatDie(t *testing.T) {
	s := short
	s.dying = 6
	w, err := beginDying(t.Context(), s, newRedis(t).addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.end(); err != nil { // after a round of each
		t.Fatal(err)
	}
	r := report{lines: w.lines()}
	if !r.holds() {
		t.Errorf("seed %d:\n%s", s.seed, r)
	}
	t.Log("\n", r)
}

// What must not happen to a key of class money is seen where it does.
func TestJudgesDyingReplicas(t *testing.T) {
	q := asks(false)
	q.key = "pay"
	says := func(status int, code string) reply {
		return reply{request: q, status: status, body: `{"error":{"message":"m","type":"t","code":"` + code + `"}}`}
	}
	answer := reply{request: q, status: 200, body: `{"id":"c-1","model":"m","choices":[{"message":{"content":"` + q.said() + `"},"finish_reason":"stop"}]}`}
	cutOff := reply{request: q, status: 200, body: `{"id":"c-1","model":"m","choices":[{"mess`}
	const (
		twice = "keys of class money sent twice, with a replica dead or frozen"
		wrong = "repeats of them with neither a 409, a 503 nor the answer"
		stuck = "repeats of them in flight after the lease"
	)
	inFlight, unresolved, unavailable := says(409, "idempotency_in_flight"), says(409, "idempotency_unresolved"), says(503, codeUnavailable)
	for name, test := range map[string]struct {
		asked   int
		first   reply
		repeats []reply // the last one is late
		want    []string
	}{
		"its outcome is unknown":        {1, reply{request: q}, []reply{inFlight, unresolved}, nil},
		"it never left":                 {1, reply{request: q}, []reply{inFlight, answer}, nil},
		"it was sent again":             {2, reply{request: q}, []reply{inFlight, answer}, []string{twice}},
		"half an answer":                {1, answer, []reply{cutOff, unresolved}, []string{wrong}},
		"an error of another kind":      {1, answer, []reply{says(502, "upstream_timeout"), unresolved}, []string{wrong}},
		"no reply":                      {1, answer, []reply{{request: q}, unresolved}, []string{wrong}},
		"still in flight":               {1, reply{request: q}, []reply{inFlight, inFlight}, []string{stuck}},
		"perhaps claimed while away":    {1, reply{request: q}, []reply{unavailable, inFlight}, nil},
		"perhaps claimed when it froze": {0, unavailable, []reply{inFlight, inFlight}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &dying{upstream: newActing(nil)}
			w.upstream.counts[q.prompt] = test.asked
			w.fates = []fate{{request: q, first: test.first, repeats: test.repeats, late: len(test.repeats) - 1}}
			wantFailing(t, report{lines: w.lines()}, test.want...)
		})
	}
}
