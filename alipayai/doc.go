// Package alipayai is the domain of the gateway: a call, and what becomes of it.
// It knows neither Caddy nor a client's connection: a door makes a [Call] of what
// it reads, [Gateway.Do] serves it, and the door writes the [Answer].
//
// A call takes one path, and the files follow it in this order:
//
//	call      call.go        what a door hands over; Do, which begins and ends it, and serve, which takes it through the steps
//	moderate  moderation.go  what a moderator says of it, and of the answer: waited for as late as may be
//	limits    tenants.go     what the tenant may use
//	user      tenants.go     whose of the tenant's users it is, where a provider serves them by themselves
//	plan      plan.go        the providers that may serve this call, in order; which of them are equal
//	trial     canary.go      whether it goes to the candidate of a canary, and how that did
//	claim     claims.go      its Idempotency-Key, so that it happens once
//	walk      walk.go        each provider in turn, as its breaker permits
//	pack      packing.go     short calls of one end user, together: packing_group.go, packing_answers.go
//	ask       ask.go         one provider, as often as is safe, and in its own format
//	account   spending.go    what the call costs: reserved before an attempt, charged after it
//	quote     charge.go      what an attempt may cost, alone or in a pack
//	attempt   attempt.go     one request, then what its answer means
//	leaving   caller.go      on the way, within the attempt: the last word before the first byte, which marks the claim
//	read      buffers.go     a whole answer, and the room that it takes
//	open      events.go      of a stream: its events, at first those up to the first content
//	charge    charged.go     what the attempt has cost, by what was reported, or an estimate
//	answer    answer.go      the whole body, or a stream to pull from
//	pull      stream.go      the rest of a stream, as the client takes it
//	keep      cached.go      the answer, to give it again
//	settle    call.go        claim, usage and cost; one outcome for metrics and logs
//	copy      shadow.go      what a shadow is asked as well, once the client has its answer
//	recycle   call.go        its memory goes to a call to come, where nothing else can look at it any more
//
// Three types carry that. A call is a [Call] on its way. What a step has to remember of it is in a part of its own, which is
// declared in the step's file, and which can be read without the others:
//
//	tenancy    tenants.go    whose it is, and where it may be
//	trial      canary.go     its arm of the canary
//	once       claims.go     its claim, and what goes upstream as Idempotency-Key
//	route      walk.go       which provider is asked, and which have failed
//	packing    packing.go    what it brings into a pack
//	carried    ask.go        what of the request the provider does not get
//	account    spending.go   what it has reserved, and what it has cost
//	secrets    caller.go     what of it must not be shown
//	intake     buffers.go    what is held while an answer is read
//	taken      charged.go    how much it has taken, where nothing says so
//	recording  cached.go     what is kept of its answer
//
// What depends on the provider as well is said of an at, which is a call at one provider: it walks, asks, attempts and reads
// the answer. A stream reads its events by itself, until [Answer.Close].
//
// The request of an attempt leaves by [upstream.Provider.Send], as everything does
// that goes to a provider: the documentation of package upstream follows it there. It
// comes back once, to Leaving in caller.go.
//
// An event of a stream is read by readEvent in events.go: under the watchdog, decoded by
// the provider's format, and kept. open in the same file reads until there is
// content to commit to, and a failure before that goes the way of an answer's. After
// that [Answer.Next] leads to next in stream.go, which gives out what is kept and reads on.
//
// An answer that refuses the access token is read by readAnswer in attempt.go, and becomes a
// failure in [upstream.Exchange.Failed], with the class that package failure gives its code.
// The loop of ask in ask.go has planRetry, below it, say what follows: it drops that token
// and, once for each provider, permits another attempt, whose Send waits for the new token
// where it is admitted.
//
// gateway.go is what calls are served with, and models.go is about lists of models and counts of tokens. What a failure means
// is in package failure.
package alipayai
