package replay

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// memories are what keeps answers in memory, under one budget: put keeps one, and get gives its body if it still is kept.
var memories = map[string]func(t *testing.T, now func() time.Time, budget int64) (put func(tenant string, n int, answer Answer) error, get func(tenant string, n int) ([]byte, bool)){
	"cache": func(t *testing.T, now func() time.Time, budget int64) (func(string, int, Answer) error, func(string, int) ([]byte, bool)) {
		c := NewMemoryCache(now).Within(budget)
		return func(tenant string, n int, answer Answer) error {
				return c.Put(t.Context(), tenant, keyOf(n), answer, time.Hour)
			}, func(tenant string, n int) ([]byte, bool) {
				answer, ok, _ := c.Get(t.Context(), tenant, keyOf(n))
				return answer.Body, ok
			}
	},
	"claims": func(t *testing.T, now func() time.Time, budget int64) (func(string, int, Answer) error, func(string, int) ([]byte, bool)) {
		c := NewMemoryClaims(now).Within(budget)
		return func(tenant string, n int, answer Answer) error {
				claim, _, err := c.Claim(t.Context(), tenant, keyOf(n), requestOf(n), time.Hour)
				if err != nil {
					return err
				}
				return claim.Finish(t.Context(), answer, time.Hour)
			}, func(tenant string, n int) ([]byte, bool) {
				_, answer, _ := c.Claim(t.Context(), tenant, keyOf(n), requestOf(n), time.Hour)
				if answer == nil {
					return nil, false
				}
				return answer.Body, true
			}
	},
}

// However much one tenant puts, others keep their answers as long as they take less than seven eighths of an equal share, and
// what is free for all is used.
func TestTenantsKeepTheirShareOfAnswers(t *testing.T) {
	for name, open := range memories {
		t.Run(name, func(t *testing.T) {
			answer := longAnswer(10_000)
			one := entryOverhead + answer.size()
			const tenants = 5
			put, get := open(t, newClock().now, 100*one)
			n := 0
			fill := func(tenant string, answers int) (numbers []int) {
				for range answers {
					if err := put(tenant, n, answer); err != nil {
						t.Fatal(err)
					}
					numbers = append(numbers, n)
					n++
				}
				return numbers
			}
			count := func(tenant string, numbers []int) (left int) {
				for _, n := range numbers {
					if _, kept := get(tenant, n); kept {
						left++
					}
				}
				return left
			}
			greedy := fill("greedy", 90)
			if left := count("greedy", greedy); left != 90 {
				t.Errorf("alone, a tenant has %d of its 90 answers", left)
			}
			small := make(map[string][]int)
			for i := range tenants - 1 {
				tenant := strconv.Itoa(i)
				small[tenant] = fill(tenant, 17) // of a share of 20
			}
			fill("greedy", 200)
			for tenant, numbers := range small {
				if left := count(tenant, numbers); left != len(numbers) {
					t.Errorf("tenant %s has %d of its %d answers", tenant, left, len(numbers))
				}
			}
		})
	}
}

// In whatever order tenants put answers of whatever size, none that takes less than seven eighths of an equal share loses one.
func TestNoTenantLosesItsShare(t *testing.T) {
	for name, open := range memories {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				const budget, tenants = 400_000, 4
				random := rand.New(rand.NewPCG(seed, 1))
				clock := newClock()
				put, get := open(t, clock.now, budget)
				sizes := make(map[int]int64)
				owned := make(map[string][]int)
				for n := range 400 {
					tenant := strconv.Itoa(min(random.IntN(tenants*3), tenants-1)) // the last puts most
					answer := longAnswer(random.IntN(30_000))
					before := make(map[string][]int)
					for other, numbers := range owned {
						var left []int
						var bytes int64
						for _, n := range numbers {
							if _, kept := get(other, n); kept {
								left, bytes = append(left, n), bytes+sizes[n]
							}
						}
						owned[other] = left
						if other != tenant && bytes < budget/tenants*7/8 {
							before[other] = left
						}
					}
					if err := put(tenant, n, answer); err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrUnavailable) {
						t.Fatal(err)
					}
					owned[tenant], sizes[n] = append(owned[tenant], n), entryOverhead+answer.size()
					for other, numbers := range before {
						for _, n := range numbers {
							if _, kept := get(other, n); !kept {
								t.Fatalf("seed %d: tenant %s has lost an answer to %s", seed, other, tenant)
							}
						}
					}
					if name == "claims" && n%40 == 39 {
						break // keys take room as well, for an hour
					}
				}
			}
		})
	}
}
