package balance

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// conversation is the n-th of some.
func conversation(n int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

func named(names ...string) (providers []Provider) {
	for _, name := range names {
		providers = append(providers, Provider{Name: name})
	}
	return providers
}

func TestOrder(t *testing.T) {
	const s = time.Second
	// The conversation's own order of a, b and c is c, a, b.
	own := []byte(nil)
	for n := 0; own == nil; n++ {
		if order, _ := Order(LeastWait, conversation(n), named("a", "b", "c")); slices.Equal(order, []int{2, 0, 1}) {
			own = conversation(n)
		}
	}
	for name, tt := range map[string]struct {
		policy Policy
		a, b   Provider
		c      Provider
		want   string
		alone  time.Duration
	}{
		"all are free":                         {LeastWait, Provider{}, Provider{}, Provider{}, "cab", Patience},
		"its own is a little full":             {LeastWait, Provider{}, Provider{}, Provider{Wait: Patience}, "cab", Patience},
		"its own is over-full":                 {LeastWait, Provider{}, Provider{}, Provider{Wait: Patience + 1}, "abc", Patience},
		"all are over-full":                    {LeastWait, Provider{Wait: 3 * s}, Provider{Wait: 2 * s}, Provider{Wait: 4 * s}, "bac", 0},
		"all are, alike":                       {LeastWait, Provider{Wait: s}, Provider{Wait: s}, Provider{Wait: s}, "cab", 0},
		"weights":                              {Weighted, Provider{Weight: 1}, Provider{Weight: 1 << 60}, Provider{Weight: 1}, "bca", Patience},
		"an over-full one of weight":           {Weighted, Provider{Weight: 1}, Provider{Weight: 1 << 60, Wait: s}, Provider{Weight: 1}, "cab", Patience},
		"its own is a little slower":           {Fastest, Provider{Cost: 1}, Provider{Cost: 0.1}, Provider{Cost: 2}, "cab", Patience},
		"its own is slower by far":             {Fastest, Provider{Cost: 1}, Provider{Cost: 0.1}, Provider{Cost: 2.1}, "acb", Patience},
		"the faster is over-full":              {Fastest, Provider{Cost: 1, Wait: s}, Provider{}, Provider{Cost: 9}, "cba", Patience},
		"prices":                               {Cheapest, Provider{Price: 3, Priced: true}, Provider{Price: 2, Priced: true}, Provider{Price: 4, Priced: true}, "bac", Patience},
		"the same price":                       {Cheapest, Provider{Price: 3, Priced: true}, Provider{Price: 3, Priced: true}, Provider{Price: 3, Priced: true}, "cab", Patience},
		"a price that is not known comes last": {Cheapest, Provider{}, Provider{Price: 2, Priced: true}, Provider{Price: 4, Priced: true}, "bca", Patience},
		"the cheapest is over-full":            {Cheapest, Provider{Price: 3, Priced: true}, Provider{Price: 2, Priced: true, Wait: s}, Provider{Price: 4, Priced: true}, "acb", Patience},
	} {
		tt.a.Name, tt.b.Name, tt.c.Name = "a", "b", "c"
		providers := []Provider{tt.a, tt.b, tt.c}
		order, alone := Order(tt.policy, own, providers)
		got := ""
		for _, i := range order {
			got += providers[i].Name
		}
		if got != tt.want || alone != tt.alone {
			t.Errorf("%s: %s, alone for %v; want %s, %v", name, got, alone, tt.want, tt.alone)
		}
		if pinned := Pinned(own, providers); !slices.Equal(pinned, []int{2, 0, 1}) {
			t.Errorf("%s: pinned to %v", name, pinned)
		}
	}
}

// A call of no conversation waits for none in particular.
func TestOrderOfNoConversation(t *testing.T) {
	providers := named("a", "b", "c")
	var first [3]int
	for range 30_000 {
		order, alone := Order(LeastWait, nil, providers)
		if alone != 0 {
			t.Fatal(alone)
		}
		first[order[0]]++
	}
	wantParts(t, first[:], []int{1, 1, 1})
}

// wantParts fails unless counts are to each other as parts, but for chance.
func wantParts(t *testing.T, counts, parts []int) {
	t.Helper()
	sum, whole := 0, 0
	for i := range counts {
		sum, whole = sum+counts[i], whole+parts[i]
	}
	for i, n := range counts {
		want := float64(sum*parts[i]) / float64(whole)
		if math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
			t.Errorf("%v, want parts of %v", counts, parts)
			return
		}
	}
}

// Conversations divide by weight, and stay where they are when a provider joins or leaves, in
// whichever order the providers are named: only those move that it begins, or began.
func TestConversationsStay(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, policy := range Policies {
		providers := []Provider{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 3}, {Name: "d", Weight: 2}}
		fewer := slices.Clone(providers[:3])
		rng.Shuffle(len(fewer), func(i, j int) { fewer[i], fewer[j] = fewer[j], fewer[i] })
		counts, moved := make([]int, 4), 0
		const conversations = 20_000
		for n := range conversations {
			order, _ := Order(policy, conversation(n), providers)
			again, _ := Order(policy, conversation(n), providers)
			if !slices.Equal(order, again) {
				t.Fatalf("%s: %v, then %v", policy, order, again)
			}
			counts[order[0]]++
			without, _ := Order(policy, conversation(n), fewer)
			switch before, after := providers[order[0]].Name, fewer[without[0]].Name; {
			case before == "d":
				moved++
			case before != after:
				t.Fatalf("%s: a conversation moved from %s to %s, although d alone has left", policy, before, after)
			}
		}
		parts := []int{1, 1, 1, 1}
		if policy == Weighted {
			parts = []int{1, 2, 3, 2}
		}
		wantParts(t, counts, parts)
		if moved != counts[3] {
			t.Errorf("%s: %d moved of %d", policy, moved, counts[3])
		}
	}
}

// The order is one of all providers, whatever is known of them.
func TestOrderIsOfAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 5000 {
		providers := make([]Provider, 1+rng.IntN(6))
		for i := range providers {
			providers[i] = Provider{
				Name: fmt.Sprint(i), Wait: time.Duration(rng.Int64N(int64(3 * Patience))), Weight: rng.IntN(5) - 1,
				Cost: rng.Float64(), Price: rng.Int64N(3), Priced: rng.IntN(3) > 0,
			}
		}
		key := conversation(rng.Int())
		if rng.IntN(3) == 0 {
			key = nil
		}
		order, alone := Order(Policies[rng.IntN(len(Policies))], key, providers)
		full := false
		for _, i := range order {
			over := providers[i].Wait > Patience
			if full && !over {
				t.Fatalf("one that is free comes after one that is over-full: %v of %+v", order, providers)
			}
			full = over
		}
		if alone > 0 && providers[order[0]].Wait > alone {
			t.Fatalf("waits for one alone that is over-full")
		}
		slices.Sort(order)
		for i := range order {
			if order[i] != i {
				t.Fatalf("%v is not an order of %d", order, len(providers))
			}
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for name, want := range map[string]Policy{"": LeastWait, "least_wait": LeastWait, "weighted": Weighted, "fastest": Fastest, "cheapest": Cheapest, "first": ""} {
		if got, err := ParsePolicy(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestLatencies(t *testing.T) {
	var l Latencies
	now := time.Unix(1000, 0)
	want := func(what string, cost float64) {
		t.Helper()
		if got := l.Cost("a", now); math.Abs(got-cost) > 0.001 {
			t.Errorf("%s: %v, want %v", what, got, cost)
		}
	}
	want("never asked", 0)
	l.Begin("a")
	want("being asked for the first time", unknown)
	l.End("a", now, 0)
	want("still not known", 0)
	l.Begin("a")
	l.End("a", now, 200*time.Millisecond)
	want("one answer", 0.2)
	l.Begin("a")
	l.Begin("a")
	want("two more are waiting", 0.6)
	l.End("a", now, 2*time.Second)
	l.End("a", now, 0)
	want("a peak counts at once", 2)
	l.Begin("a")
	l.End("a", now, 100*time.Millisecond)
	want("a fast one at the same time does not", 2)
	now = now.Add(decay)
	l.Begin("a")
	l.End("a", now, time.Second)
	want("it comes down by and by", 2/math.E+1-1/math.E)
	now = now.Add(20 * decay)
	want("and is forgotten", 0)
	now = now.Add(-30 * decay) // a clock that was set back
	l.Begin("a")
	l.End("a", now, time.Second)
	want("whatever the clock does", 1)
}

// The two choices keep the calls away from one that is slow, but for those that ask whether it still is.
func TestFastestAvoidsASlowProvider(t *testing.T) {
	var l Latencies
	providers := named("a", "b", "c")
	now, asked := time.Unix(0, 0), make(map[string]int)
	for n := range 6000 {
		for i := range providers {
			providers[i].Cost = l.Cost(providers[i].Name, now)
		}
		order, _ := Order(Fastest, conversation(n), providers)
		name := providers[order[0]].Name
		took := 100 * time.Millisecond
		if name == "b" {
			took = 2 * time.Second
		}
		l.Begin(name)
		l.End(name, now, took)
		asked[name]++
		now = now.Add(10 * time.Millisecond)
	}
	if asked["b"] > 60 || asked["b"] < 2 || asked["a"] < 2000 || asked["c"] < 2000 {
		t.Errorf("%v of 6000, want few at b", asked)
	}
}
