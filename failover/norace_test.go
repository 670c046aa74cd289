//go:build !race

package failover

// raceEnabled says that the race detector is on.
const raceEnabled = false
