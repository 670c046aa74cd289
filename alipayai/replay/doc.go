// Package replay keeps answers that are given again: the last good answer to a
// request (Cache), and the one answer to an idempotent call (Claims).
//
// Both are found by a Key over everything that shapes the answer, the tenant
// first of all. Both are kept in memory or, shared by all replicas and sealed,
// in Redis. What is kept in memory is history only and survives a change of
// configuration: its budget comes with each use, by Within.
//
// The two differ in what a store that is away means. A cache that cannot be
// asked is a miss; a claim that cannot be made is not skipped. Nor do they let
// go alike where memory is short: a cache forgets, claims lose answers alone.
package replay
