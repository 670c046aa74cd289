// Package moderate says whether texts may be sent to a model, and whether what a
// model generates may be shown. It knows no call and no connection: texts go in,
// and a [Verdict] comes out.
//
//	normalise.go  spellings that read the same become the same text
//	rules.go      words, patterns and combinations over that text; syntax.go reads them from a file,
//	              and plain.go refuses what reads as a rule with a mistake
//	china.rules   what Chinese law forbids to ask a financial assistant
//	form.go       what is asked of a model that moderates, and what its answer means
//	moderator.go  the rules first, then the model, which inputs.go asks and whose verdicts cache.go keeps, and requests that a provider has blocked
//	guard.go      the same rules over an answer while it streams
package moderate
