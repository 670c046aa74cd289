// Package upstream is the way to a provider: how it is configured, how a request to it
// is permitted, composed, signed and watched, and how its answer is verified. It
// knows neither a client nor what a call is.
//
// [Provider.Send] is the one way out. send.go has the steps that a request takes, in this
// order; what each does is in the file beside it:
//
//	outside    address.go   whether one of its addresses may see what it carries
//	admit      wait.go      whether it may be asked (hold.go), then a live access token
//	reserve    permit.go    a permit within the rate cap (cap.go)
//	compose    compose.go   address (choose, in address.go), header and signature, by the provider's clock.go
//	leaving    send.go      the caller's last word, before the first byte
//	roundTrip  send.go      once, under a watchdog.go; the head teaches the clock
//	Verify     verify.go    the signature over the answer, and answers that pass on as they are
//	Failed     failed.go    what the answer says went wrong, and what follows for the next request
//
// ending.go is the context of all that, and equals.go waits for the permits of several
// providers. What others have composed is held against what goes out in identity.go, and
// forward.go says what of a header passes. draft.go signs a request that is only looked at.
//
// Providers are described in provider.go, profiles.go and environment.go, and made ready
// in prepare.go. address.go has the places at which one is
// reached, and routes.go which of them is the fastest. envelope.go and rewrite.go put a
// request into the form of a contract of one's own, and served.go says what of it vendors
// charge by. secrets.go knows what of a request must not be shown.
package upstream
