// Package door is where clients come in, in the form of whichever API they speak: a [Dialect] for each. What they share
// is here: how a request is found by its path and read, looked at before it is served, made a call of, and its answer
// written.
//
// The gateway knows one form, OpenAI's chat completions, which is canonical: whatever a client sent, the call's Request
// is in it, so that matchers, moderation, prices, packing and caches see one form. A dialect puts requests into it, and
// answers, streams and errors back into its own. Beside it a call of another dialect has its request as it came, for
// providers that speak that dialect themselves: see [alipayai.Native].
package door
