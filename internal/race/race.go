//go:build race

// Package race says whether the race detector is on, under which computing takes some ten times as long: tests whose
// power is in how much they compute may do with less of it then, and hold the same.
package race

// Enabled says that the race detector is on.
const Enabled = true
