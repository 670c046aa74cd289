// Package balance chooses among equal providers: it puts them in the order in which a call
// asks them. It is arithmetic over what its caller knows of them, and keeps nothing but the
// latencies that it is given.
//
// Calls of one conversation begin at the same provider, so that the prompt cache there is
// used, at whatever replica they come in. That is rendezvous hashing: each conversation has
// an order of its own of all providers, and one that joins or leaves moves only those
// conversations that it begins, or began.
//
// A provider is over-full for a call that would wait there for more than [Patience]; it
// then comes after those that are not.
package balance

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Policy says how to choose.
type Policy string

// The policies.
const (
	// LeastWait takes the provider of the conversation and, where that is over-full, the one
	// whose rate window gives a slot first.
	LeastWait Policy = "least_wait"
	// Weighted gives each provider a part of the conversations by its weight.
	Weighted Policy = "weighted"
	// Fastest takes the better of two by the time to first content. The two are the
	// conversation's, which keeps the first as long as the second is not twice as good.
	Fastest Policy = "fastest"
	// Cheapest takes the provider where the call should cost least.
	Cheapest Policy = "cheapest"
)

// Policies are all, the default first.
var Policies = []Policy{LeastWait, Weighted, Fastest, Cheapest}

// ParsePolicy gives the policy of that name; LeastWait for none.
func ParsePolicy(name string) (Policy, error) {
	p := cmp.Or(Policy(name), LeastWait)
	if !slices.Contains(Policies, p) {
		names := make([]string, len(Policies))
		for i, known := range Policies {
			names[i] = string(known)
		}
		return "", fmt.Errorf("lb_policy %q is unknown; use %s", name, strings.Join(names, ", "))
	}
	return p, nil
}

// Patience is how long a call waits for the provider that it would rather have while another
// has a slot: a tenth of the window of most vendors, and less than the prompt of a
// conversation takes to be read anew.
const Patience = 100 * time.Millisecond

// Provider is one of the equals, as it is for a call now.
type Provider struct {
	// Name tells it from the others, at all replicas alike.
	Name string
	// Wait is how long the call would wait there for a slot.
	Wait time.Duration
	// Weight is its part of the conversations by Weighted; less than 1 is 1.
	Weight int
	// Cost is that of its latency, by Fastest; see [Latencies.Cost].
	Cost float64
	// Price is what the call should cost there by Cheapest, in any unit that is one for
	// all; Priced says that it is known.
	Price  int64
	Priced bool
}

// Order gives the indices of providers in the order in which the call of a conversation asks
// them, and how long it waits for the first alone. A call of no conversation has a nil one.
func Order(p Policy, conversation []byte, providers []Provider) (order []int, alone time.Duration) {
	order = rendezvous(p == Weighted, conversation, providers)
	by := func(compare func(a, b Provider) int) {
		slices.SortStableFunc(order, func(a, b int) int { return compare(providers[a], providers[b]) })
	}
	switch {
	case p == Fastest && len(order) > 1 && better(providers[order[1]].Cost, providers[order[0]].Cost, conversation != nil):
		order[0], order[1] = order[1], order[0]
	case p == Cheapest:
		by(func(a, b Provider) int {
			if a.Priced != b.Priced {
				return cmp.Compare(btoi(b.Priced), btoi(a.Priced))
			}
			return cmp.Compare(a.Price, b.Price)
		})
	}
	alone = Patience
	if p == LeastWait && conversation == nil {
		alone = 0 // it would rather have none
	}
	// Those that are not over-full keep their order, and the others follow by their wait.
	by(func(a, b Provider) int { return cmp.Compare(beyond(a.Wait, alone), beyond(b.Wait, alone)) })
	if providers[order[0]].Wait > alone {
		alone = 0
	}
	return order, alone
}

// Pinned is the order of a conversation that has one provider, however full that is.
func Pinned(conversation []byte, providers []Provider) []int {
	return rendezvous(false, conversation, providers)
}

func beyond(wait, patience time.Duration) time.Duration {
	if wait <= patience {
		return 0
	}
	return wait
}

// better reports whether the second of two is, by its cost.
func better(second, first float64, sticky bool) bool {
	if sticky {
		second *= 2
	}
	return second < first
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rendezvous orders providers by highest random weight (D. G. Thaler and C. V. Ravishankar,
// "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM ToN 1998), as Caddy's hashing
// policies do; by weight with the logarithmic method of C. Schindelhauer and G. Schomaker,
// "Weighted Distributed Hash Tables", SPAA 2005.
func rendezvous(weighted bool, conversation []byte, providers []Provider) []int {
	var salt [8]byte
	if conversation == nil {
		binary.BigEndian.PutUint64(salt[:], rand.Uint64())
	}
	order, scores := make([]int, len(providers)), make([]float64, len(providers))
	var d xxhash.Digest
	for i, p := range providers {
		d.Reset()
		_, _ = d.WriteString(p.Name)
		_, _ = d.Write(salt[:]) // which no name has at its end, so that it parts them as well
		_, _ = d.Write(conversation)
		const bits = 53 // of a float64
		u := (float64(d.Sum64()>>(64-bits)) + 0.5) / (1 << bits)
		weight := 1
		if weighted {
			weight = max(p.Weight, 1)
		}
		order[i], scores[i] = i, -float64(weight)/math.Log(u)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return order
}
