// Package failover holds the policies of calls that fail: how long to wait
// before a retry (Backoff), how many retries there may be (Budget), and when to
// skip a provider (Breakers). They know calls only by whether they worked.
//
// Budgets and breakers hold history only. The rules come with every call, so
// that a reload can change them without forgetting what has happened.
//
// Package canary, within it, is the policy of trying a provider beside another.
package failover
