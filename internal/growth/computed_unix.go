//go:build unix

package growth

import (
	"syscall"
	"time"
)

// computed is how long this thread has computed, which is not longer where others do so at the same time. Where a system does
// not count that, it is the time of the clock.
func computed() time.Duration {
	const ofThisThread = 1 // RUSAGE_THREAD of Linux
	var used syscall.Rusage
	if syscall.Getrusage(ofThisThread, &used) != nil {
		return time.Since(start)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
