//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is the user and system time that this process, with all of its threads,
// has spent so far.
func cpuTime() (time.Duration, error) {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0, err
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), nil
}
