// Package price knows what calls cost: prices of models as vendors publish them, what
// a call is charged by them, and what it will most likely take before it is sent.
//
// Money is integers throughout. An [Amount] counts billionths of a unit of its
// currency, and a [PerToken] quadrillionths, so that every price that vendors publish
// is exact: 0.000000546875 USD for a token, say. What a call costs is worked out
// exactly and then rounded up, once, to the next billionth: in the vendor's favour, so
// that the sum of a ledger is never less than the bill. What does not fit is the
// largest amount that does, and never wraps around.
package price
