// Package alipayai is the domain of the gateway: what a call is, which
// provider may serve it, and what an upstream's answer means. It speaks
// net/http and knows nothing of Caddy.
//
// A call takes one path, and the files follow it in this order:
//
//	read     call.go      body read once, capped, parsed once
//	plan     plan.go      the providers that may serve this call, in order
//	admit    admit.go, departure.go   a live token, then a place within the rate cap
//	attempt  attempt.go, compose.go   sign the exact bytes, round trip, classify the answer
//	commit   commit.go, stream.go   the answer goes to the client, once
//	settle   settle.go    one outcome for metrics and logs
package alipayai
