// Package suite asks a provider a file of prompts and holds the answers against what is expected of them.
//
// [Parse] reads the file: README.md has its form. A [Run] asks each prompt through a function of its caller, and makes
// a [Result] of each; together they are a [Report], and what differs between two reports is a [Change]. A [Schedule]
// runs a suite again and again, by one replica for all, and keeps what came of it in a record that outlives the process.
// The package sends nothing by itself and knows no configuration.
//
// Results name prompts by their ids, and say which expectation failed and why. They quote neither prompt nor answer.
package suite
