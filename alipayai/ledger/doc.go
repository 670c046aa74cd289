// Package ledger keeps what calls have cost: a line for each attempt at a provider that
// may be billed, and totals of each day, in a file of this process (bbolt).
//
// Lines are kept in memory until they are written, all that have come together, four
// times a second: a process that is killed loses those of the last second at most, and
// no call waits for a disk. What cannot be written, because the disk is full or the file
// cannot be used, waits in memory up to a bound; then lines are dropped, and counted.
//
// An attempt that takes longer is in the file before its end, by a line of unknown
// outcome. Where its process ends before it, the next one makes that a line of the
// ledger.
//
// The totals of a day outlive its lines. No prompt, answer or credential is in the file,
// but the names of tenants and models are.
package ledger
