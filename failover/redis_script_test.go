package failover

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-alipayai/gateway/internal/redisstore"
	"github.com/caddy-alipayai/gateway/internal/redistest"
)

// The script does to a breaker what this process does to its own.
func TestScriptAgainstHistory(t *testing.T) {
	s := newScripts(newTestClient(t, redistest.Start(t).Addr), t.Name(), patience)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 4))
		key := Key{fmt.Sprint(seed), "alipay"}
		rules := [2]Rule{}
		for i := range rules { // of two directives
			rules[i] = Rule{Failures: 1 + random.IntN(6), OpenFor: time.Nanosecond}.withDefaults()
		}
		if seed%2 == 1 {
			rules[0].Within, rules[1].Failures = time.Nanosecond, 8 // one that never opens it, beside one that tolerates more
		}
		var want history
		version := int64(0)
		holders := []uint64{11, 12, 13}
		for step := range 150 {
			now := time.Now()
			rule := rules[random.IntN(len(rules))]
			holder := holders[random.IntN(len(holders))]
			var did event
			switch random.IntN(6) {
			case 0, 1, 2:
				holder = 0
				want, did = want.after(Failure, 0, rule, now)
				if did != opened {
					did = failed // the script is to say that it opens
				}
			case 3:
				if random.IntN(3) > 0 {
					continue
				}
				holder = 0
				want, _ = want.after(Success, 0, rule, now)
				did = reset
			case 4:
				did = probing
				if want.isOpen() && want.probe.holder == 0 {
					want.probe = lease{holder, now.Add(rule.ProbeFor)}
				}
			default:
				result := []Result{Success, Failure, Ignored}[random.IntN(3)]
				if want.isOpen() { // what came of an earlier one is over
					want, _ = want.after(result, holder, rule, now)
				}
				did = map[Result]event{Success: closed, Failure: reopened, Ignored: released}[result]
			}
			reported := did
			if did == opened {
				reported = failed
			}
			got, acted, err := s.run(report{reported, key, rule, holder, want.opened, nil}, -1)
			if err != nil {
				t.Fatal(err)
			}
			if opens := acted && reported == failed; opens != (did == opened) {
				t.Fatalf("seed %d, step %d: the failure opens: %t", seed, step, opens)
			}
			if granted := acted && reported == probing; reported == probing && granted != (want.probe.holder == holder) {
				t.Fatalf("seed %d, step %d: the lease is granted: %t", seed, step, granted)
			}
			if got.isOpen() != want.isOpen() || len(got.failures) != len(want.failures) || got.probe.holder != want.probe.holder {
				t.Fatalf("seed %d, step %d, %s: %+v, want %+v", seed, step, reported, got, want)
			}
			if got.version < version {
				t.Fatalf("seed %d, step %d: version %d after %d", seed, step, got.version, version)
			}
			version = got.version
		}
	}
}

func TestScriptTrustsTheCallerThatKnowsMost(t *testing.T) {
	s := newScripts(newTestClient(t, redistest.Start(t).Addr), t.Name(), patience)
	rule := Rule{OpenFor: time.Minute}.withDefaults()
	run := func(e event, key Key, holder uint64, openFor time.Duration, version int64) (history, bool) {
		t.Helper()
		h, did, err := s.run(report{e, key, rule, holder, time.Now().Add(-openFor), nil}, version)
		if err != nil {
			t.Fatal(err)
		}
		return h, did
	}
	lost := Key{"lost", "alipay"}
	if h, did := run(probing, lost, 5, 61*time.Second, 7); !did || h.probe.holder != 5 || !h.isOpen() {
		t.Errorf("the probe of a breaker that Redis has lost is refused: %+v", h)
	}
	if h, did := run(probing, lost, 6, 61*time.Second, 7); did || h.probe.holder != 5 {
		t.Errorf("a second probe: %+v", h)
	}
	if h, did := run(probing, lost, 5, 61*time.Second, 7); !did || h.probe.holder != 5 {
		t.Errorf("the same probe again: %+v", h)
	}
	early := Key{"early", "alipay"}
	if h, did := run(probing, early, 5, 59*time.Second, 0); did || h.isOpen() {
		t.Errorf("a probe before its time: %+v", h)
	}
	known := Key{"known", "alipay"}
	h, _ := run(failed, known, 0, 0, 0)
	if h, did := run(probing, known, 5, 61*time.Second, h.version-1); did || h.isOpen() {
		t.Errorf("a probe by one that has missed what others did: %+v", h)
	}
	if h, did := run(probing, known, 5, 61*time.Second, h.version); !did || !h.isOpen() {
		t.Errorf("a probe by one that has missed nothing: %+v", h)
	}
	ended := Key{"ended", "alipay"}
	if h, _ := run(released, ended, 5, 61*time.Second, 0); !h.isOpen() || h.probe.holder != 0 {
		t.Errorf("a probe without an outcome, of a breaker that Redis has lost: %+v", h)
	}
}

func TestScriptBoundsWhatItKeeps(t *testing.T) {
	client := newTestClient(t, redistest.Start(t).Addr)
	s := newScripts(client, t.Name(), patience)
	fail := func(field string, keep time.Duration, most int) {
		t.Helper()
		if err := s.breaker.Run(t.Context(), client, s.keys,
			string(failed), field, redisstore.Texts("t", "p"), binary.BigEndian.AppendUint64(nil, 0), 0, 0,
			4, 1e6, 1e6, 1e6, keep.Microseconds(), most).Err(); err != nil {
			t.Fatal(err)
		}
	}
	size := func() [2]int64 {
		return [2]int64{client.HLen(t.Context(), s.keys[0]).Val(), client.ZCard(t.Context(), s.keys[1]).Val()}
	}
	for i := range 20 {
		fail(fmt.Sprint(i), time.Hour, 10)
	}
	if got := size(); got != [2]int64{10, 10} {
		t.Errorf("%d breakers are kept, want 10", got)
	}
	if client.HExists(t.Context(), s.keys[0], "9").Val() || !client.HExists(t.Context(), s.keys[0], "10").Val() {
		t.Error("not the one that changed longest ago is forgotten first")
	}
	pass(50 * time.Millisecond)
	for i := range 5 {
		fail(fmt.Sprint("new", i), 50*time.Millisecond, 100)
	}
	if got := size(); got != [2]int64{5, 5} {
		t.Errorf("%d breakers are kept after their time, want 5", got)
	}
	if err := until(patience, "all has expired", func() bool {
		return client.Exists(t.Context(), s.keys...).Val() == 0
	}); err != nil {
		t.Error(err)
	}
}

// Versions grow although the server's clock is set back.
func TestVersionsGrow(t *testing.T) {
	client := newTestClient(t, redistest.Start(t).Addr)
	s := newScripts(client, t.Name(), patience)
	ahead := float64(time.Now().Add(time.Minute).UnixMicro())
	if err := client.ZAdd(t.Context(), s.keys[1], redis.Z{Score: ahead, Member: "other"}).Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		h, _, err := s.run(report{failed, testKey, Rule{Failures: 10}.withDefaults(), 0, time.Time{}, nil}, 0)
		if want := int64(ahead) + 1 + int64(i); err != nil || h.version != want {
			t.Errorf("version %d, %v, want %d", h.version, err, want)
		}
	}
	changes, latest, more, err := s.since(int64(ahead), false)
	if err != nil || len(changes) != 1 || changes[0].key != testKey || latest != int64(ahead)+3 || more {
		t.Errorf("changes %v up to %d, more: %t, %v", changes, latest, more, err)
	}
	if changes, again, _, err := s.since(latest, false); err != nil || len(changes) != 0 || again != latest {
		t.Errorf("changes %v up to %d after the last one, %v", changes, again, err)
	}
}

func TestNamesDoNotCollide(t *testing.T) {
	seen := make(map[string][]string)
	for _, parts := range [][]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"", "abc"}, {"abc"}, {"a", "b", "c"}, {}} {
		sum := redisstore.Digest(redisstore.Texts(parts...))
		if other, ok := seen[sum]; ok {
			t.Errorf("%q and %q have the same hash", parts, other)
		}
		seen[sum] = parts
	}
}

// stored is the part of a breaker in Redis that has a fixed length; times are in
// microseconds of the server.
type stored struct {
	Version, Opened, Until float64
	Holder                 uint64
	Failures               float64 // how many follow
}

// encode writes what decode reads.
func encode(key Key, s stored, failures ...float64) string {
	s.Failures = float64(len(failures))
	b, _ := binary.Append(nil, binary.BigEndian, s)
	b, _ = binary.Append(b, binary.BigEndian, failures)
	return string(append(b, redisstore.Texts(key.Tenant, key.Provider)...))
}

func TestDecode(t *testing.T) {
	received, now := time.Now(), int64(2e15)
	key := Key{"tenant \xff\x00", "alipay"}
	value := encode(key, stored{Version: 7, Opened: 2e15 - 3e6, Until: 2e15 + 5e6, Holder: 9}, 2e15-2e6, 2e15-1e6)
	gotKey, h, err := decode(value, now, received)
	if err != nil || gotKey != key || h.version != 7 || h.probe.holder != 9 || len(h.failures) != 2 ||
		!h.opened.Equal(received.Add(-3*time.Second)) || !h.probe.until.Equal(received.Add(5*time.Second)) ||
		!h.failures[0].Equal(received.Add(-2*time.Second)) {
		t.Errorf("decoded %v, %+v, %v", gotKey, h, err)
	}
	for i := range value {
		if _, _, err := decode(value[:i], now, received); err == nil {
			t.Errorf("the first %d bytes are taken for all", i)
		}
	}
	if _, _, err := decode(value+"x", now, received); err == nil {
		t.Error("a byte too many is accepted")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(testKey, stored{Version: 1, Opened: 2, Until: 3, Holder: 4}, 5, 6), int64(10))
	f.Add(encode(Key{}, stored{}), int64(0))
	f.Add(encode(testKey, stored{Version: math.NaN(), Opened: math.Inf(1), Until: -1}), int64(math.MinInt64))
	f.Add("", int64(0))
	f.Fuzz(func(t *testing.T, value string, now int64) {
		received := time.Now()
		key, h, err := decode(value, now, received)
		if err != nil {
			return
		}
		if len(key.Tenant)+len(key.Provider)+8*len(h.failures) > len(value) {
			t.Errorf("more is read than there is: %v", key)
		}
		for _, at := range append(h.failures, h.opened, h.probe.until) {
			if d := received.Sub(at); !at.IsZero() && (d > 25*time.Hour || d < -25*time.Hour) {
				t.Errorf("a time is out of bounds: %s", d)
			}
		}
	})
}

func TestChangesComeInPages(t *testing.T) {
	s := newScripts(newTestClient(t, redistest.Start(t).Addr), t.Name(), patience)
	for i := range pageSize + 1 {
		r := report{failed, Key{fmt.Sprint(i), "alipay"}, Rule{}.withDefaults(), 0, time.Time{}, nil}
		if _, _, err := s.run(r, 0); err != nil {
			t.Fatal(err)
		}
	}
	latest := int64(0)
	for page, want := range []int{pageSize, 1, 0} {
		changes, last, more, err := s.since(latest, false)
		if err != nil || len(changes) != want || more != (page == 0) {
			t.Errorf("page %d: %d changes, more: %t, %v; want %d", page, len(changes), more, err, want)
		}
		latest = last
	}
}

// Replicas of the version before share the same breakers.
func TestKeysAreThoseOfRunningReplicas(t *testing.T) {
	const tag = "alipayai:{8c22b4190fd741a5363e1eb684d8440b}:"
	got := append(newScripts(nil, "breakers", 0).keys, redisstore.Digest(redisstore.Texts("acme", "alipay")))
	if want := []string{tag + "breakers", tag + "breakers:changes", tag + "breakers:written", "8e3dc0cc8a2ceb3a77e17ae6e2f2d7a1"}; !slices.Equal(got, want) {
		t.Errorf("keys and field %q, want %q", got, want)
	}
}
