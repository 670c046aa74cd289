// Package canary tries a candidate beside what is known to be stable: a share of the
// conversations goes to the candidate, and grows by steps as long as its calls do as well.
//
// It knows calls only by what [Outcome] says of them. Which conversations the candidate has
// is decided by a keyed hash, so that a client cannot choose; a larger share has those of a
// smaller one as well. Everything else is [State], which one [Store] keeps for all replicas,
// and which [State.Look] takes from one look to the next as a [Plan] says:
//
//	running ──(every step passed)──▶ promoted, or passed where the plan holds
//	   │  ▲                              ▲
//	   ▼  │                              │ promote
//	 paused                              │
//	   └── any ──(a guard failed, or an operator)──▶ rolled back
//
// # The tests
//
// A guard compares two proportions: how many calls were bad, of those that could be, at each
// arm. It is looked at again and again, so that a test for one look would reject far too
// often. Both tests are therefore e-processes: products of factors, one for each look, whose
// expectation is at most 1 if what they test is true. By Ville's inequality such a product
// ever reaches 1/α with probability α at most, however often and whenever it is looked at.
// (Ramdas, Grünwald, Vovk and Shafer: Game-theoretic statistics and safe anytime-valid
// inference, Statistical Science 38(4), 2023.)
//
// Whether the candidate is worse is tested within each look, given how many calls were bad
// there altogether: the bad ones of the candidate then have a hypergeometric distribution if
// the arms are equal, and Fisher's noncentral one if the candidate's odds are ω times as
// high. An outage of both, or a change from day to night, is no evidence. The factor is the
// ratio of the two; it grows with the candidate's bad calls, so that it holds for any
// candidate that is not worse. Four ω are mixed (Robbins' mixture), and so are the looks at
// which the candidate may have become worse: half of the weight is on the first, and look t
// has 1/2t(t+1) of the rest.
//
// Whether the candidate is well is a test of the opposite: that a bad call is more frequent
// there by [Guard.Margin] or more. The factor is the likelihood of equal arms over that of
// the nearest pair of proportions that are so far apart (Turner and Grünwald: Exact
// anytime-valid confidence intervals for contingency tables and beyond, Statistics &
// Probability Letters 198, 2023).
package canary
