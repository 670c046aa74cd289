// Package calendar keeps the calendar of a provider's signing keys: when each version has to be replaced, whether the
// upstream takes it, and which version signs.
//
// A [Keeper] looks at the versions that are held, asks the upstream for each that is due to be checked, by one replica
// for all, and writes down what came of it in a [Record] that replicas share and that outlives the process. What it
// decides by that is applied through the functions of its [Config]; it knows no configuration and no Caddy.
package calendar
