// Package doctor asks a provider's real endpoint whether it is what the
// configuration takes it to be, and says which option to change where it is
// not. It spends no money: it asks for an access token and for the list of
// models, and for one short chat only where [Options] permit it.
//
// What contradicts the configuration is found by the answers' own words and,
// where the caller can build the provider with further options, by asking for
// the models once more with each option that may be the right one, until the
// upstream takes the request. So an option that is named has been seen to work.
// Other layouts of what is signed are tried only with [Options.ProbeSignature],
// since each wrong signature may count against the app; without it the option is
// named as a suspect.
//
// Every request takes its place in the provider's rate cap, behind those of all
// clients, and there are [MaxRequests] at most.
package doctor
