// Package shadow asks a provider what others have been asked, and compares the answers. No
// client sees its answers, waits for them or pays for them.
//
// A [Queue] takes copies of calls, as [alipayai.Shadow] hands them over when their clients have
// their answers. It is bounded in calls and bytes, and counts what it has no room for. Its
// gateway has the one provider: by its own rate cap, with permits that no client waits for, and
// with none of a call's claims, caches, packs, budgets and breakers.
//
// What both providers have done is judged, and thrown away: whether they have answered, blocked
// or failed, how the answer ended, whether its tool calls could be carried out, how long it is
// and how long it took. [History] counts that, over configurations, restarts and replicas, and
// says when too many pairs differ.
package shadow
