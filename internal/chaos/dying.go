package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dying are replicas in processes of their own that are killed, or frozen and
// woken, in the middle of calls of class money. Another replica is asked the same
// with the same keys: at once, when the frozen one is awake again, and after the
// leases have ended.
type dying struct {
	settings  settings
	upstream  *acting
	survivor  *site
	child     child
	transport *http.Transport
	stop      chan struct{}
	close     func()
	running   sync.WaitGroup

	mu    sync.Mutex
	err   error
	fates []fate
	// killed and frozen are how many replicas were.
	killed, frozen int
}

// fate is what came of one call.
type fate struct {
	request request
	first   reply // by the replica that dies
	// repeats are the other replica's replies; those from late on came when the lease
	// of a call for JSON had ended.
	repeats []reply
	late    int
}

// drawDying is far from the streams of the others.
const drawDying = 1 << 21

// beginDying starts it, with so many replicas at once, and a Redis that may be
// stopped and killed meanwhile.
func beginDying(ctx context.Context, s settings, redis string) (*dying, error) {
	w := &dying{settings: s, upstream: newActing(s.draws(drawDying)), stop: make(chan struct{})}
	front, err := newSite(ctx, w.upstream)
	if err != nil {
		return nil, err
	}
	var end func()
	survivor := child{Redis: redis, Upstream: front.url, Number: survivorNumber, Deadline: maxWait / 2}
	if w.survivor, end, err = survivor.serve(ctx); err != nil {
		front.close()
		return nil, err
	}
	w.child = child{Redis: redis, Upstream: front.url, Deadline: moneyDeadline, PerSecond: 20}
	w.transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	w.close = func() {
		w.transport.CloseIdleConnections()
		end()
		front.close()
	}
	for i := range s.dying {
		r := s.draws(drawDying + 1 + i)
		w.running.Go(func() {
			var err error
			for round := 0; err == nil && (round == 0 || w.goesOn()); round++ {
				err = w.round(r, i, round)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.err = errors.Join(w.err, err)
		})
	}
	return w, nil
}

func (w *dying) goesOn() bool {
	select {
	case <-w.stop:
		return false
	default:
		return true
	}
}

// end waits for the replicas that are dying, and their leases.
func (w *dying) end() error {
	close(w.stop)
	w.running.Wait()
	w.close()
	return w.err
}

const (
	// moneyDeadline is that of the calls of a replica that dies.
	moneyDeadline = time.Second
	// moneyLease is how long its claim of a call for JSON is in flight after that.
	moneyLease = moneyDeadline + 5*time.Second
	// survivorNumber is that of the other replica.
	survivorNumber = 1
)

// keyedCalls is how many calls a replica has when it dies, or waits to have.
const keyedCalls = 16

// round is the life of one replica.
func (w *dying) round(r *rand.Rand, lane, number int) error {
	p, err := w.child.start()
	if err != nil {
		return err
	}
	defer p.kill()
	fates := make([]fate, keyedCalls)
	var calling sync.WaitGroup
	for i := range fates {
		q := newRequest(lane, number*keyedCalls+i, r.IntN(3) == 0, "")
		q.key = "pay-" + strconv.Itoa(number*keyedCalls+i)
		fates[i].request = q
		begin := time.Duration(r.Int64N(int64(500 * time.Millisecond)))
		calling.Go(func() {
			<-time.After(begin)
			fates[i].first = send(w.transport, p.url, q)
		})
	}
	<-time.After(time.Duration(r.Int64N(int64(700 * time.Millisecond))))
	kill := (lane+number)%2 == 0
	signal := syscall.SIGSTOP
	if kill {
		signal = syscall.SIGKILL
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal %v to a replica: %w", signal, err)
	}
	ended := time.After(moneyLease + time.Second)
	w.repeat(fates)
	if !kill {
		<-time.After(time.Duration(r.Int64N(int64(moneyLease + 2*time.Second))))
		if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			return fmt.Errorf("waking a replica: %w", err)
		}
		w.repeat(fates)
	}
	<-ended
	calling.Wait()
	for i := range fates {
		fates[i].late = len(fates[i].repeats)
	}
	w.repeat(fates)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fates = append(w.fates, fates...)
	if kill {
		w.killed++
	} else {
		w.frozen++
	}
	return nil
}

// repeat asks the survivor for all of them, once more.
func (w *dying) repeat(fates []fate) {
	var all sync.WaitGroup
	for i := range fates {
		all.Go(func() {
			fates[i].repeats = append(fates[i].repeats, send(w.transport, w.survivor.url, fates[i].request))
		})
	}
	all.Wait()
}

// lines say what was seen, and what it had to be.
func (w *dying) lines() []line {
	var twice, wrong, stuck, unknown, given, anew int
	for _, f := range w.fates {
		if w.upstream.asked(f.request.prompt) > 1 {
			twice++
		}
		unclear := f.first.code() == codeUnavailable // such a claim may have been made all the same
		for i, got := range f.repeats {
			switch got.code() {
			case codeUnavailable:
				unclear = true
			case "idempotency_unresolved":
				unknown++
			case "idempotency_in_flight":
				if i >= f.late && !f.request.stream && !unclear {
					stuck++
				}
			default:
				switch {
				case got.judge() != whole:
					wrong++
				case got.again():
					given++
				default:
					anew++
				}
			}
		}
	}
	return []line{
		{what: "keys of class money sent twice, with a replica dead or frozen", count: twice},
		{what: "repeats of them with neither a 409, a 503 nor the answer", count: wrong},
		{what: "repeats of them in flight after the lease", count: stuck},
		{what: "replicas killed in the middle of calls", count: w.killed, least: 1},
		{what: "replicas frozen in the middle of calls", count: w.frozen, least: 1},
		{what: "repeats refused since the outcome is unknown", count: unknown, least: 1},
		{what: "repeats given the dead replica's answer", count: given, least: 1},
		{what: "repeats served, since the first call had not left", count: anew, least: 1},
	}
}

// codeUnavailable is what a call gets whose key cannot be claimed, as while Redis is away.
const codeUnavailable = "idempotency_unavailable"

// code is that of the error, if it is one.
func (r reply) code() string {
	const field = `"code":"`
	_, rest, ok := strings.Cut(r.body, field)
	if r.status == http.StatusOK || !ok {
		return ""
	}
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

// acting is an upstream that counts what it is asked. It answers the replicas that
// die at once, late, in parts, or never.
type acting struct {
	mu     sync.Mutex
	draws  *rand.Rand
	counts map[string]int // by prompt
}

func newActing(r *rand.Rand) *acting { return &acting{draws: r, counts: make(map[string]int)} }

func (u *acting) asked(prompt string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[prompt]
}

// ServeHTTP implements http.Handler.
func (u *acting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it was not asked, in whole
	}
	prompt := string(promptPattern.Find(body))
	var late, pause time.Duration
	u.mu.Lock()
	u.counts[prompt]++
	number, never := u.counts[prompt], false
	if r.Header.Get(replicaHeader) != strconv.Itoa(survivorNumber) {
		late, pause, never = u.pause(), u.pause(), u.draws.IntN(8) == 0
	}
	u.mu.Unlock()
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-r.Context().Done():
			return false
		}
	}
	if !wait(late) || never && !wait(maxWait) {
		return
	}
	id, said := fmt.Sprintf("c-%s-%d", strings.ReplaceAll(prompt, " ", "-"), number), "You said: "+prompt
	kind, parts := "application/json", []string{
		fmt.Sprintf(`{"id":%q,"model":"m","choices":[{"message":{"content":%q},`, id, said), `"finish_reason":"stop"}]}`,
	}
	if strings.Contains(string(body), `"stream":true`) {
		const event, half = `data: {"id":%q,"model":"m","choices":[{"delta":{"content":%q}%s}]}` + "\n\n", len("You said: ")
		kind, parts = "text/event-stream", []string{
			fmt.Sprintf(event, id, said[:half], ""), fmt.Sprintf(event, id, said[half:], `,"finish_reason":"stop"`) + "data: [DONE]\n\n",
		}
	}
	w.Header().Set("Content-Type", kind)
	for _, part := range parts {
		_, _ = io.WriteString(w, part)
		_ = http.NewResponseController(w).Flush()
		if !wait(pause) {
			return
		}
	}
}

// pause is none, or up to what a call's deadline allows.
func (u *acting) pause() time.Duration {
	if u.draws.IntN(2) == 0 {
		return 0
	}
	return time.Duration(u.draws.Int64N(int64(moneyDeadline / 3)))
}
