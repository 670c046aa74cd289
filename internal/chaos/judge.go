package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-alipayai/gateway/alipayai/sandbox"
)

// line is one of the report.
type line struct {
	what  string
	count int
	// most is what count may be at most; least, if it is not zero, what it must be.
	most, least int
}

func (l line) holds() bool {
	if l.least > 0 {
		return l.count >= l.least
	}
	return l.count <= l.most
}

// report says line by line what was seen, and what it had to be.
type report struct {
	lines []line
	// reasons are why calls went on to the next provider, and how often.
	reasons map[string]int
	// memory says that there was no Redis.
	memory bool
}

func (r report) holds() bool {
	return !slices.ContainsFunc(r.lines, func(l line) bool { return !l.holds() })
}

// String is a table.
func (r report) String() string {
	var b strings.Builder
	for _, l := range r.lines {
		verdict, bound := "PASS", fmt.Sprintf("at most %d", l.most)
		if !l.holds() {
			verdict = "FAIL"
		}
		if l.least > 0 {
			bound = fmt.Sprintf("at least %d", l.least)
		}
		fmt.Fprintf(&b, "%s  %-62s %7d  %s\n", verdict, l.what, l.count, bound)
	}
	b.WriteString("calls went on to the next provider for")
	for _, reason := range slices.Sorted(maps.Keys(r.reasons)) {
		fmt.Fprintf(&b, " %s (%d)", reason, r.reasons[reason])
	}
	b.WriteByte('\n')
	if r.memory {
		b.WriteString("redis-server is not installed: the replicas shared memory\n")
	}
	return b.String()
}

// judge puts together what clients, replicas and upstreams have seen.
func judge(r *rig, replies []reply, w *storm, unserved int, behind remains) report {
	all := report{reasons: r.seen.fallen, memory: r.redis == nil}
	none := func(what string, count int) { all.lines = append(all.lines, line{what: what, count: count}) }
	some := func(what string, count int) { all.lines = append(all.lines, line{what: what, count: count, least: 1}) }

	verdicts := make(map[verdict]int)
	for _, got := range replies {
		verdicts[got.judge()]++
	}
	none("answers lost", verdicts[lost])
	none("good requests refused as bad ones", verdicts[blamed])
	none("answers crossed between calls", verdicts[crossed]+crossedIDs(r.upstreams(), replies))
	none("streams and answers cut, but shown as whole", verdicts[cut])
	none("answers spliced", verdicts[spliced])
	none("keys with two answers", twoAnswers(replies))
	none("keys served twice by the replicas", r.seen.servedTwice())
	none("keys answered twice by the upstreams", answeredTwice(r, replies))
	none("answers of the second provider without a reason", withoutReason(replies))
	for _, u := range r.upstreams() {
		for i := range r.replicas {
			calls := r.seen.calls[asked{i, u.name}]
			all.lines = append(all.lines, line{
				what:  fmt.Sprintf("attempts of replica %d at %s, for %d calls", i, u.name, calls),
				count: u.arrived[i], most: calls*12/10 + 10,
			})
		}
		none("attempts at "+u.name+" of no replica", u.arrived[-1])
	}
	peak := r.alipay.sim.Stats().PeakPerSecond[sandbox.DemoClientID]
	all.lines = append(all.lines, line{what: "most attempts at " + first + " in any second", count: peak, most: perSecond})
	none("tenants and replicas not served when all is well", unserved)
	none("goroutines left", behind.goroutines)
	none("connections left", behind.connections)
	none("calls left at the upstreams", behind.inFlight)

	// What did not happen shows nothing.
	some("whole answers", verdicts[whole])
	some("errors of the right form", verdicts[refused])
	some("streams visibly broken", verdicts[broken])
	some("clients that left", verdicts[left])
	some("answers given again", count(replies, reply.again))
	some("duplicates refused while the first was in flight or its outcome unknown", count(replies, func(r reply) bool { return r.status == 409 }))
	some("whole answers of the second provider", count(replies, func(r reply) bool { return r.fallen() && r.judge() == whole }))
	some("breakers opened", r.seen.openings())
	for _, u := range r.upstreams() {
		some("kinds of faults met at "+u.name, len(u.sim.Stats().Faults))
	}
	if r.redis != nil {
		some("times that Redis was stopped", w.paused)
		some("times that Redis was killed", w.restarted)
	}
	return all
}

func count(replies []reply, is func(reply) bool) (n int) {
	for _, r := range replies {
		if is(r) {
			n++
		}
	}
	return n
}

// fallen says that the second provider gave the answer, now.
func (r reply) fallen() bool {
	return r.status == 200 && r.header.Get("X-Alipayai-Provider") == second && !r.again()
}

func withoutReason(replies []reply) int {
	return count(replies, func(r reply) bool { return r.fallen() && r.header.Get("X-Alipayai-Reason") == "" })
}

// crossedIDs counts the answers that an upstream gave to another prompt, and the
// idempotency ids that two prompts had.
func crossedIDs(upstreams []*upstream, replies []reply) (n int) {
	prompts := make(map[string]string)
	for _, u := range upstreams {
		n += len(u.mixed)
		for prompt, ids := range u.answered() {
			for _, id := range ids {
				prompts[id] = prompt
			}
		}
	}
	return n + count(replies, func(r reply) bool {
		prompt, known := prompts[r.id()]
		return r.judge() == whole && known && prompt != r.prompt
	})
}

// byKey gives the replies to each Idempotency-Key.
func byKey(replies []reply) map[string][]reply {
	keys := make(map[string][]reply)
	for _, r := range replies {
		if r.key != "" {
			keys[r.tenant+" "+r.key] = append(keys[r.tenant+" "+r.key], r)
		}
	}
	return keys
}

// twoAnswers counts the keys for which clients saw more than one answer.
func twoAnswers(replies []reply) (n int) {
	for _, all := range byKey(replies) {
		ids := make(map[string]bool)
		for _, r := range all {
			if id := r.id(); r.status == 200 && id != "" {
				ids[id] = true
			}
		}
		if len(ids) > 1 {
			n++
		}
	}
	return n
}

// servedTwice counts the keys whose call sent something again after it had been
// served, in whole or in part.
func (l *ledger) servedTwice() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, runs := range l.keyed {
		if at := slices.IndexFunc(runs, func(r keyedRun) bool { return r.served }); at >= 0 &&
			slices.ContainsFunc(runs[at+1:], func(r keyedRun) bool { return r.sent }) {
			n++
		}
	}
	return n
}

// answeredTwice counts the keys for which the upstreams gave more whole answers
// than one, and those that the replica could not use and fell over from.
func answeredTwice(r *rig, replies []reply) (n int) {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	answers := make(map[string]int)
	for _, u := range r.upstreams() {
		for prompt, ids := range u.answered() {
			answers[prompt] += len(ids)
		}
	}
	keys := byKey(replies)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		most := 1
		for _, run := range r.seen.keyed[key] {
			most += run.rejected
		}
		if answers[keys[key][0].prompt] > most {
			n++
		}
	}
	return n
}
