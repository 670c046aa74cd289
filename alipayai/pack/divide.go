package pack

import (
	"cmp"
	"math/bits"
	"slices"
)

// Divide cuts total into parts by weight that sum to it exactly: what whole numbers leave
// over goes to those that lost most by rounding. Without any weight all have the same.
// Neither total nor a weight is negative.
func Divide(total int64, weights []int64) []int64 {
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	if sum == 0 {
		weights = slices.Repeat([]int64{1}, len(weights))
		sum = uint64(len(weights))
	}
	parts, lost, left := make([]int64, len(weights)), make([]uint64, len(weights)), total
	for i, w := range weights {
		high, low := bits.Mul64(uint64(total), uint64(w))
		part, rest := bits.Div64(high, low, sum) // w <= sum, so that it fits
		parts[i], lost[i] = int64(part), rest
		left -= int64(part)
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lost[b], lost[a]) })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}
